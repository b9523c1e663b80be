"""A central run from its request to its end, on the in-process engine."""

from __future__ import annotations

import asyncio

from sqlalchemy import select

from coe.human_tasks import actions as human_tasks
from coe.machine.facts import Fact, FactKind
from coe.runs import disclosure, inbox, queries
from coe.runs.tables import JOURNAL
from coe.work import Platform
from tests.factories.people import FINANCE_APPROVER, SALES_OWNER
from tests.factories.runs import (
    APPROVAL,
    CANARY,
    HTTP,
    Leaves,
    central,
    column,
    engine,
    open_task,
    publish,
    start,
    until,
)


async def test_a_run_calls_and_completes(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    leaves = Leaves({"credit": {"ok": True}})
    async with engine(platform, leaves):
        run = await start(platform, "sales/simple")
        ended = await until(platform, run.id, "COMPLETED", "FAULTED")
    assert ended.state == "COMPLETED", ended.error
    assert leaves.calls == {"credit": 1}
    async with platform.work(SALES_OWNER) as work:
        data = await disclosure.read_run_data(work, [run.id])
        steps = await queries.steps_of_runs(work, [run.id])
    assert data[run.id].output == {"ok": True}
    assert data[run.id].input == {"customer": CANARY}
    assert [(step.name, step.kind, step.state) for step in steps[run.id]] == [
        ("credit", "http", "COMPLETED"),
    ]


async def test_a_human_task_parks_the_run_and_its_answer_brings_it_back(platform: Platform) -> None:
    await publish(platform, central("asks", APPROVAL + HTTP.format(name="book")))
    leaves = Leaves({"book": {"booked": True}})
    async with engine(platform, leaves) as inline:
        run = await start(platform, "sales/asks")
        task_id = await open_task(platform, run.id)
        waiting = await until(platform, run.id, "WAITING")
        assert waiting.state == "WAITING"
        assert await column(platform, run.id, "holder") is None
        assert not inline._tasks
        async with platform.work(FINANCE_APPROVER) as work:
            await human_tasks.claim_task(work, task_id)
        async with platform.work(FINANCE_APPROVER) as work:
            await human_tasks.complete_task(
                work, task_id, outcome="approved", answer={"limit": 5}, reason="good customer"
            )
        ended = await until(platform, run.id, "COMPLETED", "FAULTED")
    assert ended.state == "COMPLETED"
    async with platform.work(SALES_OWNER) as work:
        steps = (await queries.steps_of_runs(work, [run.id]))[run.id]
    assert [(step.name, step.state) for step in steps] == [
        ("approve", "COMPLETED"),
        ("book", "COMPLETED"),
    ]
    assert steps[0].waited_for is not None
    assert steps[0].waited_for.total_seconds() > 0


async def test_a_timer_that_the_loop_and_the_holder_both_see_fires_once(platform: Platform) -> None:
    wait = "  - rest:\n      wait: {milliseconds: 300}\n  - after:\n      wait: {seconds: 1}\n"
    await publish(platform, central("rests", wait + HTTP.format(name="book")))
    async with engine(platform, Leaves({"book": {"booked": True}})):
        run = await start(platform, "sales/rests")
        first = await _first_fired(platform)
        for _ in range(3):  # as the timers' loop does, which saw it when the holder did
            async with platform.database.session() as session:
                fact = Fact(FactKind.TIMER_FIRED, platform.clock(), first)
                await inbox.send(session, platform.keyring, run.id, fact)
                await session.commit()
            await asyncio.sleep(0.2)
        ended = await until(platform, run.id, "COMPLETED", "FAULTED")
    assert ended.state == "COMPLETED"
    async with platform.database.session() as session:
        kinds = await session.execute(select(JOURNAL.c.key).where(JOURNAL.c.kind == "TIMER_FIRED"))
        keys = list(kinds.scalars())
    assert len(keys) == len(set(keys)) == 2


async def _first_fired(platform: Platform) -> str:
    while True:
        async with platform.database.session() as session:
            key: str | None = await session.scalar(
                select(JOURNAL.c.key).where(JOURNAL.c.kind == "TIMER_FIRED")
            )
        if key is not None:
            return key
        await asyncio.sleep(0.02)
