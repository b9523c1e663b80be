"""The group of `coe team`: list teams; show their members and their flows."""

from __future__ import annotations

from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, View, printed
from coe.cli.pages import Page, fetch, notes_on, paged
from coe.cli.team.members import add, approve, change, changes, create, refuse, remove, source
from coe.cli.team.onboard import checklist, offboard, onboard
from coe.cli.team.requests import decline, grant, request, requests

_MEMBER: Final = ["subject", "displayName", "roles", "until"]
_LIST: Final = "query Teams { teams { id slug name domain contact } }"
_SHOW: Final = """
query Team($slug: String!, $first: Int!, $after: String) {
  team(slug: $slug) {
    id slug name domain contact membersSource state
    members { subject displayName roles expiresAt granted { role until } }
    flows(first: $first, after: $after) {
      totalCount
      pageInfo { hasNextPage endCursor }
      nodes { ref title lifecycle flowKind }
    }
  }
}
"""


@click.group(cls=Noun)
def command() -> None:
    """List teams, change their members, and ask for access."""


for _verb in (
    create,
    add,
    change,
    remove,
    source,
    changes,
    approve,
    refuse,
    request,
    requests,
    grant,
    decline,
    onboard,
    checklist,
    offboard,
):
    command.add_command(_verb)


@command.command("list")
@example("coe team list")
@printed()
@with_api
def list_teams(api: ApiClient) -> Result:
    """List all teams."""
    found = api.call(_LIST)["teams"]
    return Result(found, Table(found, ["slug", "name", "domain", "contact"], "No teams."))


@command.command()
@click.argument("slug")
@paged()
@example("coe team show sales")
@printed()
@with_api
def show(api: ApiClient, slug: str, page: Page) -> Result:
    """Show the team SLUG: its members with their roles, and its flows that you may read."""
    team = api.call(_SHOW, {"slug": slug, **page.variables})["team"]
    flows = team["flows"]
    if page.every and flows["pageInfo"]["hasNextPage"]:
        flows = team["flows"] = fetch(api, _SHOW, {"slug": slug}, page, "team", "flows")
    view: list[View] = [
        f"{team['slug']}: {team['name']}" + (f", {team['contact']}" if team["contact"] else ""),
        f"its people come from {team['membersSource']}"
        + (" (retired)" if team["state"] == "RETIRED" else ""),
        Table([_member(each) for each in team["members"]], _MEMBER, "no members that you may see"),
        "",
        Table(flows["nodes"], ["ref", "title", "lifecycle"], "no flows that you may read"),
    ]
    return Result(team, view, notes_on(flows))


def _member(member: dict[str, Any]) -> dict[str, Any]:
    granted = [f"{each['role'] or 'member'} until {each['until']}" for each in member["granted"]]
    return member | {"roles": [*member["roles"], *granted], "until": member["expiresAt"]}
