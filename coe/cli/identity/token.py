"""`coe token`: issue and revoke tokens of people, services and workers."""

from __future__ import annotations

import asyncio
from typing import Final

import click

from coe.cli.api_client import ApiClient, connect, server_options, with_api
from coe.cli.documents import document, plain_id
from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, printed
from coe.cli.pages import Page, fetch, notes_on, paged
from coe.cli.settings_option import config_option, settings_from
from coe.formats import durations

_ISSUE: Final = document("""
mutation Issue($input: IssueTokenInput!) {
  issueToken(input: $input) { id token problems { ...problem } }
}
""")
_LIST: Final = """
query Tokens(
  $subject: String, $active: Boolean, $team: String, $madeBy: String, $first: Int!, $after: String
) {
  tokens(
    subject: $subject, active: $active, team: $team, madeBy: $madeBy, first: $first, after: $after
  ) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      id name subject kind scopes team parentId createdAt createdBy expiresAt revokedAt active
      lastUsedAt lastAddress
    }
  }
}
"""
_REVOKE: Final = document("""
mutation Revoke($id: ID!, $reason: String!) {
  revokeToken(id: $id, reason: $reason) { id problems { ...problem } }
}
""")
_REVOKE_ALL: Final = document("""
mutation RevokeAll($input: RevokeTokensInput!) {
  revokeTokens(input: $input) { ids problems { ...problem } }
}
""")
_DAYS: Final = 90


@click.group(cls=Noun)
def command() -> None:
    """Issue, list and revoke tokens."""


@command.command()
@click.argument("subject")
@click.option("--name", required=True, help="What the token is for.")
@click.option("--scope", "scopes", multiple=True, help="A permission, or noun:*; repeatable.")
@click.option("--team", help="Only for the resources of this team.")
@click.option("--days", type=click.IntRange(1, 365), help=f"How long it works; default {_DAYS}.")
@click.option("--expires-in", help="How long it works, as a duration such as PT8H, up to a year.")
@click.option(
    "--operator",
    is_flag=True,
    help="With the database in place of the API: for the first tokens of an installation.",
)
@config_option
@server_options
@example(
    "coe token issue fiona --name laptop --scope run:* --days 30",
    "coe token issue service:web-shop --name shop --scope event:send --team sales",
    "coe token issue fiona --name build --scope flow:register --scope entry:read",
    "coe token issue coe-lead --name first --operator",
)
@printed()
def issue(
    subject: str,
    name: str,
    scopes: tuple[str, ...],
    team: str | None,
    days: int | None,
    expires_in: str | None,
    operator: bool,  # noqa: FBT001  # click passes it by keyword
    config: str | None,
    url: str | None,
    token: str | None,
    profile: str | None,
) -> Result:
    """Issue a token for SUBJECT (a person or a service); it is printed only once.

    The API issues one for yourself, or for a service of a team that you lead. It has no other
    scopes than the token that you send, ends no later and is revoked with it. The operator, who
    holds the database, issues any.
    """
    if days is not None and expires_in is not None:
        raise click.UsageError("give --days or --expires-in, not both")
    duration = expires_in or f"P{days or _DAYS}D"
    if operator:
        return _issue_as_operator(subject, name, scopes, duration, team, config)
    given = {
        "subject": subject,
        "name": name,
        "scopes": list(scopes) or ["*"],
        "expiresIn": duration,
        "team": team,
    }
    with connect(url, token, profile) as api:
        answer = api.call(_ISSUE, {"input": given})["issueToken"]
    issued = answer["token"]
    notes = [f"id {plain_id(answer['id'])}, for coe token revoke"] if issued else []
    return Result(answer, issued or (), notes, problems=answer["problems"], code=0 if issued else 1)


