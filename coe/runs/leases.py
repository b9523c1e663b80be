"""Leases: a run has one holder, and a fence that grows with every holder.

With a holder, `runs.lease_until` is until when that holder is assumed alive. Without a holder, it
is when an engine that was asked for the run should have started it. The reaper asks again when
either has passed. These times are the database's, so processes whose clocks differ agree on the
holder of a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from coe.db import DirectConnections
from coe.errors import NotFound
from coe.runs.models import ENDED, RunState
from coe.runs.records import IDENTITY_COLUMNS, RunIdentity
from coe.runs.tables import INBOX, NOW, RUNS, TIMERS


class Parking(Enum):
    """The result of `park`."""

    PARKED = auto()
    NEWS = auto()
    """Something arrived already, or a timer is due."""
    LOST = auto()
    """Another holder has the run."""


_TAKEN: Final = (
    f"{IDENTITY_COLUMNS.text}, fence, journal_length, steps_told, requested_at, input_sealed"
)

ACQUIRE: Final = f"""
UPDATE runs SET holder = $2, fence = fence + 1, state = 'RUNNING',
    lease_until = clock_timestamp() + make_interval(secs => $3),
    started_at = coalesce(started_at, clock_timestamp())
WHERE id = $1 AND NOT local AND state NOT IN ('COMPLETED', 'FAULTED', 'CANCELLED')
    AND (holder IS NULL OR lease_until < clock_timestamp())
RETURNING {_TAKEN}
"""  # noqa: S608  # made of constants
"""Take a run: its id, the holder, seconds. No row if the run is held or has ended."""

INSPECT: Final = f"""
SELECT {_TAKEN}, state, holder IS NULL OR lease_until < clock_timestamp() AS free
FROM runs WHERE id = $1 AND NOT local
"""  # noqa: S608  # the same
"""A central run as it is, and whether it may be taken."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A holder's right to a run: its name, its fence, and where it continues the journal.

    `projected` is the position in the journal up to which readers see the steps. The first append
    of a run that has no journal takes the run (`taken` is false until then).
    """

    run: RunIdentity
    holder: str
    fence: int
    position: int
    requested_at: datetime
    projected: int = 0
    input_sealed: bytes = field(default=b"", repr=False)
    taken: bool = True

    @property
    def run_id(self) -> UUID:
        """The id of the run."""
        return self.run.id


async def next_lease(
    direct: DirectConnections, run_id: UUID, *, holder: str
) -> Lease | RunState | None:
    """The next lease of a central run that may be taken; it is not taken yet.

    None if the run is held; its last state if it has ended.

    Raises:
        NotFound: There is no such central run.
    """
    rows = await direct.fetch(INSPECT, run_id)
    if not rows:
        raise NotFound
    row = rows[0]
    state = RunState(row["state"])
    if state in ENDED:
        return state
    if not row["free"]:
        return None
    return replace(_lease(holder, row), fence=row["fence"] + 1, taken=False)


async def acquire(
    direct: DirectConnections,
    run_id: UUID,
    *,
    holder: str,
    seconds: float,
) -> Lease | None:
    """Take a central run that nobody holds; None if it is held or has ended.

    It is committed when this returns.
    """
    rows = await direct.fetch(ACQUIRE, run_id, holder, seconds)
    return _lease(holder, rows[0]) if rows else None


def _lease(holder: str, row: Mapping[str, Any]) -> Lease:
    return Lease(
        run=IDENTITY_COLUMNS.named(row),
        holder=holder,
        fence=row["fence"],
        position=row["journal_length"],
        requested_at=row["requested_at"],
        projected=row["steps_told"],
        input_sealed=row["input_sealed"],
    )


async def renew(
    session: AsyncSession,
    held: Mapping[UUID, int],
    *,
    seconds: float,
    wait: bool = True,
) -> set[UUID]:
    """Extend the leases of a process, given as run and fence; returns the runs that it still holds.

    Without `wait`, runs that are being written are left out. With it, renew one run a transaction:
    to wait for a second row with a lock on the first may deadlock.
    """
    mine = await session.execute(
        select(RUNS.c.id)
        .where(
            tuple_(RUNS.c.id, RUNS.c.fence).in_(list(held.items())),
            RUNS.c.holder.is_not(None),
        )
        .with_for_update(key_share=True, skip_locked=not wait),
    )
    kept = set(mine.scalars())
    if kept:
        await session.execute(
            update(RUNS)
            .where(RUNS.c.id.in_(kept))
            .values(lease_until=NOW + timedelta(seconds=seconds)),
        )
    return kept


async def park(session: AsyncSession, lease: Lease) -> Parking:
    """Give the run up until something wakes it, unless there is something to do already.

    The row is locked before the inbox is read: a fact committed earlier is seen here, and whoever
    commits one later finds the run parked and wakes it.
    """
    held = await session.execute(
        select(RUNS.c.id)
        .where(RUNS.c.id == lease.run_id, RUNS.c.fence == lease.fence, RUNS.c.holder.is_not(None))
        .with_for_update(key_share=True),
    )
    if held.one_or_none() is None:
        return Parking.LOST
    if await something_to_do(session, lease.run_id):
        return Parking.NEWS
    await session.execute(
        update(RUNS)
        .where(RUNS.c.id == lease.run_id)
        .values(state=RunState.WAITING, holder=None, lease_until=None),
    )
    return Parking.PARKED


async def something_to_do(session: AsyncSession, run_id: UUID) -> bool:
    """Whether the run has facts in its inbox or a timer that is due."""
    inbox = select(INBOX.c.id).where(INBOX.c.run_id == run_id).exists()
    timer = select(TIMERS.c.id).where(TIMERS.c.run_id == run_id, TIMERS.c.due_at <= NOW).exists()
    return bool(await session.scalar(select(or_(inbox, timer))))


async def release(session: AsyncSession, lease: Lease, *, after: timedelta) -> bool:
    """Give the run up, so that the reaper has it carried out elsewhere after a pause.

    It is unknown whether a lease with `taken` unset was taken: then a run without a holder is
    released too. False if another holder has the run.
    """
    mine = (RUNS.c.fence == lease.fence) & (RUNS.c.holder == lease.holder)
    if not lease.taken:
        mine = mine | ((RUNS.c.fence == lease.fence - 1) & RUNS.c.holder.is_(None))
    given_up = await session.execute(
        update(RUNS)
        .where(RUNS.c.id == lease.run_id, RUNS.c.state.not_in(ENDED), mine)
        .values(holder=None, lease_until=NOW + after)
        .returning(RUNS.c.id),
    )
    return given_up.one_or_none() is not None


async def next_timer(session: AsyncSession, run_id: UUID) -> datetime | None:
    """When the earliest timer of the run is due."""
    due: datetime | None = await session.scalar(
        select(func.min(TIMERS.c.due_at)).where(TIMERS.c.run_id == run_id),
    )
    return due
