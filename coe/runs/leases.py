"""Leases: one holder a run, and a fence that grows with every holder.

`runs.lease_until` with a holder is how long that holder is believed alive. Without a holder it is
when an engine, which was asked to carry out the run, should have begun; the reaper asks again
when either has passed. Times come from the platform's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import case, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from coe.runs.models import RunState
from coe.runs.tables import INBOX, RUNS, TIMERS

ENDED: Final = (RunState.COMPLETED, RunState.FAULTED, RunState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Lease:
    """That somebody holds a run: who, with which fence, and where its journal goes on."""

    run_id: UUID
    holder: str
    fence: int
    position: int


async def acquire(
    session: AsyncSession,
    run_id: UUID,
    *,
    holder: str,
    now: datetime,
    seconds: float,
) -> Lease | None:
    """Take a central run that nobody holds; none if somebody does, or if it has ended."""
    taken = await session.execute(
        update(RUNS)
        .where(
            RUNS.c.id == run_id,
            RUNS.c.local.is_(False),
            RUNS.c.state.not_in(ENDED),
            or_(RUNS.c.holder.is_(None), RUNS.c.lease_until < now),
        )
        .values(
            holder=holder,
            fence=RUNS.c.fence + 1,
            lease_until=now + timedelta(seconds=seconds),
            started_at=func.coalesce(RUNS.c.started_at, now),
            state=RunState.RUNNING,
        )
        .returning(RUNS.c.fence, RUNS.c.journal_length),
    )
    row = taken.one_or_none()
    return Lease(run_id, holder, row.fence, row.journal_length) if row else None


async def renew(
    session: AsyncSession,
    held: Mapping[UUID, int],
    *,
    now: datetime,
    seconds: float,
) -> set[UUID]:
    """Extend the leases of a process, given as run and fence; gives those that it still holds."""
    kept = await session.execute(
        text(
            """
            UPDATE runs SET lease_until = :until
            FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[])) AS held (id, fence)
            WHERE runs.id = held.id AND runs.fence = held.fence AND runs.holder IS NOT NULL
            RETURNING runs.id
            """,
        ),
        {
            "until": now + timedelta(seconds=seconds),
            "ids": list(held),
            "fences": list(held.values()),
        },
    )
    return set(kept.scalars())


async def park(session: AsyncSession, lease: Lease, *, now: datetime) -> bool:
    """Give the run up until something wakes it; not if there is something to do already.

    The row is locked before the inbox is read: what is committed to the inbox before is seen here,
    and who commits later finds the run parked and wakes it.
    """
    held = await session.execute(
        select(RUNS.c.id)
        .where(RUNS.c.id == lease.run_id, RUNS.c.fence == lease.fence, RUNS.c.holder.is_not(None))
        .with_for_update(key_share=True),
    )
    if held.one_or_none() is None:
        return False
    if await something_to_do(session, lease.run_id, now=now):
        return False
    await session.execute(
        update(RUNS)
        .where(RUNS.c.id == lease.run_id)
        .values(state=RunState.WAITING, holder=None, lease_until=None),
    )
    return True


async def something_to_do(session: AsyncSession, run_id: UUID, *, now: datetime) -> bool:
    """Whether the run has facts in its inbox or a timer that is due."""
    inbox = select(INBOX.c.id).where(INBOX.c.run_id == run_id).exists()
    timer = select(TIMERS.c.id).where(TIMERS.c.run_id == run_id, TIMERS.c.due_at <= now).exists()
    return bool(await session.scalar(select(or_(inbox, timer))))


async def release(session: AsyncSession, lease: Lease, *, now: datetime) -> None:
    """Give the run up at once, so that the reaper has it carried out elsewhere."""
    await session.execute(
        update(RUNS)
        .where(RUNS.c.id == lease.run_id, RUNS.c.fence == lease.fence)
        .values(
            holder=None,
            lease_until=case((RUNS.c.state.in_(ENDED), None), else_=now),
        ),
    )


async def next_timer(session: AsyncSession, run_id: UUID) -> datetime | None:
    """When the earliest timer of the run is due."""
    due: datetime | None = await session.scalar(
        select(func.min(TIMERS.c.due_at)).where(TIMERS.c.run_id == run_id),
    )
    return due
