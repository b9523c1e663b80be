"""The reaper: have runs carried on whose holder has died, or which an engine never started.

It also deletes what arrived too late: a fact that was sent to a run while the run was ending stays
in an inbox that nobody reads any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from coe.db.locks import Alone, is_alone
from coe.execution.dispatch import EXPECTED_WITHIN
from coe.outbox import OUTBOX, OutboxKind, enqueue
from coe.runs.models import ENDED, RunState
from coe.runs.tables import INBOX, NOW, RUNS, TIMERS
from coe.telemetry import metrics
from coe.work import Platform

MAX_RUNS: Final = 50


async def reap_once(platform: Platform) -> int:
    """Take runs from holders whose lease has expired; returns how many were taken."""
    async with platform.database.session() as session:
        rows = await session.execute(
            select(RUNS.c.id, RUNS.c.local, RUNS.c.holder, RUNS.c.fence)
            .where(RUNS.c.lease_until < NOW, RUNS.c.state.not_in(ENDED))
            .order_by(RUNS.c.lease_until)
            .limit(MAX_RUNS)
            .with_for_update(skip_locked=True, key_share=True),
        )
        silent = rows.all()
        if not silent:
            return 0
        asked = await _asked_for(session, [run.id for run in silent])
        for run in silent:
            await _take(session, run, asked=run.id in asked)
        await session.commit()
    for run in silent:
        metrics.LEASES_EXPIRED.labels("unbegun" if run.holder is None else "held").inc()
    return len(silent)


async def tidy_once(platform: Platform) -> int:
    """Delete inbox rows of runs that cannot be retried, and timers of ended runs; returns how many.

    Sending to a run does not lock it, so its end may be committed in between. A faulted run keeps
    what arrived for as long as events are kept, for somebody may retry it: but not a run that
    another one called, nor a local one, which has no use for it. One process at a time does this.
    """
    kept_for = timedelta(days=platform.settings.event_days)
    no_retry = or_(RUNS.c.local, RUNS.c.parent_id.is_not(None), RUNS.c.ended_at < NOW - kept_for)
    async with platform.database.session() as session:
        if not await is_alone(session, Alone.TIDY):
            return 0
        late = await session.execute(
            delete(INBOX).where(
                exists().where(
                    RUNS.c.id == INBOX.c.run_id,
                    or_(
                        RUNS.c.state.in_((RunState.COMPLETED, RunState.CANCELLED)),
                        and_(RUNS.c.state == RunState.FAULTED, no_retry),
                    ),
                ),
            ),
        )
        idle = await session.execute(
            delete(TIMERS).where(
                exists().where(RUNS.c.id == TIMERS.c.run_id, RUNS.c.state.in_(ENDED)),
            ),
        )
        await session.commit()
    return _count(late) + _count(idle)


def _count(result: Any) -> int:
    deleted: int = result.rowcount
    return deleted


async def _asked_for(session: AsyncSession, runs: Sequence[UUID]) -> set[UUID]:
    """The runs that already have a message to start or wake them; one is enough."""
    found = await session.execute(
        select(OUTBOX.c.subject).where(
            OUTBOX.c.subject.in_(runs),
            OUTBOX.c.kind.in_((OutboxKind.START, OutboxKind.WAKE)),
        ),
    )
    return set(found.scalars())


async def _take(session: AsyncSession, run: Any, *, asked: bool) -> None:
    """End the lease, so that its holder can write nothing more, and have the run carried on.

    A local run whose worker died gets a new attempt, and so a new engine run: late reports of the
    old one cannot affect it. A run that was never started is only woken.
    """
    died = run.holder is not None
    new_attempt = run.local and died
    values: dict[str, Any] = {
        "holder": None,
        "lease_until": NOW + EXPECTED_WITHIN,
        "fence": run.fence + new_attempt,
    }
    if new_attempt:
        values["waits_since"] = NOW
    await session.execute(update(RUNS).where(RUNS.c.id == run.id).values(values))
    if new_attempt or not asked:
        await enqueue(session, OutboxKind.START if new_attempt else OutboxKind.WAKE, run.id)
