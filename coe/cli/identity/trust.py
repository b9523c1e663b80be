"""`coe trust`: the jobs of a CI that a team trusts by the tokens of the CI's own issuer."""

from __future__ import annotations

from typing import Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document, plain_id
from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, printed
from coe.cli.pages import Page, fetch, notes_on, paged

DEFAULT_SCOPES: Final = ("entry:read", "flow:check", "flow:register", "flow:submit")
_ADD: Final = document("""
mutation Add($input: AddTrustRuleInput!) {
  addTrustRule(input: $input) { id problems { ...problem } }
}
""")
_LIST: Final = """
query TrustRules($team: String!, $active: Boolean, $first: Int!, $after: String) {
  trustRules(team: $team, active: $active, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      id name team subject issuer audience subjectPattern scopes createdBy createdAt expiresAt
      lastSeenAt lastAddress revokedAt revokedBy active
    }
  }
}
"""
_REMOVE: Final = document("""
mutation Remove($id: ID!, $reason: String!) {
  removeTrustRule(id: $id, reason: $reason) { id problems { ...problem } }
}
""")


@click.group(cls=Noun)
def command() -> None:
    """Trust the jobs of a CI; list and remove such rules."""


@command.command()
@click.argument("team")
@click.argument("name")
@click.option("--issuer", required=True, metavar="URL", help="Who signs the tokens of the jobs.")
@click.option("--audience", required=True, help="For whom the tokens are: this server's address.")
@click.option(
    "--subject",
    required=True,
    metavar="PATTERN",
    help="Their sub: * is one whole segment between : and /, ** at the end the rest.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=DEFAULT_SCOPES,
    show_default=True,
    help="A permission that they may use, or noun:*; repeatable.",
)
@click.option("--days", default=366, show_default=True, type=click.IntRange(1, 366))
@example(
    "coe trust add sales ci --issuer https://token.actions.githubusercontent.com "
    "--audience https://coe.example.com --subject repo:acme/flows:ref:refs/heads/main"
)
@printed()
@with_api
def add(
    api: ApiClient,
    team: str,
    name: str,
    issuer: str,
    audience: str,
    subject: str,
    scopes: tuple[str, ...],
    days: int,
) -> Result:
    """Trust tokens of an issuer as those of the machine NAME of TEAM.

    Jobs act as service:NAME/TEAM, in TEAM alone, within the scopes.
    """
    given = {
        "team": team,
        "name": name,
        "issuer": issuer,
        "audience": audience,
        "subject": subject,
        "scopes": list(scopes),
        "expiresIn": f"P{days}D",
    }
    answer = api.call(_ADD, {"input": given})["addTrustRule"]
    done = answer["id"]
    view = f"{plain_id(done)}: {subject} is service:{name}/{team}" if done else ()
    return Result(answer, view, problems=answer["problems"], code=0 if done else 1)


@command.command("list")
@click.argument("team")
@click.option("--active/--inactive", default=None, help="Only those in force, or those that ended.")
@paged()
@example("coe trust list sales")
@printed()
@with_api
def list_rules(api: ApiClient, team: str, active: bool | None, page: Page) -> Result:  # noqa: FBT001  # click passes it by keyword
    """List the jobs that TEAM trusts, the newest rule first; the reading is recorded."""
    found = fetch(api, _LIST, {"team": team, "active": active}, page, "trustRules")
    rows = [
        row | {"pattern": row["subjectPattern"], "rule": plain_id(row["id"])}
        for row in found["nodes"]
    ]
    columns = ["name", "issuer", "pattern", "scopes", "active", "createdBy", "rule"]
    return Result(found, Table(rows, columns, "No rules."), notes_on(found))


@command.command()
@click.argument("id")
@click.option("--reason", required=True, help="Why.")
@example("coe trust remove 01a204ad-a69e-70a2-985e-cb36c368b5b1 --reason 'the repository moved'")
@printed()
@with_api
def remove(api: ApiClient, id: str, reason: str) -> Result:  # noqa: A002  # the argument's name
    """Trust no more by the rule ID; what was given by it is worthless from now on."""
    answer = api.call(_REMOVE, {"id": id, "reason": reason})["removeTrustRule"]
    done = answer["id"]
    view = f"{plain_id(done)} is removed" if done else ()
    return Result(answer, view, problems=answer["problems"], code=0 if done else 1)
