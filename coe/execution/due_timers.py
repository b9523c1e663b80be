"""Fire timers that are due, each once, in any process.

A holder fires the timers of its central runs itself; this is for runs that nobody holds, for human
tasks, and for the timeouts of local runs. The transaction that writes the effect of a timer deletes
its row.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import case, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from coe.human_tasks import opening, reminders
from coe.machine.facts import Fact, FactKind
from coe.runs import inbox, local_timeouts
from coe.runs.models import TimerKind
from coe.runs.tables import NOW, RUNS, TASKS, TIMERS
from coe.work import Platform

MAX_TIMERS: Final = 50
GRACE: Final = timedelta(seconds=3)
"""How long a holder may take to fire a timer of its run."""


async def fire_due(platform: Platform) -> int:
    """Fire the timers that are due, one a transaction; returns how many were fired."""
    fired = 0
    for timer in await _due(platform):
        async with platform.database.session() as session:
            fired += await _fire(platform, session, timer)
            await session.commit()
    return fired


async def next_due(platform: Platform) -> timedelta | None:
    """How long until `fire_due` has something to do, by the database's clock."""
    async with platform.database.session() as session:
        unheld = or_(TIMERS.c.kind != TimerKind.MACHINE, RUNS.c.holder.is_(None))
        due_at = case((unheld, TIMERS.c.due_at), else_=TIMERS.c.due_at + GRACE)
        due: timedelta | None = await session.scalar(
            select(func.min(due_at) - NOW).join_from(TIMERS, RUNS, RUNS.c.id == TIMERS.c.run_id),
        )
        return due


async def _due(platform: Platform) -> list[Any]:
    async with platform.database.session() as session:
        rows = await session.execute(
            select(TIMERS)
            .join(RUNS, RUNS.c.id == TIMERS.c.run_id)
            .where(
                TIMERS.c.due_at <= NOW,
                or_(
                    TIMERS.c.kind != TimerKind.MACHINE,
                    RUNS.c.holder.is_(None),
                    TIMERS.c.due_at < NOW - GRACE,
                ),
            )
            .order_by(TIMERS.c.due_at, TIMERS.c.id)
            .limit(MAX_TIMERS),
        )
        return list(rows)


async def _fire(platform: Platform, session: AsyncSession, timer: Any) -> int:
    """Fire one timer, unless another process has, or it was moved or deleted meanwhile.

    A task is locked before its timer is deleted, as everywhere (see `completion.withdraw_tasks`).
    """
    now = platform.clock()
    if timer.kind is TimerKind.LOCAL_RUN:
        return int(await local_timeouts.expire(session, platform.keyring, timer, now))
    if timer.kind is not TimerKind.MACHINE:
        await session.execute(
            select(TASKS.c.id)
            .where(TASKS.c.run_id == timer.run_id, TASKS.c.key == timer.key)
            .with_for_update(key_share=True),
        )
    gone = await session.execute(
        delete(TIMERS)
        .where(TIMERS.c.id == timer.id, TIMERS.c.due_at == timer.due_at)
        .returning(TIMERS.c.id),
    )
    if gone.one_or_none() is None:
        return 0
    if timer.kind is TimerKind.TASK:
        await opening.escalate_or_expire(session, platform.keyring, timer.run_id, timer.key, now)
    elif timer.kind is TimerKind.REMINDER:
        await reminders.remind(session, platform.keyring, timer.run_id, timer.key, now)
    else:
        fact = Fact(FactKind.TIMER_FIRED, now, timer.key)
        await inbox.send(session, platform.keyring, timer.run_id, fact)
    return 1