@command.command("list")
@click.option("--subject", help="Only those of this subject.")
@click.option("--team", help="Only those bound to this team, and the unbound of its members.")
@click.option("--made-by", help="Only those that this subject issued, for itself or a service.")
@click.option("--active/--inactive", default=None, help="Only those that work now, or do not.")
@paged()
@example("coe token list --active", "coe token list --team sales --made-by fiona")
@printed()
@with_api
def list_tokens(
    api: ApiClient,
    subject: str | None,
    team: str | None,
    made_by: str | None,
    active: bool | None,  # noqa: FBT001  # click passes it by keyword
    page: Page,
) -> Result:
    """List your own tokens and those that you may revoke, the newest first; never their text."""
    wanted = {"subject": subject, "team": team, "madeBy": made_by, "active": active}
    found = fetch(api, _LIST, wanted, page, "tokens")
    rows = [
        row
        | {
            "token": plain_id(row["id"]),
            "expires": row["expiresAt"],
            "lastUsed": row["lastUsedAt"],
            "from": row["lastAddress"],
            "by": row["createdBy"],
            "parent": plain_id(row["parentId"]) if row["parentId"] else None,
        }
        for row in found["nodes"]
    ]
    columns = ["name", "subject", "team", "scopes", "active", "expires", "lastUsed", "from", "by"]
    columns += ["parent", "token"]
    return Result(found, Table(rows, columns, "No tokens."), notes_on(found))


@command.command()
@click.argument("id")
@click.option("--reason", required=True, help="Why.")
@example("coe token revoke 01a204ad-a69e-70a2-985e-cb36c368b5b1 --reason 'the laptop is lost'")
@printed()
@with_api
def revoke(api: ApiClient, id: str, reason: str) -> Result:  # noqa: A002  # the argument's name
    """Make the token ID worthless from now on, and all that were issued with it."""
    answer = api.call(_REVOKE, {"id": id, "reason": reason})["revokeToken"]
    done = answer["id"]
    view = f"{plain_id(done)} is revoked" if done else ()
    return Result(answer, view, problems=answer["problems"], code=0 if done else 1)


@command.command("revoke-all")
@click.option("--subject", help="Those of this subject.")
@click.option("--team", help="Those bound to this team, and the unbound ones of its members.")
@click.option("--made-by", help="Those that this subject issued, for itself or a service.")
@click.option("--reason", required=True, help="Why.")
@example(
    "coe token revoke-all --subject fiona --reason 'her laptop was stolen'",
    "coe token revoke-all --team sales --made-by fiona --reason 'she has left'",
)
@printed()
@with_api
def revoke_all(
    api: ApiClient, subject: str | None, team: str | None, made_by: str | None, reason: str
) -> Result:
    """Make all tokens of a subject, of a team or of a maker worthless, as far as you may."""
    if subject is None and team is None and made_by is None:
        raise click.UsageError("give --subject, --team or --made-by")
    given = {"subject": subject, "team": team, "madeBy": made_by, "reason": reason}
    answer = api.call(_REVOKE_ALL, {"input": given})["revokeTokens"]
    if answer["problems"]:
        return Result(answer, (), problems=answer["problems"], code=1)
    lines = [f"{plain_id(each)} is revoked" for each in answer["ids"]]
    return Result(answer, lines or "nothing to revoke, as far as you may")


def _issue_as_operator(
    subject: str,
    name: str,
    scopes: tuple[str, ...],
    duration: str,
    team: str | None,
    config: str | None,
) -> Result:
    from coe.bootstrap import issue_operator_token  # noqa: PLC0415  # SQLAlchemy is slow to import
    from coe.governance.tokens import TokenRequest  # noqa: PLC0415  # the same

    try:
        lifetime = durations.read(duration)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--expires-in") from None
    request = TokenRequest(name, subject, scopes or ("*",), lifetime, team)
    bearer, ident = asyncio.run(issue_operator_token(settings_from(config), request))
    notes = [f"id {ident}, for coe token revoke"]
    return Result({"id": str(ident), "token": bearer}, bearer, notes)
