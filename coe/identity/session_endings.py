"""The end of sessions, for good: at a sign-out, by somebody who may, and when a person leaves."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from coe.identity.models import Session

ENDED: Final = b""
"""The code of a session that was ended: it fits no secret any more."""


async def end_sessions(
    session: AsyncSession,
    *where: ColumnElement[bool],
    by: str,
    why: str,
    now: datetime,
) -> list[Session]:
    """End the sessions that these conditions select, for good; the caller commits and records.

    Args:
        session: The transaction.
        where: At least one condition; sessions that ended before stay as they are.
        by: The subject that ends them.
        why: In a word, such as `sign-out`.
        now: The time.
    """
    found = await session.scalars(
        update(Session)
        .where(*where, col(Session.revoked_at).is_(None), col(Session.expires_at) > now)
        .values(mac=ENDED, revoked_at=now, revoked_by=by, revoked_why=why)
        .returning(Session)
        .execution_options(populate_existing=True)
    )
    return list(found)
