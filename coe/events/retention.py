"""How long events are kept: to know them when they come again, and for runs that catch up.

An event goes after its time (`COE_EVENT_DAYS`), with the notes of whom it reached, unless the inbox
of a run still names it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from coe.runs.tables import EVENTS, INBOX

BATCH: Final = 5000
"""Events that go at once; the rest goes the next time."""


async def forget_events(session: AsyncSession, now: datetime) -> int:
    """Delete events whose time is over; gives how many. The caller commits."""
    named = exists().where(INBOX.c.event_id == EVENTS.c.id)
    over = select(EVENTS.c.id).where(EVENTS.c.keep_until < now, ~named).limit(BATCH)
    gone = await session.execute(delete(EVENTS).where(EVENTS.c.id.in_(over)).returning(EVENTS.c.id))
    return len(gone.all())
