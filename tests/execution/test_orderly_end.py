"""A process that is to end finishes what it has begun, begins nothing, and hands over the rest."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sqlalchemy import func, select

from coe.db.locks import Alone, is_alone
from coe.execution.advance import Finished, HandedOver, advance
from coe.execution.engine import Engine, EngineRun, RunRef, StartedRun
from coe.execution.loops import Loops
from coe.execution.reaper import tidy_once
from coe.json_types import JSON
from coe.machine.commands import RunLeaf
from coe.outbox import OUTBOX
from coe.processes.housekeeping import clean_up_once
from coe.runs.models import RunState
from coe.work import Platform
from tests.factories.runs import HTTP, Leaves, central, column, publish, runtime, start
from tests.test_app import SwitchedEngine

TWO = HTTP.format(name="first") + HTTP.format(name="second")


async def test_a_leaf_ends_and_the_run_goes_on_elsewhere_at_once(platform: Platform) -> None:
    await publish(platform, central("two", TWO))
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(_: RunLeaf) -> JSON:
        begun.set()
        await may_end.wait()
        return {"ok": True}

    leaves = Leaves({"first": slow, "second": {"ok": True}})
    run = await start(platform, "sales/two")
    async with runtime(platform, leaves) as ending, runtime(platform, leaves) as other:
        carrying = asyncio.create_task(advance(ending, run.id))
        await asyncio.wait_for(begun.wait(), 20)
        ending.drain()
        may_end.set()
        assert await carrying == HandedOver()
        assert leaves.calls == {"first": 1}
        assert await column(platform, run.id, "holder") is None
        assert await advance(ending, run.id) == HandedOver(), "it takes nothing more"
        assert await advance(other, run.id) == Finished(RunState.COMPLETED)
    assert leaves.calls == {"first": 1, "second": 1}


async def messages(platform: Platform) -> int:
    async with platform.database.session() as session:
        return await session.scalar(select(func.count()).select_from(OUTBOX)) or 0


async def test_a_claimed_message_is_handled_before_the_loops_end(platform: Platform) -> None:
    await publish(platform, central("two", TWO))
    begun, may_end = asyncio.Event(), asyncio.Event()

    class SlowEngine(SwitchedEngine):
        async def request(self, run: RunRef) -> EngineRun:
            begun.set()
            await may_end.wait()
            return await super().request(run)

        async def started_runs(self, *, older_than: timedelta) -> list[StartedRun]:
            assert older_than > timedelta()
            return []

    engine = SlowEngine()
    engine.up = True
    port: Engine = engine  # type: ignore[assignment]  # it sweeps nothing
    loops = Loops(platform, port)
    await loops.start()
    await start(platform, "sales/two")
    await asyncio.wait_for(begun.wait(), 20)
    closing = asyncio.create_task(loops.close())
    await asyncio.sleep(0)
    may_end.set()
    await closing
    assert [each.flow for each in engine.requested] == ["sales/two@1.0.0"]
    assert await messages(platform) == 0, "nobody has to wait for the end of its claim"


async def test_one_process_at_a_time_deletes_many_rows(platform: Platform) -> None:
    async with platform.database.session() as other:
        assert await is_alone(other, Alone.CLEAN_UP)
        assert await is_alone(other, Alone.TIDY)
        assert await clean_up_once(platform) is False
        assert await tidy_once(platform) == 0
        await other.rollback()
        assert await clean_up_once(platform) is True
