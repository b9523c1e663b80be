"""`coe team`: teams, their members and their flows."""

from __future__ import annotations

from typing import Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, View, printed
from coe.cli.pages import Page, fetch, notes_on, paged

_LIST: Final = "query Teams { teams { id slug name domain contact } }"
_SHOW: Final = """
query Team($slug: String!, $first: Int!, $after: String) {
  team(slug: $slug) {
    id slug name domain contact
    members { subject displayName roles }
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
    """List teams; show their members and their flows."""


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
        Table(team["members"], ["subject", "displayName", "roles"], "no members that you may see"),
        "",
        Table(flows["nodes"], ["ref", "title", "lifecycle"], "no flows that you may read"),
    ]
    return Result(team, view, notes_on(flows))
