"""`coe client`: machines of a team that sign in with a secret or a key of their own."""

from __future__ import annotations

from typing import Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document, plain_id
from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, printed
from coe.cli.pages import Page, fetch, notes_on, paged

_CREATE: Final = document("""
mutation Create($input: CreateClientInput!) {
  createClient(input: $input) { id clientId secret problems { ...problem } }
}
""")
_LIST: Final = """
query Clients($team: String!, $active: Boolean, $first: Int!, $after: String) {
  clients(team: $team, active: $active, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      id clientId name team subject scopes hasSecret createdBy createdAt expiresAt
      lastSeenAt lastAddress revokedAt revokedBy active
    }
  }
}
"""
_REVOKE: Final = document("""
mutation Revoke($id: ID!, $reason: String!) {
  revokeClient(id: $id, reason: $reason) { id problems { ...problem } }
}
""")


@click.group(cls=Noun)
def command() -> None:
    """Register, list and revoke the machines of a team."""


@command.command()
@click.argument("team")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    help="A permission that it may use, or noun:*; repeatable.",
)
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, 366))
@click.option(
    "--public-key",
    metavar="KEY",
    help="Its Ed25519 public key in base64url; without it, it gets a secret.",
)
@example("coe client create sales web-shop --scope run:start --scope run:read --scope entry:read")
@printed()
@with_api
def create(
    api: ApiClient,
    team: str,
    name: str,
    scopes: tuple[str, ...],
    days: int,
    public_key: str | None,
) -> Result:
    """Register the machine NAME of TEAM; its secret is printed only once.

    It acts as service:NAME/TEAM, in TEAM alone, within its scopes. It signs in at /auth/token.
    """
    given = {
        "team": team,
        "name": name,
        "scopes": list(scopes),
        "expiresIn": f"P{days}D",
        "publicKey": public_key,
    }
    answer = api.call(_CREATE, {"input": given})["createClient"]
    client = answer["clientId"]
    view = [f"client id {client}", *([f"secret {answer['secret']}"] if answer["secret"] else [])]
    view = view if client else []
    return Result(answer, view, problems=answer["problems"], code=0 if client else 1)


@command.command("list")
@click.argument("team")
@click.option("--active/--inactive", default=None, help="Only those that can sign in, or cannot.")
@paged()
@example("coe client list sales --active")
@printed()
@with_api
def list_clients(api: ApiClient, team: str, active: bool | None, page: Page) -> Result:  # noqa: FBT001  # click passes it by keyword
    """List the machines that are registered for TEAM, the newest first; the reading is recorded."""
    found = fetch(api, _LIST, {"team": team, "active": active}, page, "clients")
    rows = [
        row | {"expires": row["expiresAt"], "seen": row["lastSeenAt"], "client": row["clientId"]}
        for row in found["nodes"]
    ]
    columns = ["name", "scopes", "active", "createdBy", "expires", "seen", "client"]
    return Result(found, Table(rows, columns, "No clients."), notes_on(found))


@command.command()
@click.argument("id")
@click.option("--reason", required=True, help="Why.")
@example("coe client revoke 01a204ad-a69e-70a2-985e-cb36c368b5b1 --reason 'the shop moved'")
@printed()
@with_api
def revoke(api: ApiClient, id: str, reason: str) -> Result:  # noqa: A002  # the argument's name
    """Make the client ID worthless from now on."""
    answer = api.call(_REVOKE, {"id": id, "reason": reason})["revokeClient"]
    done = answer["id"]
    view = f"{plain_id(done)} is revoked" if done else ()
    return Result(answer, view, problems=answer["problems"], code=0 if done else 1)
