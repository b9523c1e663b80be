"""The timeout of a local run counts from its request, and fires without any worker."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from coe.access.actor import Actor
from coe.db import utcnow
from coe.errors import Conflict
from coe.execution.due_timers import fire_due
from coe.outbox import OUTBOX, OutboxKind
from coe.runs import actions, disclosure, local_runs
from coe.runs.models import TimerKind
from coe.runs.tables import TIMERS
from coe.work import Platform
from tests.factories.people import WAREHOUSE_WORKER
from tests.factories.runs import central, column, engine, local, publish, read_run, start, until

TIMEOUT = timedelta(minutes=10)


async def _requested(platform: Platform) -> UUID:
    await publish(platform, local("pack", timeout="PT10M"), "warehouse-developer")
    async with platform.work(Actor.of("warehouse-developer")) as work:
        return (await actions.start_run(work, flow="warehouse/pack", input={"order": 7})).id


async def _timer(platform: Platform, run_id: UUID):
    async with platform.database.session() as session:
        mine = (TIMERS.c.run_id == run_id) & (TIMERS.c.kind == TimerKind.LOCAL_RUN)
        return (await session.execute(select(TIMERS).where(mine))).one_or_none()


async def _let_it_pass(platform: Platform) -> None:
    async with platform.database.session() as session:
        await session.execute(update(TIMERS).values(due_at=utcnow() - timedelta(seconds=1)))
        await session.commit()
    await fire_due(platform)


async def _detail(platform: Platform, run_id: UUID) -> str:
    async with platform.work(Actor.of("warehouse-lead")) as work:
        error = (await disclosure.read_run_data(work, [run_id]))[run_id].error
    assert error is not None
    return error.detail or ""


async def test_it_is_armed_with_the_request(platform: Platform) -> None:
    run_id = await _requested(platform)
    run, timer = await read_run(platform, run_id), await _timer(platform, run_id)
    assert abs(timer.due_at - run.requested_at - TIMEOUT) < timedelta(seconds=5)
    assert await fire_due(platform) == 0


async def test_a_run_that_no_worker_took_faults(platform: Platform) -> None:
    run_id = await _requested(platform)
    await _let_it_pass(platform)
    run = await read_run(platform, run_id)
    assert run.error is not None
    assert (run.state, run.error.type[-8:], run.error.status) == ("FAULTED", "/timeout", 408)
    detail = await _detail(platform, run_id)
    assert detail == (
        "The timeout of warehouse/pack@1.0.0 is PT10M from the request; "
        "no worker of warehouse has taken it."
    )
    with pytest.raises(Conflict):
        async with platform.work(WAREHOUSE_WORKER) as work:
            await local_runs.claim_run(work, run_id)


async def test_the_worker_that_has_it_can_report_nothing_more(platform: Platform) -> None:
    run_id = await _requested(platform)
    async with platform.work(WAREHOUSE_WORKER) as work:
        attempt = (await local_runs.claim_run(work, run_id)).attempt
    await _let_it_pass(platform)
    assert "its worker was still carrying it out" in await _detail(platform, run_id)
    for report in (local_runs.heartbeat_run, local_runs.report_run):
        with pytest.raises(Conflict):
            async with platform.work(WAREHOUSE_WORKER) as work:
                await report(work, run_id, attempt=attempt)


async def test_a_run_that_ended_in_time_has_none(platform: Platform) -> None:
    run_id = await _requested(platform)
    async with platform.work(WAREHOUSE_WORKER) as work:
        attempt = (await local_runs.claim_run(work, run_id)).attempt
    async with platform.work(WAREHOUSE_WORKER) as work:
        await local_runs.report_run(work, run_id, attempt=attempt, output={"parcel": 1})
    assert await _timer(platform, run_id) is None


async def test_a_retry_counts_anew_and_is_not_cancelled_by_the_end_before(
    platform: Platform,
) -> None:
    run_id = await _requested(platform)
    await _let_it_pass(platform)
    before = await column(platform, run_id, "fence")
    async with platform.work(Actor.of("warehouse-lead")) as work:
        await actions.retry_run(work, run_id, reason="a worker is there now")
    timer = await _timer(platform, run_id)
    assert abs(timer.due_at - utcnow() - TIMEOUT) < timedelta(seconds=5)
    assert await column(platform, run_id, "fence") == before + 1
    async with platform.database.session() as session:
        mine = select(OUTBOX.c.kind).where(OUTBOX.c.subject == run_id)
        assert OutboxKind.CANCEL not in (await session.scalars(mine)).all()


async def test_the_calling_run_gets_the_fault(platform: Platform) -> None:
    await publish(platform, local("pack", timeout="PT0.2S"), "warehouse-developer")
    call = """  - pack:
      call: localFlow:1@default
      with: {ref: warehouse/pack, input: {order: 7}}
"""
    await publish(platform, central("ships", call))
    async with engine(platform):
        run = await start(platform, "sales/ships")
        ended = await until(platform, run.id, "COMPLETED", "FAULTED")
    assert ended.error is not None
    assert (ended.state, ended.error.status) == ("FAULTED", 408)
    assert ended.error.reason == "The local flow did not end within its timeout."
