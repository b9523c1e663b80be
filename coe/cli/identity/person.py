"""`coe person`: suspend people, let them in again, and note that they have left."""

from __future__ import annotations

from typing import Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document
from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, printed
from coe.cli.pages import PAGE, Page, fetch, notes_on, paged

_FIELDS: Final = "subject displayName state source teams createdAt lastSignInAt"
_LIST: Final = f"""
query People($state: PersonState, $first: Int!, $after: String) {{
  people(state: $state, first: $first, after: $after) {{ {PAGE} nodes {{ {_FIELDS} }} }}
}}
"""
_HOLDINGS: Final = """
query Holdings($subject: String!) { holdings(subject: $subject) { kind name relation team } }
"""
_CHANGE: Final = {
    name: document(
        f"mutation Change($subject: String!, $reason: String!) "
        f"{{ {name}(subject: $subject, reason: $reason) "
        f"{{ person {{ {_FIELDS} }} problems {{ ...problem }} }} }}"
    )
    for name in ("suspendPerson", "activatePerson", "offboardPerson")
}


@click.group(cls=Noun)
def command() -> None:
    """List people; suspend them, let them in again, and note that they have left."""


@command.command("list")
@click.option("--state", type=click.Choice(["ACTIVE", "SUSPENDED", "LEFT"], case_sensitive=False))
@paged()
@example("coe person list --state SUSPENDED")
@printed()
@with_api
def list_people(api: ApiClient, state: str | None, page: Page) -> Result:
    """List the accounts of people; those who may not read people see their own."""
    found = fetch(api, _LIST, {"state": state.upper() if state else None}, page, "people")
    columns = ["subject", "displayName", "state", "source", "teams", "lastSignInAt"]
    return Result(found, Table(found["nodes"], columns, "No accounts."), notes_on(found))


@command.command()
@click.argument("subject")
@click.option("--reason", required=True, help="Why.")
@example("coe person suspend sales-developer --reason 'an inquiry'")
@printed()
@with_api
def suspend(api: ApiClient, subject: str, reason: str) -> Result:
    """Refuse SUBJECT at every door from now on; everything of theirs is kept."""
    return _change(api, "suspendPerson", subject, reason)


@command.command()
@click.argument("subject")
@click.option("--reason", required=True, help="Why.")
@example("coe person activate sales-developer --reason 'the inquiry is over'")
@printed()
@with_api
def activate(api: ApiClient, subject: str, reason: str) -> Result:
    """Let the suspended SUBJECT in again, with everything that was kept."""
    return _change(api, "activatePerson", subject, reason)


@command.command()
@click.argument("subject")
@click.option("--reason", required=True, help="Why.")
@example("coe person leave sales-developer --reason 'the contract ended'")
@printed()
@with_api
def leave(api: ApiClient, subject: str, reason: str) -> Result:
    """Note that SUBJECT has left for good.

    Memberships, tokens and sessions end, and open tasks go to others. It prints what SUBJECT still
    answers for, in teams whose access you may review.
    """
    result = _change(api, "offboardPerson", subject, reason)
    if result.code:
        return result
    found = api.call(_HOLDINGS, {"subject": subject})["holdings"]
    notes = [f"{len(found)} things need somebody else: coe person holdings {subject}"]
    return Result(result.data, result.view, notes if found else [])


@command.command()
@click.argument("subject")
@example("coe person holdings sales-owner")
@printed()
@with_api
def holdings(api: ApiClient, subject: str) -> Result:
    """Show what SUBJECT answers for: flows, schedules, drafts, tokens, runs, open tasks.

    It has the things of teams whose access you may review; the question is recorded.
    """
    found = api.call(_HOLDINGS, {"subject": subject})["holdings"]
    return Result(found, Table(found, ["kind", "name", "relation", "team"], "Nothing."))


def _change(api: ApiClient, name: str, subject: str, reason: str) -> Result:
    answer = api.call(_CHANGE[name], {"subject": subject, "reason": reason})[name]
    person = answer["person"]
    view = f"{person['subject']}: {person['state']}" if person else ()
    return Result(answer, view, problems=answer["problems"], code=0 if person else 1)
