"""The reaper: runs whose holder has died, or which an engine never began, are carried out again."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from coe.outbox import enqueue
from coe.runs.dispatch import EXPECTED_WITHIN
from coe.runs.leases import ENDED
from coe.runs.tables import RUNS
from coe.work import Platform

BATCH: Final = 50


async def reap_once(platform: Platform) -> int:
    """Take runs from holders that are not heard any more; gives how many were taken."""
    now = platform.clock()
    async with platform.database.session() as session:
        rows = await session.execute(
            select(RUNS.c.id, RUNS.c.local, RUNS.c.holder, RUNS.c.fence)
            .where(RUNS.c.lease_until < now, RUNS.c.state.not_in(ENDED))
            .order_by(RUNS.c.lease_until)
            .limit(BATCH)
            .with_for_update(skip_locked=True, key_share=True),
        )
        silent = rows.all()
        for run in silent:
            await _take(session, run, until=now + EXPECTED_WITHIN)
        await session.commit()
    return len(silent)


async def _take(session: AsyncSession, run: Any, *, until: Any) -> None:
    """End the lease, so that its holder can write nothing more, and ask for the run again.

    A local run whose worker died gets a new attempt, and so a new run of the engine: what the
    engine still says of the old one cannot hurt it. One that nobody has begun is only woken.
    """
    died = run.holder is not None
    anew = run.local and died
    await session.execute(
        update(RUNS)
        .where(RUNS.c.id == run.id)
        .values(holder=None, lease_until=until, fence=run.fence + anew),
    )
    await enqueue(session, "start" if anew else "wake", run.id)
