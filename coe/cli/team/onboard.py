"""`coe team onboard`, `checklist`, `offboard`: a team's start and its end."""

from __future__ import annotations

from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document, plain_id
from coe.cli.grammar import Verb, example
from coe.cli.output import Result, Table, printed
from coe.identifiers import WORKER_ROLE, worker_subject

_ONBOARD: Final = document("""
mutation Onboard($team: CreateTeamInput!, $lead: MemberInput!, $worker: MemberInput!) {
  made: createTeam(input: $team) { team { slug } problems { ...problem } }
  worker: addMember(input: $worker) { applied problems { ...problem } }
  lead: addMember(input: $lead) { applied change { id } problems { ...problem } }
}
""")
_CHECKLIST: Final = """
query Checklist($team: String!) { teamChecklist(team: $team) { title done who command } }
"""
_RETIRE: Final = document("""
mutation Retire($team: String!, $reason: String!) {
  retireTeam(team: $team, reason: $reason) { team { slug state } problems { ...problem } }
}
""")


@click.command(cls=Verb)
@click.argument("team")
@click.option("--name", required=True, help="Its name for people.")
@click.option("--lead", required=True, help="Who leads it; a second person approves that.")
@click.option("--domain", help="Its domain, such as order-to-cash.")
@click.option("--contact", help="How to reach it.")
@click.option("--reason", default="a new team", show_default=True, help="Why.")
@example("coe team onboard returns --name Returns --lead rosa")
@printed()
@with_api
def onboard(api: ApiClient, /, team: str, lead: str, reason: str, **given: Any) -> Result:
    """Create the team TEAM with its lead and its worker; print what is left to do, and for whom.

    The lead enrols the worker (`coe worker enrol`), developers make the first flow from a template;
    its work pool is made with the first publication.
    """
    member = {"team": team, "reason": reason}
    worker = {"subject": worker_subject(team), "roles": [WORKER_ROLE], "name": f"{team}: worker"}
    answer = api.call(
        _ONBOARD,
        {
            "team": {"slug": team, **given},
            "lead": {**member, "subject": lead, "roles": ["lead"]},
            "worker": {**member, **worker},
        },
    )
    problems = [each for part in answer.values() for each in part["problems"]]
    if problems:
        return Result(answer, (), problems=problems, code=1)
    found = api.call(_CHECKLIST, {"team": team})["teamChecklist"]
    notes = []
    if answer["lead"]["change"]:
        key = plain_id(answer["lead"]["change"]["id"])
        notes = [f"a second person approves the lead: coe team approve {key}"]
    return Result(answer | {"checklist": found}, _table(found), notes)


@click.command(cls=Verb)
@click.argument("team")
@example("coe team checklist returns")
@printed()
@with_api
def checklist(api: ApiClient, team: str) -> Result:
    """Show the steps from the new TEAM to its first run: what is done, and who does the rest."""
    found = api.call(_CHECKLIST, {"team": team})["teamChecklist"]
    return Result(found, _table(found))


@click.command(cls=Verb)
@click.argument("team")
@click.option("--reason", required=True, help="Why.")
@example("coe team offboard returns --reason 'finance does it now'")
@printed()
@with_api
def offboard(api: ApiClient, team: str, reason: str) -> Result:
    """Retire the team TEAM: its members leave it, and its namespace stays taken.

    It is refused while runs are open, flows are live, or others call them: it says which.
    """
    answer = api.call(_RETIRE, {"team": team, "reason": reason})["retireTeam"]
    done = answer["team"]
    view = f"{done['slug']}: {done['state']}" if done else ()
    return Result(answer, view, problems=answer["problems"], code=0 if done else 1)


def _table(items: list[dict[str, Any]]) -> Table:
    return Table(items, ["done", "title", "who", "command"], "Nothing.")
