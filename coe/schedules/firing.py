"""Start a run for each schedule that is due, in any process.

The row is locked (`SKIP LOCKED`). One transaction holds the run, its outbox message, the audit
event and the next time, so a due time starts one run, whatever crashes. Several times that were
missed while no process was up start one run. `every` and `cron` start a run whether or not the last
one is active; `after` waits until it has ended, with any outcome.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.events import AuditOutcome, Tag
from coe.errors import CoeError, Invalid, Unavailable
from coe.json_types import JSON
from coe.language.schedules import ScheduleKind
from coe.runs.actions import start_run
from coe.runs.correlations import is_of_another_team
from coe.runs.models import ENDED
from coe.runs.requests import Requester
from coe.runs.tables import RUNS, SCHEDULES
from coe.schedules.sync import REASON, SCHEDULER, live_version, refresh_schedule_in, timing_of_row
from coe.work import Platform, Work

MAX_STARTS: Final = 50
"""How many schedules one call of `fire_schedules` handles at most."""


async def fire_schedules(platform: Platform) -> int:
    """Fire the schedules that are due, each in one transaction; return how many were handled."""
    await _set_times_after_ended_runs(platform)
    fired = 0
    while fired < MAX_STARTS and await _fire_one(platform):
        fired += 1
    return fired


async def next_start(platform: Platform) -> timedelta | None:
    """The time until the next schedule is due; None without one."""
    async with platform.database.session() as session:
        due: datetime | None = await session.scalar(
            select(func.min(SCHEDULES.c.next_at)).where(SCHEDULES.c.enabled),
        )
        return None if due is None else due - platform.clock()


async def _set_times_after_ended_runs(platform: Platform) -> None:
    """Set the next time of each `after` schedule whose run has ended."""
    of_kind_after = SCHEDULES.c.kind == ScheduleKind.AFTER
    async with platform.database.session() as session:
        await session.execute(
            update(SCHEDULES)
            .where(
                of_kind_after,
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
    """Fire one schedule that is due and not locked; False without one."""
    async with platform.work(SCHEDULER) as work:
        schedule = await _due(work.session, work.now)
        if schedule is None:
            return False
        live = await live_version(work.session, schedule.entry_id)
        if live is None or live.id != schedule.version_id:
            await refresh_schedule_in(work.session, platform, schedule.entry_id)
            return True
        tick = schedule.next_at.astimezone(UTC)
        run_id = await start_scheduled_run(
            work,
            schedule,
            {},
            correlation_id=f"schedule:{schedule.flow}:{tick:%Y%m%dT%H%M%SZ}",
        )
        await _set_next_time(work, schedule, run_id)
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


async def _set_next_time(work: Work, schedule: Any, run_id: UUID | None) -> None:
    """Set the next time after now, so that missed times start no further runs."""
    since = schedule.since
    if schedule.kind is ScheduleKind.AFTER:
        since = work.now
    waits_for_run = schedule.kind is ScheduleKind.AFTER and run_id is not None
    next_at = None if waits_for_run else timing_of_row(schedule).next_after(work.now, since=since)
    await work.session.execute(
        update(SCHEDULES).where(SCHEDULES.c.id == schedule.id).values(next_at=next_at),
    )


async def start_scheduled_run(
    work: Work,
    schedule: Any,
    input_: JSON,
    *,
    correlation_id: str | None = None,
    inherits: bool = False,
    requester: Requester | None = None,
) -> UUID | None:
    """Start a run of a schedule's version; when it is refused, store the problem and return None.

    Args:
        work: Of the scheduler, with the schedule's row locked.
        schedule: The row.
        input_: The run's input.
        correlation_id: By default, and where a run of another team has it, a new one.
        inherits: Whether it is that of the run whose event starts this one.
        requester: The requester of the run; by default the scheduler.
    """
    ref = f"{schedule.flow}@{schedule.version}"
    if correlation_id is not None and not inherits:
        taken = await is_of_another_team(work.session, correlation_id, schedule.team)
        correlation_id = None if taken else correlation_id
    run_id: UUID | None = None
    problem: str | None = None
    try:
        run = await start_run(
            work,
            flow=ref,
            input=input_,
            correlation_id=correlation_id,
            inherits=inherits,
            requester=requester,
            reason=REASON,
        )
        run_id = run.id
    except Unavailable:  # it is tried again later
        raise
    except CoeError as error:
        problem = _problem_text(error)
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


def _problem_text(error: CoeError) -> str:
    """Why a run was not started, for people; it names places of the input and no values."""
    if isinstance(error, Invalid):
        places = ", ".join(sorted({problem.path or "/" for problem in error.problems}))
        return f"the input does not fit the flow's schema, at {places}"
    return f"{error.code}: {error.message}"
