"""Schedules that are due: each starts one run, by whoever is alive.

The row is locked (`SKIP LOCKED`), and the run, its message, the record in the log and the next time
stand in one transaction: a time that was reached starts one run, whatever crashes. What was missed
while nobody was there is made up for by one start, never by many. `every` and `cron` start a run
whether or not the last one goes on; `after` waits for its end, however it ends.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.events import AuditOutcome, Tag
from coe.errors import CoeError, Invalid
from coe.json_types import JSON
from coe.language.schedules import ScheduleKind
from coe.runs.actions import start_run
from coe.runs.models import ENDED
from coe.runs.tables import RUNS, SCHEDULES
from coe.schedules.sync import REASON, SCHEDULER, live_version, refresh_in, timing_in
from coe.work import Platform, Work

BATCH: Final = 50


async def fire_schedules(platform: Platform) -> int:
    """Start what is due, each in a transaction of its own; gives how many were looked at."""
    await _let_follow(platform)
    fired = 0
    while fired < BATCH and await _fire_one(platform):
        fired += 1
    return fired


async def next_start(platform: Platform) -> timedelta | None:
    """In how long the next schedule of all is due."""
    async with platform.database.session() as session:
        due: datetime | None = await session.scalar(
            select(func.min(SCHEDULES.c.next_at)).where(SCHEDULES.c.enabled),
        )
        return None if due is None else due - platform.clock()


async def _let_follow(platform: Platform) -> None:
    """Set the time of each `after` whose run has ended."""
    following = SCHEDULES.c.kind == ScheduleKind.AFTER
    async with platform.database.session() as session:
        await session.execute(
            update(SCHEDULES)
            .where(
                following,
                SCHEDULES.c.next_at.is_(None),
                RUNS.c.id == SCHEDULES.c.last_run_id,
                RUNS.c.state.in_(ENDED),
            )
            .values(
                next_at=RUNS.c.ended_at + func.make_interval(0, 0, 0, 0, 0, 0, SCHEDULES.c.seconds)
            ),
        )
        await session.commit()


async def _fire_one(platform: Platform) -> bool:
    """Start the flow of one schedule that is due; false if there is none that nobody else has."""
    async with platform.work(SCHEDULER) as work:
        schedule = await _due(work.session, work.now)
        if schedule is None:
            return False
        live = await live_version(work.session, schedule.entry_id)
        if live is None or live.id != schedule.version_id:
            await refresh_in(work.session, platform, schedule.entry_id)
            return True
        tick = schedule.next_at.astimezone(UTC)
        run_id = await start(
            work,
            schedule,
            {},
            correlation_id=f"schedule:{schedule.flow}:{tick:%Y%m%dT%H%M%SZ}",
        )
        await _note(work, schedule, run_id)
        return True


async def _due(session: AsyncSession, now: datetime) -> Any:
    found = await session.execute(
        select(SCHEDULES)
        .where(SCHEDULES.c.enabled, SCHEDULES.c.next_at <= now)
        .order_by(SCHEDULES.c.next_at)
        .limit(1)
        .with_for_update(skip_locked=True),
    )
    return found.one_or_none()


async def _note(work: Work, schedule: Any, run_id: UUID | None) -> None:
    """Set the next time: after now, so that what was missed is not made up for one by one."""
    since = schedule.since
    if schedule.kind is ScheduleKind.AFTER:
        since = work.now
    waits = schedule.kind is ScheduleKind.AFTER and run_id is not None
    next_at = None if waits else timing_in(schedule).next_after(work.now, since=since)
    await work.session.execute(
        update(SCHEDULES).where(SCHEDULES.c.id == schedule.id).values(next_at=next_at),
    )


async def start(
    work: Work,
    schedule: Any,
    given: JSON,
    *,
    correlation_id: str | None = None,
    requester: str | None = None,
) -> UUID | None:
    """Start a run of a schedule's version, and note it; none, with the problem, if it is refused.

    Args:
        work: As the scheduler, with the schedule's row locked.
        schedule: The row.
        given: The run's input.
        correlation_id: By default a new one.
        requester: Who stands at the root; by default the scheduler.
    """
    ref = f"{schedule.flow}@{schedule.version}"
    run_id: UUID | None = None
    problem: str | None = None
    try:
        run = await start_run(
            work,
            flow=ref,
            input=given,
            correlation_id=correlation_id,
            requester=requester,
            reason=REASON,
        )
        run_id = run.id
    except CoeError as error:
        problem = _told(error)
        await work.record(
            Tag.RUNS_RUN_START,
            resource=f"flow:{ref}",
            team=schedule.team,
            reason=f"{REASON}: {problem}",
            outcome=AuditOutcome.FAILED,
            correlation_id=correlation_id,
        )
    values: dict[str, Any] = {"last_at": work.now, "problem": problem}
    if run_id is not None:
        values["last_run_id"] = run_id
    await work.session.execute(
        update(SCHEDULES).where(SCHEDULES.c.id == schedule.id).values(values),
    )
    return run_id


def _told(error: CoeError) -> str:
    """What a person reads of a start that did not come about; of the input only where it is."""
    if isinstance(error, Invalid):
        places = ", ".join(sorted({problem.path or "/" for problem in error.problems}))
        return f"the input does not fit the flow's schema, at {places}"
    return f"{error.code}: {error.message}"
