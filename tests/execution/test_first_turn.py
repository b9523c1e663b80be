"""The first turn of a run, which takes it: at once with others, stopped, slow, broken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select

from coe.errors import Unavailable
from coe.execution.advance import Finished, LostLease, advance
from coe.execution.runtime import Runtime
from coe.outbox import OUTBOX
from coe.runs import actions
from coe.runs.journal import Append, Journal
from coe.runs.models import RunState
from coe.work import Platform
from tests.factories.people import SALES_OWNER
from tests.factories.runs import HTTP, Leaves, central, column, publish, read_run, runtime, start

SET = """  - one:
      set: {customer: "${ $workflow.input.customer }"}
"""


@pytest.fixture(autouse=True)
async def published(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))


async def test_of_two_processes_that_start_a_run_one_succeeds(platform: Platform) -> None:
    leaves = Leaves({"credit": {"ok": True}})
    for _ in range(10):
        run = await start(platform, "sales/simple")
        async with runtime(platform, leaves) as one, runtime(platform, leaves) as other:
            came = await asyncio.gather(*(advance(each, run.id) for each in (one, other)))
        assert Finished(RunState.COMPLETED) in came
        assert await column(platform, run.id, "fence") == 1
    assert leaves.calls == {"credit": 10}


async def test_a_run_that_is_cancelled_while_it_begins_ends_once(platform: Platform) -> None:
    seen = set()
    async with runtime(platform, Leaves({"credit": {"ok": True}})) as running:
        for delay in range(30):
            run = await start(platform, "sales/simple")
            _, refused = await asyncio.gather(
                advance(running, run.id),
                _cancel(platform, run.id, delay * 0.001),
                return_exceptions=True,
            )
            ended = await read_run(platform, run.id)
            assert ended.state in ({"COMPLETED"} if refused else {"COMPLETED", "CANCELLED"})
            assert await column(platform, run.id, "holder") is None
            seen.add(str(ended.state))
    assert "CANCELLED" in seen


async def _cancel(platform: Platform, run_id: Any, delay: float) -> None:
    await asyncio.sleep(delay)
    async with platform.work(SALES_OWNER) as work:
        await actions.cancel_run(work, run_id, reason="no longer wanted")


class _LateJournal(Journal):
    """The answer of a commit comes late."""

    committed = asyncio.Event()

    async def _write_plain(self, group: Sequence[Append]) -> set[int]:
        kept = await super()._write_plain(group)
        self.committed.set()
        await asyncio.sleep(0.3)
        return kept


class _CutJournal(Journal):
    """The answer of a commit never comes."""

    async def _write_plain(self, group: Sequence[Append]) -> set[int]:
        await super()._write_plain(group)
        raise OSError("the connection was cut")


async def test_a_process_stopped_while_the_first_facts_are_written_gives_the_run_back(
    platform: Platform,
) -> None:
    run = await start(platform, "sales/simple")
    async with runtime(platform, Leaves({"credit": {}})) as running:
        await running.journal.close()
        running.journal = journal = _LateJournal(platform.database)  # type: ignore[misc]  # the seam
        task = asyncio.create_task(advance(running, run.id))
        await journal.committed.wait()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
    await _is_given_back(platform, run.id, length=1)
    assert await _kinds(platform, run.id) == ["start", "wake"]


async def test_a_process_stopped_before_the_first_facts_gives_the_run_back(
    platform: Platform,
) -> None:
    await publish(platform, central("slow", SET))
    run = await start(platform, "sales/slow")
    asked = asyncio.Event()

    async def evaluate(*_: object) -> None:
        asked.set()
        await asyncio.sleep(3600)

    running = Runtime(platform, perform=Leaves({}).perform, evaluate=evaluate)
    await running.start()
    task = asyncio.create_task(advance(running, run.id))
    await asked.wait()
    task.cancel()
    await asyncio.wait({task})
    await running.close()
    await _is_given_back(platform, run.id, length=0)
    assert await _kinds(platform, run.id) == ["start", "wake"]


async def test_a_process_without_an_answer_to_the_first_facts_gives_the_run_back(
    platform: Platform,
) -> None:
    run = await start(platform, "sales/simple")
    async with runtime(platform, Leaves({"credit": {}})) as running:
        await running.journal.close()
        running.journal = _CutJournal(platform.database)  # type: ignore[misc]  # the seam
        with pytest.raises(Unavailable):
            await advance(running, run.id)
    await _is_given_back(platform, run.id, length=1)


async def _is_given_back(platform: Platform, run_id: Any, *, length: int) -> None:
    assert await column(platform, run_id, "holder") is None
    assert await column(platform, run_id, "journal_length") == length
    assert await column(platform, run_id, "lease_until") is not None


async def _kinds(platform: Platform, run_id: Any) -> list[str]:
    async with platform.database.session() as session:
        found = select(OUTBOX.c.kind).where(OUTBOX.c.subject == run_id).order_by(OUTBOX.c.kind)
        return list((await session.scalars(found)).all())


async def test_a_first_turn_that_takes_long_is_repeated_under_a_lease(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coe.execution.advance.FIRST_TURN_SECONDS", 0.1)
    await publish(platform, central("slow", SET))
    run = await start(platform, "sales/slow")
    gate = asyncio.Event()

    async def evaluate(*_: object) -> dict[str, str]:
        await gate.wait()
        return {"customer": "x"}

    each = [Runtime(platform, perform=Leaves({}).perform, evaluate=evaluate) for _ in range(3)]
    for running in each:
        await running.start()
    tasks = [asyncio.create_task(advance(running, run.id)) for running in each]
    async with asyncio.timeout(10):
        while await column(platform, run.id, "holder") is None:
            await asyncio.sleep(0.02)
    assert await column(platform, run.id, "journal_length") == 0
    gate.set()
    came = await asyncio.gather(*tasks)
    for running in each:
        await running.close()
    assert sorted(type(one).__name__ for one in came) == ["Finished", *2 * [LostLease.__name__]]
    assert (await read_run(platform, run.id)).state == "COMPLETED"


async def test_a_run_that_breaks_before_its_first_facts_can_be_retried(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await start(platform, "sales/simple")

    async def broken(*_: object) -> None:
        raise RuntimeError("a mistake of ours")

    leaves = Leaves({"credit": {"ok": True}})
    async with runtime(platform, leaves) as running:
        with monkeypatch.context() as patched:
            patched.setattr("coe.execution.advance.first_fact", broken)
            assert await advance(running, run.id) == Finished(RunState.FAULTED)
        assert await column(platform, run.id, "fence") == 1
        async with platform.work(SALES_OWNER) as work:
            await actions.retry_run(work, run.id, reason="fixed")
        assert await advance(running, run.id) == Finished(RunState.COMPLETED)
    assert leaves.calls == {"credit": 1}
