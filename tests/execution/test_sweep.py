"""What an engine was left with is ended; what still runs, or is not ours, is left alone."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update

from coe.db import new_id, utcnow
from coe.engines.inline import InlineEngine
from coe.execution.engine import StartedRun
from coe.execution.reaper import tidy_once
from coe.execution.sweep import GRACE, sweep_once
from coe.machine.facts import Fact, FactKind
from coe.runs import actions, inbox
from coe.runs.models import RunState
from coe.runs.tables import INBOX, RUNS
from coe.work import Platform
from tests.factories.people import WAREHOUSE_DEVELOPER
from tests.factories.runs import Leaves, central, local, publish, runtime, start


class Left(InlineEngine):
    """An engine that believes these of its runs to be under way."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]  # the engine's own
        self.left: list[StartedRun] = []
        self.settled: dict[str, RunState | None] = {}

    async def started_runs(self, *, older_than: timedelta) -> list[StartedRun]:
        assert older_than == GRACE
        return self.left

    async def settle(self, started: StartedRun, state: RunState | None) -> None:
        self.settled[started.id] = state


async def _run(platform: Platform, **columns: object) -> UUID:
    async with platform.work(WAREHOUSE_DEVELOPER) as work:
        run = await actions.start_run(work, flow="warehouse/pack", input={"order": 7})
    async with platform.database.session() as session:
        await session.execute(update(RUNS).where(RUNS.c.id == run.id).values(**columns))
        await session.commit()
    return run.id


async def test_a_sweep_ends_what_is_over(platform: Platform) -> None:
    await publish(platform, local("pack"), "warehouse-developer")
    long_ago, just_now = utcnow() - 2 * GRACE, utcnow()
    runs = {
        "faulted": await _run(platform, state=RunState.FAULTED, ended_at=long_ago),
        "completed": await _run(platform, state=RunState.COMPLETED, ended_at=long_ago),
        "just ended": await _run(platform, state=RunState.COMPLETED, ended_at=just_now),
        "at work": await _run(platform, state=RunState.RUNNING, engine_run_id="at work"),
        "superseded": await _run(platform, state=RunState.RUNNING, engine_run_id="the next"),
        "of another installation": new_id(),
    }
    async with runtime(platform, Leaves()) as running:
        engine = Left(running)
        engine.left = [StartedRun(name, run_id) for name, run_id in runs.items()]
        assert await sweep_once(platform, engine) == 3
        assert engine.settled == {
            "faulted": RunState.FAULTED,
            "completed": RunState.COMPLETED,
            "superseded": None,
        }
        await engine.close()


async def test_the_inbox_of_a_run_that_cannot_be_retried_is_emptied(platform: Platform) -> None:
    await publish(platform, central("simple", "  - a:\n      set: {b: 1}\n"))
    ends = {
        "completed": (RunState.COMPLETED, timedelta(), False),
        "may be retried": (RunState.FAULTED, timedelta(days=1), False),
        "nobody retried it": (RunState.FAULTED, timedelta(days=31), False),
        "called": (RunState.FAULTED, timedelta(), True),
    }
    runs = {name: await start(platform, "sales/simple") for name in ends}
    parent = runs["may be retried"].id
    async with platform.database.session() as session:
        for name, (state, ago, called) in ends.items():
            run_id = runs[name].id
            fact = Fact(FactKind.TIMER_FIRED, utcnow(), "key")
            assert await inbox.send(session, platform.keyring, run_id, fact)
            columns = {"state": state, "ended_at": utcnow() - ago}
            columns |= {"parent_id": parent, "parent_key": "k"} if called else {}
            await session.execute(update(RUNS).where(RUNS.c.id == run_id).values(columns))
        await session.commit()
    await tidy_once(platform)
    async with platform.database.session() as session:
        left = set(await session.scalars(select(INBOX.c.run_id)))
    assert {name for name, run in runs.items() if run.id in left} == {"may be retried"}
