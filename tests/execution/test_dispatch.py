"""Dispatch, timers and the reaper, by any number of processes at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, update

from coe.db import utcnow
from coe.engines.inline import InlineEngine
from coe.errors import Unavailable
from coe.execution import dispatch
from coe.execution.advance import Finished, Parked, advance
from coe.execution.dispatch import dispatch_once, engine_health
from coe.execution.due_timers import fire_due
from coe.execution.engine import EngineRun, LocalFlowRef, RunRef
from coe.execution.loops import Loops
from coe.execution.reaper import reap_once
from coe.execution.runtime import Runtime
from coe.json_types import JSON
from coe.leaves.leaf import LeafFault
from coe.machine.commands import RunLeaf
from coe.outbox import OUTBOX, OutboxKind
from coe.runs import actions, queries
from coe.runs.leases import Lease
from coe.runs.models import RunState
from coe.runs.tables import INBOX, RUNS, TIMERS
from coe.work import Platform
from tests.factories.people import SALES_OWNER
from tests.factories.runs import (
    HTTP,
    Leaves,
    central,
    column,
    engine,
    identity,
    lapse,
    local,
    publish,
    runtime,
    start,
    until,
)


class Recording(InlineEngine):
    """The in-process engine: records its calls, and is away when a test wants it."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.asked: Counter[tuple[str, UUID]] = Counter()
        self.deployed: list[LocalFlowRef] = []
        self.away = False

    async def request(self, run: RunRef) -> EngineRun:
        self._note("request", run.id)
        return await super().request(run)

    async def wake(self, run: RunRef) -> EngineRun:
        self._note("wake", run.id)
        return await super().wake(run)

    async def deploy(self, flow: LocalFlowRef) -> None:
        self._note("deploy", flow.version_id)
        self.deployed.append(flow)

    def _note(self, what: str, subject: UUID) -> None:
        if self.away:
            raise Unavailable
        self.asked[what, subject] += 1


async def _outbox(platform: Platform) -> int:
    async with platform.database.session() as session:
        return await session.scalar(select(func.count()).select_from(OUTBOX)) or 0


