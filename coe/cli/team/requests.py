"""`coe team request`, `requests`, `grant`, `decline`: ask for access to a team, and answer."""

from __future__ import annotations

from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document, plain_id
from coe.cli.grammar import Verb, example
from coe.cli.output import Result, Table, printed
from coe.cli.pages import PAGE, Page, fetch, notes_on, paged
from coe.cli.times import end_option

STATES: Final = ["PENDING", "PROPOSED", "GRANTED", "REFUSED", "WITHDRAWN", "ENDED"]
_FIELDS: Final = "id team subject displayName role until reason requestedAt state decidedBy answer"
_ASK: Final = document(f"""
mutation Ask($input: RequestAccessInput!) {{
  requestAccess(input: $input) {{ request {{ {_FIELDS} }} problems {{ ...problem }} }}
}}
""")
_GRANT: Final = document(f"""
mutation Grant($id: ID!, $until: DateTime, $reason: String) {{
  grantAccess(id: $id, until: $until, reason: $reason) {{
    request {{ {_FIELDS} }} problems {{ ...problem }}
  }}
}}
""")
_DECLINE: Final = document(f"""
mutation Decline($id: ID!, $reason: String!) {{
  declineAccess(id: $id, reason: $reason) {{
    request {{ {_FIELDS} }} problems {{ ...problem }}
  }}
}}
""")
_LIST: Final = f"""
query Requests(
  $team: String, $state: AccessRequestState, $mine: Boolean!, $first: Int!, $after: String
) {{
  accessRequests(team: $team, state: $state, mine: $mine, first: $first, after: $after) {{
    {PAGE} nodes {{ {_FIELDS} }}
  }}
}}
"""
_WAITING: Final = """
query Waiting {
  all: accessRequests(first: 0) { totalCount }
  mine: accessRequests(mine: true, first: 0) { totalCount }
}
"""


@click.command(cls=Verb)
@click.argument("team")
@click.option("--role", help="The role; by default the membership alone.")
@end_option("--until", "When the access shall end by itself.")
@click.option("--reason", required=True, help="Why you need it.")
@example("coe team request finance --role operator --until 14d --reason 'I stand in for Omar'")
@printed()
@with_api
def request(api: ApiClient, team: str, role: str | None, until: str | None, reason: str) -> Result:
    """Ask the lead of the team TEAM for a role, or to be in the team."""
    given = {"team": team, "role": role, "until": until, "reason": reason}
    answer = api.call(_ASK, {"input": given})["requestAccess"]
    made = answer["request"]
    view = f"asked: {_what(made)} ({plain_id(made['id'])})" if made else ()
    return Result(answer, view, problems=answer["problems"], code=0 if made else 1)


@click.command(cls=Verb)
@click.option("--team", help="Only those of this team.")
@click.option(
    "--state",
    type=click.Choice(STATES, case_sensitive=False),
    default="PENDING",
    show_default=True,
)
@click.option("--mine", is_flag=True, help="Only your own.")
@paged()
@example("coe team requests", "coe team requests --mine --state GRANTED")
@printed()
@with_api
def requests(api: ApiClient, team: str | None, state: str, mine: bool, page: Page) -> Result:  # noqa: FBT001  # click passes it by keyword
    """List requests for access: those that you may answer, and your own."""
    given = {"team": team, "state": state.upper(), "mine": mine}
    found = fetch(api, _LIST, given, page, "accessRequests")
    rows = [node | {"id": plain_id(node["id"]), "asks for": _what(node)} for node in found["nodes"]]
    columns = ["id", "subject", "asks for", "until", "reason", "requestedAt"]
    return Result(found, Table(rows, columns, "No requests for access."), notes_on(found))


@click.command(cls=Verb)
@click.argument("id")
@end_option("--until", "An earlier end than the one asked for.")
@click.option("--reason", help="Why.")
@example("coe team grant 01a204ad-a69e-70a2-985e-cb36c368b5b1 --until 7d")
@printed()
@with_api
def grant(api: ApiClient, id: str, until: str | None, reason: str | None) -> Result:  # noqa: A002  # the argument's name
    """Grant the request ID, until the time asked for or an earlier one."""
    given = {"id": id, "until": until, "reason": reason}
    return _answered(api.call(_GRANT, given)["grantAccess"])


@click.command(cls=Verb)
@click.argument("id")
@click.option("--reason", required=True, help="Why.")
@example("coe team decline 01a204ad-a69e-70a2-985e-cb36c368b5b1 --reason 'ask your own lead'")
@printed()
@with_api
def decline(api: ApiClient, id: str, reason: str) -> Result:  # noqa: A002  # the same
    """Refuse the request ID; who asked withdraws it so."""
    return _answered(api.call(_DECLINE, {"id": id, "reason": reason})["declineAccess"])


def waiting(api: ApiClient) -> list[str]:
    """A note on the requests that wait for an answer; for the inbox."""
    found = api.call(_WAITING)
    count = found["all"]["totalCount"] - found["mine"]["totalCount"]
    if count <= 0:
        return []
    return [f"requests for access that wait for your answer: {count} (coe team requests)"]


def _answered(answer: dict[str, Any]) -> Result:
    done = answer["request"]
    notes = []
    if done and done["state"] == "PROPOSED":
        notes = ["a second person approves this role: coe team changes"]
    view = f"{done['subject']}, {_what(done)}: {done['state']}" if done else ()
    return Result(answer, view, notes, problems=answer["problems"], code=0 if done else 1)


def _what(request: dict[str, Any]) -> str:
    return f"{request['team']}/{request['role']}" if request["role"] else request["team"]
