"""Reasons and answers of proposals and requests, sealed: people write about people in them."""

from __future__ import annotations

from typing import Final

from coe.crypto.envelope import Cell
from coe.crypto.keys import Keyring
from coe.identity.teams.models import AccessRequest, MembershipProposal

PURPOSE: Final = "teams"


async def seal_text(
    keyring: Keyring, row: MembershipProposal | AccessRequest, column: str, text: str
) -> bytes:
    """Seal a text for its place."""
    return await keyring.seal(_place(row, column), PURPOSE, text.encode())


async def open_text(
    keyring: Keyring, row: MembershipProposal | AccessRequest, column: str, sealed: bytes | None
) -> str | None:
    """Open a sealed text; None stays None."""
    if sealed is None:
        return None
    return (await keyring.open(_place(row, column), PURPOSE, sealed)).decode()


def _place(row: MembershipProposal | AccessRequest, column: str) -> Cell:
    return Cell(str(row.__tablename__), str(row.id), column, row.team)
