"""Delete old events. They are stored to recognise duplicates, and for runs that catch up.

An event is deleted after `COE_EVENT_DAYS`, with its deliveries, unless the inbox of a run still
names it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from coe.runs.tables import EVENTS, INBOX

MAX_DELETED: Final = 5000
"""How many events one call deletes at most."""


async def delete_expired_events(session: AsyncSession, now: datetime) -> int:
    """Delete expired events and return how many. The caller commits."""
    named = exists().where(INBOX.c.event_id == EVENTS.c.id)
    expired = select(EVENTS.c.id).where(EVENTS.c.keep_until < now, ~named).limit(MAX_DELETED)
    deleted = await session.execute(
        delete(EVENTS).where(EVENTS.c.id.in_(expired)).returning(EVENTS.c.id)
    )
    return len(deleted.all())
