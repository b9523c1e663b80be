"""`coe session`: list and end the sessions of people who signed in."""

from __future__ import annotations

from typing import Any, Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document, plain_id
from coe.cli.grammar import Noun, example
from coe.cli.output import Result, Table, printed
from coe.cli.pages import Page, fetch, notes_on, paged

_LIST: Final = """
query Sessions($subject: String, $first: Int!, $after: String) {
  sessions(subject: $subject, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      id subject issuer current signedInAt authenticatedAt lastSeenAt expiresAt address client
    }
  }
}
"""
_REVOKE: Final = document("""
mutation Revoke($id: ID!, $reason: String!) {
  revokeSession(id: $id, reason: $reason) { ended problems { ...problem } }
}
""")
_REVOKE_ALL: Final = document("""
mutation RevokeAll($subject: String!, $reason: String!) {
  revokeSessions(subject: $subject, reason: $reason) { ended problems { ...problem } }
}
""")


@click.group(cls=Noun)
def command() -> None:
    """List and end the sessions of people who signed in."""


@command.command("list")
@click.option("--subject", help="Only those of this person.")
@paged()
@example("coe session list", "coe session list --subject anna.berg")
@printed()
@with_api
def list_sessions(api: ApiClient, subject: str | None, page: Page) -> Result:
    """List your own open sessions and those that you may end, the newest first."""
    found = fetch(api, _LIST, {"subject": subject}, page, "sessions")
    rows = [
        row
        | {
            "session": plain_id(row["id"]),
            "signed in": row["signedInAt"],
            "last seen": row["lastSeenAt"],
        }
        for row in found["nodes"]
    ]
    columns = ["subject", "signed in", "last seen", "address", "client", "session"]
    return Result(found, Table(rows, columns, "No sessions."), notes_on(found))


@command.command()
@click.argument("id")
@click.option("--reason", required=True, help="Why.")
@example("coe session revoke 01a204ad-a69e-70a2-985e-cb36c368b5b1 --reason 'a shared machine'")
@printed()
@with_api
def revoke(api: ApiClient, id: str, reason: str) -> Result:  # noqa: A002  # the argument's name
    """End the session ID at once."""
    return _ended(api.call(_REVOKE, {"id": id, "reason": reason})["revokeSession"])


@command.command("revoke-all")
@click.argument("subject")
@click.option("--reason", required=True, help="Why.")
@example("coe session revoke-all anna.berg --reason 'her laptop was stolen'")
@printed()
@with_api
def revoke_all(api: ApiClient, subject: str, reason: str) -> Result:
    """End every session of SUBJECT: they are signed out everywhere."""
    return _ended(api.call(_REVOKE_ALL, {"subject": subject, "reason": reason})["revokeSessions"])


def _ended(answer: dict[str, Any]) -> Result:
    ended = answer["ended"]
    view = () if ended is None else f"{ended} ended"
    code = 1 if ended is None else 0
    return Result(answer, view, problems=answer["problems"], code=code)