async def test_dispatch_in_two_processes_asks_once(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    runs = [await start(platform, "sales/simple") for _ in range(10)]
    async with runtime(platform, Leaves()) as running:
        recording = Recording(running)
        claimed = await asyncio.gather(
            *(dispatch_once(platform, recording) for _ in range(4)),
        )
        assert sum(claimed) == len(runs)
        assert recording.asked == {("request", run.id): 1 for run in runs}
        await recording.close()


async def test_while_the_engine_is_unavailable_runs_wait_in_the_queue(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    async with runtime(platform, Leaves({"credit": {}})) as running:
        recording = Recording(running)
        recording.away = True
        loops = Loops(platform, recording)
        await loops.start()
        run = await start(platform, "sales/simple")
        await asyncio.sleep(0.5)
        assert (await engine_health(platform, recording)).queued == 1
        assert await column(platform, run.id, "state") is RunState.REQUESTED
        async with platform.database.session() as session:
            row = (await session.execute(select(OUTBOX))).one()
        assert row.attempts > 0
        assert row.last_error == "UNAVAILABLE"
        recording.away = False
        await until(platform, run.id, "COMPLETED")
        await loops.close()
        await recording.close()
        assert (await engine_health(platform, recording)).queued == 0


async def test_a_process_that_dies_with_claimed_rows_loses_none(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    run = await start(platform, "sales/simple")
    async with runtime(platform, Leaves({"credit": {}})) as running:
        recording = Recording(running)
        gone = asyncio.Event()

        async def dies(run: RunRef) -> EngineRun:
            gone.set()
            await asyncio.sleep(3600)
            raise AssertionError

        recording.request = dies  # type: ignore[method-assign]
        dispatching = asyncio.create_task(dispatch_once(platform, recording))
        await gone.wait()
        dispatching.cancel()
        await asyncio.gather(dispatching, return_exceptions=True)
        assert await _outbox(platform) == 1
        async with platform.database.session() as session:
            await session.execute(update(OUTBOX).values(due_at=utcnow()))
            await session.commit()
        del recording.request
        assert await dispatch_once(platform, recording) == 1
        await until(platform, run.id, "COMPLETED")
        await recording.close()


async def test_a_published_local_flow_is_deployed(platform: Platform) -> None:
    await publish(platform, local("pick-and-pack"), "warehouse-developer")
    async with runtime(platform, Leaves()) as running:
        recording = Recording(running)
        await dispatch_once(platform, recording)
    [flow] = recording.deployed
    assert (flow.flow, flow.version, flow.team) == ("warehouse/pick-and-pack", "1.0.0", "warehouse")
    assert flow.entrypoint == "flows/teams/warehouse/pick_and_pack.py:pick_and_pack"


async def test_a_dead_holder_is_reaped_and_the_run_continues(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    run = await start(platform, "sales/simple")
    reached = asyncio.Event()

    async def hangs(leaf: RunLeaf) -> JSON:
        reached.set()
        await asyncio.sleep(3600)
        return None

    dead = Leaves({"credit": hangs})
    async with runtime(platform, dead) as dying:
        held = asyncio.create_task(advance(dying, run.id))
        await reached.wait()
        assert await reap_once(platform) == 0
        await lapse(platform)
        assert await reap_once(platform) == 1
        assert await reap_once(platform) == 0
        leaves = Leaves({"credit": {"ok": True}})
        async with engine(platform, leaves):
            ended = await until(platform, run.id, "COMPLETED", "FAULTED")
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
    assert ended.state == "COMPLETED"
    assert leaves.keys.keys() == dead.keys.keys()


async def test_a_run_that_no_engine_started_is_requested_again(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    run = await start(platform, "sales/simple")
    async with runtime(platform, Leaves({"credit": {}})) as running:
        recording = Recording(running)

        async def forgets(run: RunRef) -> EngineRun:
            return EngineRun("forgotten")

        recording.request = forgets  # type: ignore[method-assign]
        await dispatch_once(platform, recording)
        assert await _outbox(platform) == 0
        assert await reap_once(platform) == 0
        async with platform.database.session() as session:
            past = utcnow() - timedelta(seconds=1)
            await session.execute(update(RUNS).values(lease_until=past))
            await session.commit()
        assert await reap_once(platform) == 1
        del recording.request
        await dispatch_once(platform, recording)
        assert recording.asked["wake", run.id] == 1
        await until(platform, run.id, "COMPLETED")
        await recording.close()


WAIT = """  - pause:
      wait: {hours: 1}
"""


async def test_a_timer_is_fired_once_by_a_live_process(platform: Platform) -> None:
    await publish(platform, central("waits", WAIT + HTTP.format(name="credit")))
    run = await start(platform, "sales/waits")
    leaves = Leaves({"credit": {}})
    async with runtime(platform, leaves) as running:
        parked = await advance(running, run.id)
        assert isinstance(parked, Parked)
        assert parked.until is not None
        assert parked.until > utcnow() + timedelta(minutes=59)
        assert await fire_due(platform) == 0
        async with platform.database.session() as session:
            await session.execute(update(TIMERS).values(due_at=utcnow() - timedelta(hours=2)))
            await session.commit()
        fired = await asyncio.gather(*(fire_due(platform) for _ in range(5)))
        assert sum(fired) == 1
        async with platform.database.session() as session:
            rows = (await session.execute(select(INBOX.c.kind))).scalars().all()
        assert list(rows) == ["TIMER_FIRED"]
        assert await advance(running, run.id) == Finished(RunState.COMPLETED)
    assert leaves.calls == {"credit": 1}


async def test_a_short_wait_does_not_park(platform: Platform) -> None:
    await publish(platform, central("waits", WAIT.replace("hours: 1", "milliseconds: 200")))
    run = await start(platform, "sales/waits")
    async with runtime(platform, Leaves()) as running:
        assert await advance(running, run.id) == Finished(RunState.COMPLETED)
    async with platform.database.session() as session:
        assert (await session.execute(select(TIMERS))).all() == []


async def test_cancelling_stops_leaves_and_children(platform: Platform) -> None:
    call = """  - both:
      fork:
        branches:
          - slow:
              call: http
              with: {method: get, endpoint: https://erp.example.com/slow}
              timeout: {after: PT1H}
          - pack:
              call: localFlow:1@default
              with: {ref: warehouse/pick-and-pack, input: {order: 1}}
"""
    await publish(platform, local("pick-and-pack"), "warehouse-developer")
    await publish(platform, central("busy", call))
    stopped = asyncio.Event()
    started = asyncio.Event()

    async def slow(leaf: RunLeaf) -> JSON:
        started.set()
        try:
            await asyncio.sleep(3600)
        finally:
            stopped.set()
        return None

    async def pack(run):
        await asyncio.sleep(3600)

    async with engine(platform, Leaves({"slow": slow}), {"warehouse/pick-and-pack": pack}):
        run = await start(platform, "sales/busy")
        await started.wait()
        async with platform.read(SALES_OWNER) as read:
            [child] = (await queries.children_of_runs(read, [run.id]))[run.id]
        await until(platform, child.id, "RUNNING")
        async with platform.work(SALES_OWNER) as work:
            await actions.cancel_run(work, run.id, reason="a mistake")
        assert (await until(platform, run.id, "CANCELLED")).state == "CANCELLED"
        assert (await until(platform, child.id, "CANCELLED")).state == "CANCELLED"
    assert stopped.is_set()


async def test_a_run_that_never_began_is_cancelled_at_once(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    run = await start(platform, "sales/simple")
    async with platform.work(SALES_OWNER) as work:
        cancelled = await actions.cancel_run(work, run.id, reason="a mistake")
    assert cancelled.state == "CANCELLED"
    leaves = Leaves()
    async with runtime(platform, leaves) as running:
        assert await advance(running, run.id) == Finished(RunState.CANCELLED)
    assert not leaves.calls


async def test_a_retry_continues_from_the_step_that_faulted(platform: Platform) -> None:
    tasks = HTTP.format(name="credit") + HTTP.format(name="book")
    await publish(platform, central("shaky", tasks))
    fails = [True]

    async def book(leaf: RunLeaf):
        if fails.pop() if fails else False:
            raise LeafFault({"type": "about:erp", "status": 503, "title": "ERP is down"})
        return {"booked": True}

    leaves = Leaves({"credit": {"ok": True}, "book": book})
    async with engine(platform, leaves):
        run = await start(platform, "sales/shaky")
        faulted = await until(platform, run.id, "FAULTED")
        assert faulted.error is not None
        assert faulted.error.type == "about:erp"
        async with platform.work(SALES_OWNER) as work:
            again = await actions.retry_run(work, run.id, reason="the ERP is back")
        assert (again.state, again.error) == ("REQUESTED", None)
        ended = await until(platform, run.id, "COMPLETED", "FAULTED")
    assert ended.state == "COMPLETED"
    assert leaves.calls == {"credit": 1, "book": 2}


async def test_while_the_engine_is_unavailable_the_queue_does_not_grow(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    await start(platform, "sales/simple")
    async with runtime(platform, Leaves()) as running:
        recording = Recording(running)
        recording.away = True
        for _ in range(3):
            async with platform.database.session() as session:
                await session.execute(update(OUTBOX).values(due_at=utcnow()))
                await session.commit()
            assert await dispatch_once(platform, recording) == 1
            async with platform.database.session() as session:
                past = utcnow() - timedelta(seconds=1)
                await session.execute(update(RUNS).values(lease_until=past))
                await session.commit()
            assert await reap_once(platform) == 1
            assert await _outbox(platform) == 1


async def test_a_run_held_twice_in_one_process_is_lost_to_the_earlier(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    run = await start(platform, "sales/simple")
    async with (
        runtime(platform, Leaves()) as running,
        running.hold(Lease(identity(run.id), running.holder, 1, 0, utcnow())) as earlier,
        running.hold(Lease(identity(run.id), running.holder, 2, 0, utcnow())) as later,
    ):
        assert (earlier.lost, later.lost) == (True, False)


def test_every_kind_of_message_has_a_handler() -> None:
    assert set(dispatch._HANDLERS) == set(OutboxKind)
