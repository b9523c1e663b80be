"""The contract of `coe.execution.engine`, for every engine over the same machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import fields
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from coe.access.actor import Actor
from coe.db import new_id
from coe.execution.engine import RunRef
from coe.human_tasks import actions as human_tasks
from coe.runs import actions, queries
from coe.runs.records import RunRecord
from coe.runs.tables import RUNS
from coe.settings import Settings
from coe.work import Platform
from tests.engines.conformance.prefect_world import prefect as prefect_world
from tests.engines.conformance.worlds import LOCAL_FLOW, World, inline
from tests.factories.people import FINANCE_APPROVER, SALES_OWNER
from tests.factories.runs import (
    APPROVAL,
    HTTP,
    central,
    column,
    local,
    open_task,
    publish,
    read_run,
    start,
    until,
)

LONG = 60.0
WORLDS = {"inline": inline, "prefect": prefect_world}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Short leases: a dead worker is noticed within the patience of a test."""
    return settings.model_copy(
        update={"lease_seconds": 3.0, "heartbeat_seconds": 0.5, "linger_seconds": 0.2}
    )


@pytest.fixture(params=sorted(WORLDS))
async def world(platform: Platform, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with WORLDS[request.param](platform, request) as opened:
        yield opened


async def _ref(platform: Platform, run_id: UUID) -> RunRef:
    async with platform.database.session() as session:
        run = (await session.execute(select(RUNS).where(RUNS.c.id == run_id))).one()
    return RunRef(
        id=run.id,
        flow=f"{run.flow}@{run.version}",
        team=run.team,
        local=run.local,
        attempt=run.fence,
        engine_run_id=run.engine_run_id,
    )


async def _end(world: World, run: RunRecord) -> RunRecord:
    return await until(world.platform, run.id, "COMPLETED", "FAULTED", "CANCELLED", seconds=LONG)


async def _answer(world: World, run: RunRecord) -> None:
    task = await open_task(world.platform, run.id, seconds=LONG)
    await until(world.platform, run.id, "WAITING", seconds=LONG)
    async with world.platform.work(FINANCE_APPROVER) as work:
        await human_tasks.complete_task(work, task, outcome="approved", answer={"limit": 1})


def test_an_engine_gets_ids_and_no_data() -> None:
    assert {field.name for field in fields(RunRef)} == {
        "id",
        "flow",
        "team",
        "local",
        "attempt",
        "engine_run_id",
        "trace_id",
    }


async def test_it_says_that_it_is_up(world: World) -> None:
    health = await world.engine.health()
    assert (health.name, health.ready) == (world.engine.name, True)


async def test_it_carries_a_run_to_its_end(world: World) -> None:
    await publish(world.platform, central("simple", HTTP.format(name="credit")))
    run = await start(world.platform, "sales/simple")
    ended = await _end(world, run)
    assert ended.state == "COMPLETED"
    assert ended.engine_run_id
    assert world.service.calls == {"credit": 1}


async def test_a_doubled_request_is_one_engine_run_and_one_execution(world: World) -> None:
    await publish(world.platform, central("simple", HTTP.format(name="credit")))
    world.service.held.add("credit")
    run = await start(world.platform, "sales/simple")
    await world.service.called("credit")
    ref = await _ref(world.platform, run.id)
    asked = RunRef(id=ref.id, flow=ref.flow, team=ref.team, local=False, attempt=0)
    made = await asyncio.gather(*(world.engine.request(asked) for _ in range(3)))
    assert {each.id for each in made} == {ref.engine_run_id}
    world.service.release()
    assert (await _end(world, run)).state == "COMPLETED"
    assert world.service.calls == {"credit": 1}


async def test_a_parked_run_continues_when_it_is_woken_however_often(world: World) -> None:
    await publish(world.platform, central("asks", APPROVAL + HTTP.format(name="book")))
    run = await start(world.platform, "sales/asks")
    await _answer(world, run)
    ref = await _ref(world.platform, run.id)
    await asyncio.gather(*(world.engine.wake(ref) for _ in range(3)), return_exceptions=True)
    assert (await _end(world, run)).state == "COMPLETED"
    assert world.service.calls == {"book": 1}


async def test_waking_a_parked_run_for_nothing_leaves_it_parked(world: World) -> None:
    await publish(world.platform, central("asks", APPROVAL))
    run = await start(world.platform, "sales/asks")
    await open_task(world.platform, run.id, seconds=LONG)
    await until(world.platform, run.id, "WAITING", seconds=LONG)
    await world.engine.wake(await _ref(world.platform, run.id))
    await asyncio.sleep(1)
    await until(world.platform, run.id, "WAITING", seconds=LONG)
    assert await column(world.platform, run.id, "holder") is None
    await _answer(world, run)
    assert (await _end(world, run)).state == "COMPLETED"


async def test_a_run_that_the_engine_has_forgotten_continues(world: World) -> None:
    await publish(world.platform, central("asks", APPROVAL))
    run = await start(world.platform, "sales/asks")
    await open_task(world.platform, run.id, seconds=LONG)
    await until(world.platform, run.id, "WAITING", seconds=LONG)
    async with world.platform.database.session() as session:
        await session.execute(
            update(RUNS).where(RUNS.c.id == run.id).values(engine_run_id=str(new_id()))
        )
        await session.commit()
    await _answer(world, run)
    assert (await _end(world, run)).state == "COMPLETED"


async def test_many_runs_are_under_way_at_once(world: World) -> None:
    await publish(world.platform, central("simple", HTTP.format(name="credit")))
    world.service.held.add("credit")
    runs = [await start(world.platform, "sales/simple") for _ in range(4)]
    await world.service.called("credit", len(runs))
    world.service.release()
    for run in runs:
        assert (await _end(world, run)).state == "COMPLETED"


async def test_a_fault_ends_the_run_and_a_retry_continues(world: World) -> None:
    tasks = HTTP.format(name="credit") + HTTP.format(name="book")
    await publish(world.platform, central("shaky", tasks))
    world.service.failing.add("book")
    run = await start(world.platform, "sales/shaky")
    faulted = await _end(world, run)
    assert faulted.error is not None
    assert (faulted.state, faulted.error.status) == ("FAULTED", 503)
    world.service.failing.clear()
    async with world.platform.work(SALES_OWNER) as work:
        await actions.retry_run(work, run.id, reason="it is back")
    ended = await until(world.platform, run.id, "COMPLETED", seconds=LONG)
    assert ended.state == "COMPLETED"
    assert world.service.calls == {"credit": 1, "book": 2}


async def test_cancelling_stops_a_run_that_is_under_way(world: World) -> None:
    await publish(world.platform, central("simple", HTTP.format(name="credit")))
    world.service.held.add("credit")
    run = await start(world.platform, "sales/simple")
    await world.service.called("credit")
    async with world.platform.work(SALES_OWNER) as work:
        await actions.cancel_run(work, run.id, reason="a mistake")
    assert (await _end(world, run)).state == "CANCELLED"
    await world.engine.cancel(await _ref(world.platform, run.id))


async def test_cancelling_what_it_does_not_know_is_no_error(world: World) -> None:
    unknown = RunRef(id=new_id(), flow="sales/simple@1.0.0", team="sales", local=False)
    await world.engine.cancel(unknown)
    known = RunRef(
        id=new_id(),
        flow="sales/simple@1.0.0",
        team="sales",
        local=False,
        engine_run_id=str(new_id()),
    )
    await world.engine.cancel(known)


async def test_a_worker_dies_in_the_middle_and_another_continues(world: World) -> None:
    tasks = HTTP.format(name="credit") + HTTP.format(name="book") + HTTP.format(name="report")
    await publish(world.platform, central("long", tasks))
    world.service.held.add("book")
    run = await start(world.platform, "sales/long")
    await world.service.called("book")
    await world.kill()
    world.service.release()
    await world.revive()
    assert (await _end(world, run)).state == "COMPLETED"
    assert world.service.calls["credit"] == 1
    assert world.service.calls["report"] == 1
    assert len([key for key in world.service.keys if key[0] == "book"]) == 1


async def test_a_long_wait_holds_nothing_and_fires_when_due(world: World) -> None:
    wait = "  - pause:\n      wait: {seconds: 3}\n"
    await publish(world.platform, central("waits", wait + HTTP.format(name="credit")))
    run = await start(world.platform, "sales/waits")
    await until(world.platform, run.id, "WAITING", seconds=LONG)
    assert await column(world.platform, run.id, "holder") is None
    ended = await _end(world, run)
    assert ended.state == "COMPLETED"
    assert ended.ended_at is not None
    assert ended.started_at is not None
    assert ended.ended_at - ended.started_at >= timedelta(seconds=3)


async def test_a_local_flow_runs_where_its_team_works(world: World) -> None:
    await publish(world.platform, local("pick-and-pack"), "warehouse-developer")
    call = f"""  - pack:
      call: localFlow:1@default
      with: {{ref: {LOCAL_FLOW}, input: {{order: 7}}, timeout: PT10M}}
"""
    await publish(world.platform, central("ships", call))
    await world.team()
    run = await start(world.platform, "sales/ships")
    ended = await _end(world, run)
    assert ended.state == "COMPLETED"
    async with world.platform.work(Actor.of("coe-lead")) as work:
        [child] = (await queries.children_of_runs(work, [run.id]))[run.id]
    assert (child.flow, child.state, child.started_by) == (LOCAL_FLOW, "COMPLETED", f"run:{run.id}")
    assert (await read_run(world.platform, child.id)).engine_run_id
