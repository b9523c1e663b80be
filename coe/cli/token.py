"""`coe token`: issue and revoke tokens of people, services and workers."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import click

from coe.cli.api_client import ApiClient, connect, server_options, with_api
from coe.cli.documents import document, plain_id
from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, printed
from coe.cli.pages import Page, fetch, notes_on, paged
from coe.cli.settings_option import config_option, settings_from

_ISSUE: Final = document("""
mutation Issue($input: IssueTokenInput!) {
  issueToken(input: $input) { id token problems { ...problem } }
}
""")
_LIST: Final = """
query Tokens($subject: String, $active: Boolean, $first: Int!, $after: String) {
  tokens(subject: $subject, active: $active, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes { id name subject kind scopes createdAt createdBy expiresAt revokedAt active }
  }
}
"""
_REVOKE: Final = document("""
mutation Revoke($id: ID!, $reason: String!) {
  revokeToken(id: $id, reason: $reason) { id problems { ...problem } }
}
""")


@click.group(cls=Noun)
def command() -> None:
    """Issue, list and revoke tokens."""


@command.command()
@click.argument("subject")
@click.option("--name", required=True, help="What the token is for.")
@click.option("--scope", "scopes", multiple=True, help="A permission, or noun:*; repeatable.")
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, 366))
@click.option(
    "--operator",
    is_flag=True,
    help="With the database in place of the API: for the first tokens of an installation.",
)
@config_option
@server_options
@example(
    "coe token issue fiona --name laptop --scope run:* --days 30",
    "coe token issue coe-lead --name first --operator",
)
@printed()
def issue(
    subject: str,
    name: str,
    scopes: tuple[str, ...],
    days: int,
    operator: bool,  # noqa: FBT001  # click passes it by keyword
    config: str | None,
    url: str | None,
    token: str | None,
    profile: str | None,
) -> Result:
    """Issue a token for SUBJECT (a person, or service:worker/TEAM); it is printed only once.

    The API issues one for yourself, or for a service of one of your teams. The operator, who holds
    the database, issues any.
    """
    if operator:
        return _issue_as_operator(subject, name, scopes, days, config)
    given = {
        "subject": subject,
        "name": name,
        "scopes": list(scopes) or ["*"],
        "expiresIn": f"P{days}D",
    }
    with connect(url, token, profile) as api:
        answer = api.call(_ISSUE, {"input": given})["issueToken"]
    issued = answer["token"]
    notes = [f"id {plain_id(answer['id'])}, for coe token revoke"] if issued else []
    return Result(answer, issued or (), notes, problems=answer["problems"], code=0 if issued else 1)


@command.command("list")
@click.option("--subject", help="Only those of this subject.")
@click.option("--active/--inactive", default=None, help="Only those that work now, or do not.")
@paged()
@example("coe token list --active", "coe token list --subject service:worker/sales")
@printed()
@with_api
def list_tokens(api: ApiClient, subject: str | None, active: bool | None, page: Page) -> Result:  # noqa: FBT001  # click passes it by keyword
    """List your own tokens and those that you may revoke, the newest first; never their text."""
    found = fetch(api, _LIST, {"subject": subject, "active": active}, page, "tokens")
    rows = [
        row | {"token": plain_id(row["id"]), "expires": row["expiresAt"]} for row in found["nodes"]
    ]
    columns = ["name", "subject", "scopes", "active", "expires", "token"]
    return Result(found, Table(rows, columns, "No tokens."), notes_on(found))


@command.command()
@click.argument("id")
@click.option("--reason", required=True, help="Why.")
@example("coe token revoke 01a204ad-a69e-70a2-985e-cb36c368b5b1 --reason 'the laptop is lost'")
@printed()
@with_api
def revoke(api: ApiClient, id: str, reason: str) -> Result:  # noqa: A002  # the argument's name
    """Make the token ID worthless from now on."""
    answer = api.call(_REVOKE, {"id": id, "reason": reason})["revokeToken"]
    done = answer["id"]
    view = f"{plain_id(done)} is revoked" if done else ()
    return Result(answer, view, problems=answer["problems"], code=0 if done else 1)


def _issue_as_operator(
    subject: str, name: str, scopes: tuple[str, ...], days: int, config: str | None
) -> Result:
    from coe.bootstrap import issue_operator_token  # noqa: PLC0415  # SQLAlchemy is slow to import
    from coe.governance.tokens import TokenRequest  # noqa: PLC0415  # the same

    request = TokenRequest(name, subject, scopes or ("*",), timedelta(days=days))
    bearer = asyncio.run(issue_operator_token(settings_from(config), request))
    return Result({"token": bearer}, bearer)
