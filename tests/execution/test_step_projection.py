"""What people see of steps: a moment later than the journal, and never less than it says."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from coe.execution.advance import Finished, advance
from coe.human_tasks import actions as human_tasks
from coe.json_types import JSON
from coe.machine.commands import Phase, RunLeaf, StepState, StepTimes, StepUpdate
from coe.runs import actions, queries
from coe.runs.journal import Append, Journal
from coe.runs.models import RunState
from coe.runs.step_projection import HOLD_SECONDS, MAX_HELD_STEPS, StepProjection
from coe.work import Platform
from tests.factories.people import FINANCE_APPROVER, SALES_OWNER
from tests.factories.runs import (
    APPROVAL,
    HTTP,
    Leaves,
    central,
    column,
    engine,
    lapse,
    open_task,
    publish,
    runtime,
    start,
    until,
)

NOON = datetime.fromisoformat("2026-11-22T12:00:00+00:00")


def _change(key: str, state: StepState) -> StepUpdate:
    times = StepTimes(timedelta(), {}, Phase.WORK, NOON)
    return StepUpdate(key, f"/do/{key}", key, "http", state, 1, None, NOON, times)


async def _visible(platform: Platform, run_id: UUID) -> list[tuple[str, str]]:
    async with platform.work(SALES_OWNER) as work:
        steps = await queries.steps_of_runs(work, [run_id])
    return [(step.name, str(step.state)) for step in steps.get(run_id, ())]


def test_a_short_step_is_written_once_at_the_place_of_its_start() -> None:
    projection = StepProjection()
    started = [_change("a", StepState.RUNNING), _change("b", StepState.RUNNING)]
    projection.hold(started, 1, seconds=10.0)
    projection.hold([_change("a", StepState.COMPLETED)], 2, seconds=10.1)
    assert not projection.is_due([], seconds=10.1)
    assert projection.due() == 10.0 + HOLD_SECONDS
    first, second = projection.held()
    assert [first.change.key, second.change.key] == ["a", "b"]
    assert first.change.state is StepState.COMPLETED
    assert first.place < second.place < 2 << 20
    projection.clear()
    assert not projection
    assert projection.due() is None


def test_changes_that_are_not_journaled_yet_are_not_held_back() -> None:
    projection = StepProjection()
    projection.hold([_change("a", StepState.RUNNING)], 1, seconds=10.0)
    [ended] = projection.held([_change("a", StepState.COMPLETED)], 2)
    assert (ended.change.state, ended.place) == (StepState.COMPLETED, 1 << 20)
    assert [each.change.state for each in projection.held()] == [StepState.RUNNING]


def test_a_step_that_needs_somebody_is_written_at_once() -> None:
    for state in (StepState.WAITING, StepState.FAULTED, StepState.CANCELLED, StepState.RETRYING):
        assert StepProjection().is_due([_change("a", state)], seconds=10.0)
    for state in (StepState.RUNNING, StepState.COMPLETED, StepState.SKIPPED):
        assert not StepProjection().is_due([_change("a", state)], seconds=10.0)


def test_many_steps_are_written_at_once_and_old_ones_when_they_are_due() -> None:
    projection = StepProjection()
    projection.hold([_change("a", StepState.RUNNING)], 1, seconds=10.0)
    assert not projection.is_due([], seconds=10.0 + HOLD_SECONDS / 2)
    assert projection.is_due([], seconds=10.0 + HOLD_SECONDS)
    projection.clear()
    many = [_change(str(each), StepState.RUNNING) for each in range(MAX_HELD_STEPS)]
    assert projection.is_due(many, seconds=10.0)


async def test_a_step_that_takes_long_is_seen_to_run(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    gate = asyncio.Event()

    async def slow(leaf: RunLeaf) -> JSON:
        await gate.wait()
        return {}

    async with engine(platform, Leaves({"credit": slow})):
        run = await start(platform, "sales/simple")
        async with asyncio.timeout(10):
            while await _visible(platform, run.id) != [("credit", "RUNNING")]:
                await asyncio.sleep(0.02)
        gate.set()
        await until(platform, run.id, "COMPLETED")
    assert await _visible(platform, run.id) == [("credit", "COMPLETED")]


async def test_all_steps_are_written_before_a_run_parks(platform: Platform) -> None:
    await publish(platform, central("asks", HTTP.format(name="credit") + APPROVAL))
    async with engine(platform, Leaves({"credit": {"customer": "x"}})):
        run = await start(platform, "sales/asks")
        await open_task(platform, run.id)
        await until(platform, run.id, "WAITING")
        assert await _visible(platform, run.id) == [("credit", "COMPLETED"), ("approve", "WAITING")]
    projected = await column(platform, run.id, "steps_told")
    assert projected == await column(platform, run.id, "journal_length")


class _Dies(BaseException):
    """The process is gone."""


class _DyingJournal(Journal):
    """Dies before the append of that number."""

    left = 4

    async def append(self, batch: Append) -> None:
        self.left -= 1
        if not self.left:
            raise _Dies
        await super().append(batch)


async def test_the_next_holder_writes_the_steps_of_a_dead_one(platform: Platform) -> None:
    steps = ("one", "two", "three", "four")
    await publish(platform, central("four", "".join(HTTP.format(name=each) for each in steps)))
    run = await start(platform, "sales/four")
    leaves = Leaves({key: {"customer": "x"} for key in steps})
    async with runtime(platform, leaves) as dying:
        await dying.journal.close()
        dying.journal = _DyingJournal(platform.database)  # type: ignore[misc]  # the seam
        with contextlib.suppress(_Dies):
            await advance(dying, run.id)
        assert await column(platform, run.id, "journal_length") == 3
        assert await _visible(platform, run.id) == []
    await lapse(platform)
    async with runtime(platform, leaves) as other:
        assert await advance(other, run.id) == Finished(RunState.COMPLETED)
    assert await _visible(platform, run.id) == [(each, "COMPLETED") for each in steps]
    assert leaves.calls == {"one": 1, "two": 1, "three": 2, "four": 1}


EMIT = """  - announce:
      emit:
        event:
          with: {source: https://example.com/x, type: com.example.emitted, data: {a: 1}}
"""


async def _broken(*_: object) -> None:
    raise RuntimeError("a mistake of ours")


async def test_steps_of_an_append_that_fails_are_written_later(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = HTTP.format(name="one") + HTTP.format(name="two") + APPROVAL
    await publish(platform, central("asks", steps))
    run = await start(platform, "sales/asks")
    leaves = Leaves({name: {"customer": "x"} for name in ("one", "two")})
    async with runtime(platform, leaves) as running:
        with monkeypatch.context() as patched:
            patched.setattr("coe.human_tasks.opening.open_task", _broken)
            assert await advance(running, run.id) == Finished(RunState.FAULTED)
        assert await _visible(platform, run.id) == [("one", "COMPLETED"), ("two", "RUNNING")]
        async with platform.work(SALES_OWNER) as work:
            await actions.retry_run(work, run.id, reason="fixed")
        await advance(running, run.id)
    assert await _visible(platform, run.id) == [
        ("one", "COMPLETED"),
        ("two", "COMPLETED"),
        ("approve", "WAITING"),
    ]


async def test_steps_of_facts_that_were_not_journaled_are_not_written(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coe.events.emit.emit", _broken)
    await publish(platform, central("emits", HTTP.format(name="one") + EMIT))
    run = await start(platform, "sales/emits")
    async with runtime(platform, Leaves({"one": {"customer": "x"}})) as running:
        assert await advance(running, run.id) == Finished(RunState.FAULTED)
    assert await column(platform, run.id, "journal_length") == 1
    assert await _visible(platform, run.id) == [("one", "RUNNING")]


async def test_the_time_without_a_holder_is_no_time_of_waiting(platform: Platform) -> None:
    await publish(platform, central("waits", APPROVAL + HTTP.format(name="one")))
    run = await start(platform, "sales/waits")
    leaves = Leaves({"one": {"customer": "x"}})
    async with runtime(platform, leaves) as dying:
        await advance(dying, run.id)
        task_id = await open_task(platform, run.id)
        async with platform.work(FINANCE_APPROVER) as work:
            await human_tasks.complete_task(work, task_id, outcome="approved", answer={"limit": 1})
        await dying.journal.close()
        dying.journal = journal = _DyingJournal(platform.database)  # type: ignore[misc]  # the seam
        journal.left = 2
        with contextlib.suppress(_Dies):
            await advance(dying, run.id)
    assert await _visible(platform, run.id) == [("approve", "WAITING")]
    died_at = platform.clock()
    await asyncio.sleep(0.5)
    await lapse(platform)
    async with runtime(platform, leaves) as other:
        assert await advance(other, run.id) == Finished(RunState.COMPLETED)
    async with platform.work(SALES_OWNER) as work:
        approve, _ = (await queries.steps_of_runs(work, [run.id]))[run.id]
    assert approve.waited_for is not None
    assert approve.waited_for <= died_at - run.requested_at
