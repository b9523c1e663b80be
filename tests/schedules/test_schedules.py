"""Schedules: one start for each due time, whatever crashes, of the live version."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from coe.access.actor import Actor
from coe.catalog import actions as catalog
from coe.errors import Conflict, Forbidden, Invalid, NotFound
from coe.execution.dispatch import dispatch_once
from coe.execution.engine import EngineHealth
from coe.language.schedules import ScheduleKind
from coe.runs.actions import start_run
from coe.runs.models import RunState
from coe.runs.tables import SCHEDULES
from coe.schedules.actions import pause_schedule, resume_schedule
from coe.schedules.firing import fire_schedules, next_start
from coe.work import Platform
from tests.factories.audit import AUDIT
from tests.factories.people import AUDITOR, OUTSIDER, SALES_OWNER
from tests.factories.runs import publish
from tests.factories.schedules import (
    BEGIN,
    Clock,
    drain,
    end,
    flow,
    publish_scheduled,
    schedule_of,
    scheduled,
    started,
)


@pytest.fixture
def clock(platform: Platform) -> Clock:
    """A clock that stands still, on the platform."""
    made = Clock()
    platform.clock = made
    return made


class Idle:
    """An engine that accepts everything and does nothing."""

    name = "idle"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def nothing(*_: object) -> Any:
            return EngineHealth("idle", ready=True) if name == "health" else None

        return nothing


# ---------------------------------------------------------------- by the clock


async def test_cron_starts_at_its_time_in_its_zone(platform: Platform, clock: Clock) -> None:
    await publish_scheduled(platform, flow("{cron: 30 2 * * *}", zone="Europe/Berlin"))
    row = await scheduled(platform)
    assert (row.kind, row.expression, row.time_zone) == (
        ScheduleKind.CRON,
        "30 2 * * *",
        "Europe/Berlin",
    )
    assert row.next_at == clock.to("2026-03-28T01:30:00Z")
    clock.now -= timedelta(seconds=1)
    assert await fire_schedules(platform) == 0
    clock.now += timedelta(seconds=1)
    assert await fire_schedules(platform) == 1
    assert await fire_schedules(platform) == 0
    [run] = await started(platform)
    assert run.correlation_id == "schedule:sales/nightly:20260328T013000Z"
    assert (run.started_by, run.requester, run.state) == (
        "service:scheduler",
        "service:scheduler",
        "REQUESTED",
    )
    row = await scheduled(platform)
    assert (row.last_at, row.last_run_id) == (clock.now, run.id)
    # The night in which the clock is put forward: 02:30 is not there.
    assert row.next_at == clock.to("2026-03-29T01:00:00Z")
    assert await fire_schedules(platform) == 1
    assert (await scheduled(platform)).next_at == clock.to("2026-03-30T00:30:00Z")


async def test_the_night_that_has_its_hour_twice_starts_once(
    platform: Platform, clock: Clock
) -> None:
    clock.to("2026-10-24T12:00:00Z")
    await publish_scheduled(platform, flow("{cron: 30 2 * * *}", zone="Europe/Berlin"))
    for minutes in range(0, 24 * 60, 10):
        clock.now = datetime(2026, 10, 24, 20, 0, tzinfo=UTC) + timedelta(minutes=minutes)
        await fire_schedules(platform)
    assert len(await started(platform)) == 1


async def test_several_missed_times_start_one_run(platform: Platform, clock: Clock) -> None:
    await publish_scheduled(platform, flow("{cron: '*/5 * * * *'}"))
    clock.to("2026-04-01T12:02:00Z")
    assert await fire_schedules(platform) == 1
    assert await fire_schedules(platform) == 0
    assert (await scheduled(platform)).next_at == clock.to("2026-04-01T12:05:00Z")
    assert await next_start(platform) == timedelta(0)


async def test_every_starts_without_drift_while_other_runs_are_active(
    platform: Platform, clock: Clock
) -> None:
    await publish_scheduled(platform, flow("{every: PT1H}"))
    assert await fire_schedules(platform) == 0
    for hours in (1, 2, 3):
        clock.now = BEGIN + timedelta(hours=hours, seconds=7)
        assert await fire_schedules(platform) == 1
        assert (await scheduled(platform)).next_at == BEGIN + timedelta(hours=hours + 1)
    assert len(await started(platform)) == 3


@pytest.mark.parametrize("state", [RunState.COMPLETED, RunState.FAULTED, RunState.CANCELLED])
async def test_after_waits_for_the_end_of_its_run(
    platform: Platform, clock: Clock, state: RunState
) -> None:
    await publish_scheduled(platform, flow("{after: PT10M}"))
    clock.now += timedelta(minutes=10)
    assert await fire_schedules(platform) == 1
    clock.now += timedelta(hours=5)
    assert await fire_schedules(platform) == 0
    assert (await scheduled(platform)).next_at is None
    [run] = await started(platform)
    await end(platform, run.id, state, clock.now)
    assert await fire_schedules(platform) == 0
    assert (await scheduled(platform)).next_at == clock.now + timedelta(minutes=10)
    clock.now += timedelta(minutes=10)
    assert await fire_schedules(platform) == 1
    assert len(await started(platform)) == 2


async def test_many_processes_start_once(platform: Platform, clock: Clock) -> None:
    for number in range(6):
        await publish(platform, flow("{every: PT1H}", name=f"flow-{number}"))
    await drain(platform)
    clock.now += timedelta(hours=1)
    await asyncio.gather(*(fire_schedules(platform) for _ in range(6)))
    assert len(await started(platform)) == 6


async def test_a_crash_before_the_commit_starts_nothing_and_loses_nothing(
    platform: Platform, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish_scheduled(platform, flow("{every: PT1H}"))
    clock.now += timedelta(hours=1)

    class Died(BaseException):
        pass

    async def dying(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr("coe.schedules.firing._set_next_time", dying)
        with pytest.raises(Died):
            await fire_schedules(platform)
    assert await started(platform) == []
    assert await fire_schedules(platform) == 1
    assert len(await started(platform)) == 1


async def test_the_start_is_recorded_with_its_reason(platform: Platform, clock: Clock) -> None:
    await publish_scheduled(platform, flow("{every: PT1H}"))
    clock.now += timedelta(hours=1)
    await fire_schedules(platform)
    async with platform.database.session() as session:
        event = (
            await session.execute(select(AUDIT).where(AUDIT.c.action == "runs:run:start"))
        ).one()
    assert (event.actor, event.actor_kind, event.outcome) == (
        "service:scheduler",
        "SERVICE",
        "ALLOWED",
    )
    assert event.rule == "p, coe/scheduler, *, run:start, *, allow"
    assert event.reason_sealed is not None


async def test_an_input_that_does_not_fit_is_a_problem_and_the_clock_continues(
    platform: Platform, clock: Clock
) -> None:
    await publish_scheduled(platform, flow("{every: PT1H}"))
    clock.now += timedelta(hours=1)
    async with platform.database.session() as session:
        await session.execute(update(SCHEDULES).values(version="9.9.9"))
        await session.commit()
    assert await fire_schedules(platform) == 1
    row = await scheduled(platform)
    assert row.problem is not None
    assert row.problem.startswith("CONFLICT:")
    assert row.next_at == BEGIN + timedelta(hours=2)
    assert await started(platform) == []


# ---------------------------------------------------------------- what is live


async def test_a_draft_starts_nothing(platform: Platform, clock: Clock) -> None:
    async with platform.work(SALES_OWNER) as work:
        await catalog.register_flow(work, flow("{every: PT1H}"))
    await drain(platform)
    assert await schedule_of(platform) is None


async def test_another_live_version_has_another_schedule(platform: Platform, clock: Clock) -> None:
    await publish_scheduled(platform, flow("{every: PT1H}"))
    clock.now += timedelta(minutes=50)
    await publish_scheduled(platform, flow("{every: PT2H}", version="1.1.0"))
    assert (await scheduled(platform)).version == "1.0.0"
    async with platform.work(SALES_OWNER) as work:
        await catalog.set_alias(work, "sales/nightly", "live", "1.1.0")
    await drain(platform)
    row = await scheduled(platform)
    assert (row.version, row.expression) == ("1.1.0", "PT2H")
    assert row.next_at == clock.now + timedelta(hours=2)


async def test_an_unchanged_schedule_continues_in_another_version(
    platform: Platform, clock: Clock
) -> None:
    await publish_scheduled(platform, flow("{every: PT1H}"))
    async with platform.work(SALES_OWNER) as work:
        await pause_schedule(work, "sales/nightly", reason="a look")
    clock.now += timedelta(minutes=50)
    await publish(platform, flow("{every: PT1H}", version="1.1.0"))
    async with platform.work(SALES_OWNER) as work:
        await catalog.set_alias(work, "sales/nightly", "live", "1.1.0")
    await drain(platform)
    row = await scheduled(platform)
    assert (row.version, row.enabled) == ("1.1.0", False)
    assert row.next_at == BEGIN + timedelta(hours=1)


async def test_a_live_version_without_a_schedule_deletes_it(
    platform: Platform, clock: Clock
) -> None:
    await publish_scheduled(platform, flow("{every: PT1H}"))
    bare = flow("{every: PT1H}", version="1.1.0").replace("schedule: {every: PT1H}\n", "")
    await publish(platform, bare)
    async with platform.work(SALES_OWNER) as work:
        await catalog.set_alias(work, "sales/nightly", "live", "1.1.0")
    await drain(platform)
    assert await schedule_of(platform) is None


async def test_a_deprecated_version_starts_nothing_by_itself(
    platform: Platform, clock: Clock
) -> None:
    ref = await publish_scheduled(platform, flow("{every: PT1H}"))
    async with platform.work(SALES_OWNER) as work:
        await catalog.deprecate(work, ref)
    clock.now += timedelta(hours=1)
    # Before dispatch has looked, a start looks by itself.
    await fire_schedules(platform)
    assert await started(platform) == []
    assert await schedule_of(platform) is None
    await drain(platform)
    assert await schedule_of(platform) is None


async def test_a_move_of_live_just_before_the_start_starts_the_new_version(
    platform: Platform, clock: Clock
) -> None:
    await publish_scheduled(platform, flow("{every: PT1H}"))
    await publish(platform, flow("{every: PT1H}", version="1.1.0"))
    clock.now += timedelta(hours=1)
    async with platform.work(SALES_OWNER) as work:
        await catalog.set_alias(work, "sales/nightly", "live", "1.1.0")
    await fire_schedules(platform)
    assert [run.version for run in await started(platform)] == ["1.1.0"]


async def test_the_verbs_write_an_outbox_row_in_their_transaction(
    platform: Platform, clock: Clock
) -> None:
    ref = await publish(platform, flow("{every: PT1H}"))
    await dispatch_once(platform, Idle())  # type: ignore[arg-type]  # answers to every call
    assert (await scheduled(platform)).version == "1.0.0"
    async with platform.work(SALES_OWNER) as work:
        await catalog.deprecate(work, ref)
    await dispatch_once(platform, Idle())  # type: ignore[arg-type]  # the same
    assert await schedule_of(platform) is None


# ---------------------------------------------------------------- pause and resume


async def test_a_paused_schedule_starts_nothing_and_makes_up_for_nothing(
    platform: Platform, clock: Clock
) -> None:
    await publish_scheduled(platform, flow("{every: PT1H}"))
    with pytest.raises(Invalid):
        async with platform.work(SALES_OWNER) as work:
            await pause_schedule(work, "sales/nightly", reason=" ")
    async with platform.work(SALES_OWNER) as work:
        await pause_schedule(work, "sales/nightly", reason="stocktaking")
    with pytest.raises(Invalid):
        async with platform.work(SALES_OWNER) as work:
            await resume_schedule(work, "sales/nightly", reason="")
    clock.now += timedelta(hours=3, minutes=30)
    assert await fire_schedules(platform) == 0
    with pytest.raises(Conflict):
        async with platform.work(SALES_OWNER) as work:
            await pause_schedule(work, "sales/nightly", reason="again")
    async with platform.work(SALES_OWNER) as work:
        await resume_schedule(work, "sales/nightly", reason="done")
    assert await fire_schedules(platform) == 0
    assert (await scheduled(platform)).next_at == BEGIN + timedelta(hours=4)
    with pytest.raises(Conflict):
        async with platform.work(SALES_OWNER) as work:
            await resume_schedule(work, "sales/nightly", reason="again")
    async with platform.database.session() as session:
        tags = await session.execute(
            select(AUDIT.c.action)
            .where(AUDIT.c.action.like("runs:schedule:%"))
            .order_by(AUDIT.c.id)
        )
    assert list(tags.scalars()) == ["runs:schedule:pause", "runs:schedule:resume"]


async def test_the_policy_decides_who_may_pause(platform: Platform, clock: Clock) -> None:
    await publish_scheduled(platform, flow("{every: PT1H}"))
    for actor, refused in (
        (Actor.of("sales-developer"), Forbidden),
        (AUDITOR, Forbidden),
        (OUTSIDER, NotFound),
    ):
        for verb in (pause_schedule, resume_schedule):
            with pytest.raises(refused):
                async with platform.work(actor) as work:
                    await verb(work, "sales/nightly", reason="no")
    with pytest.raises(NotFound):
        async with platform.work(SALES_OWNER) as work:
            await pause_schedule(work, "sales/nothing", reason="no")
    bare = flow("{every: PT1H}", name="bare").replace("schedule: {every: PT1H}\n", "")
    await publish_scheduled(platform, bare)
    with pytest.raises(Conflict):
        async with platform.work(SALES_OWNER) as work:
            await pause_schedule(work, "sales/bare", reason="no")


async def test_a_person_may_start_a_scheduled_flow(platform: Platform, clock: Clock) -> None:
    await publish_scheduled(platform, flow("{after: PT10M}"))
    async with platform.work(SALES_OWNER) as work:
        await start_run(work, flow="sales/nightly", input={})
    clock.now += timedelta(minutes=10)
    assert await fire_schedules(platform) == 1
    assert len(await started(platform)) == 2
