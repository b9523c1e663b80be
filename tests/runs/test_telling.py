"""What people see of steps: a moment later than the journal, and never less than it says."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from uuid import UUID

from coe.runs import queries
from coe.runs.commands import RunLeaf, StepChange, StepState
from coe.runs.execution import Finished, advance
from coe.runs.journal import Append, Journal
from coe.runs.models import RunState
from coe.runs.runtime import LeafDone
from coe.runs.telling import HELD_BACK, MOST, Telling
from coe.work import Platform
from tests.runs.processes import (
    APPROVAL,
    HTTP,
    SALES_OWNER,
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


def _change(key: str, state: StepState) -> StepChange:
    return StepChange(key, f"/do/{key}", key, "http", state, 1, None, NOON)


async def _shown(platform: Platform, run_id: UUID) -> list[tuple[str, str]]:
    async with platform.work(SALES_OWNER) as work:
        steps = await queries.steps_of_runs(work, [run_id])
    return [(step.name, str(step.state)) for step in steps.get(run_id, ())]


def test_a_short_step_is_told_once_at_the_place_of_its_beginning() -> None:
    telling = Telling()
    begun = [_change("a", StepState.RUNNING), _change("b", StepState.RUNNING)]
    telling.hold(begun, 1, NOON, seconds=10.0)
    telling.hold([_change("a", StepState.COMPLETED)], 2, NOON, seconds=10.1)
    assert not telling.cannot_wait([], seconds=10.1)
    assert telling.due() == 10.0 + HELD_BACK
    first, second = telling.all()
    assert [first.change.key, second.change.key] == ["a", "b"]
    assert first.change.state is StepState.COMPLETED
    assert first.place < second.place < 2 << 20
    telling.clear()
    assert not telling
    assert telling.due() is None


def test_what_is_about_to_be_journaled_is_not_held_back_yet() -> None:
    telling = Telling()
    telling.hold([_change("a", StepState.RUNNING)], 1, NOON, seconds=10.0)
    later = NOON + timedelta(seconds=1)
    ended = telling.all([_change("a", StepState.COMPLETED)], 2, later)
    assert [(each.change.state, each.at) for each in ended] == [(StepState.COMPLETED, later)]
    assert [each.change.state for each in telling.all()] == [StepState.RUNNING]


def test_what_asks_for_somebody_is_told_at_once() -> None:
    for state in (StepState.WAITING, StepState.FAULTED, StepState.CANCELLED, StepState.RETRYING):
        assert Telling().cannot_wait([_change("a", state)], seconds=10.0)
    for state in (StepState.RUNNING, StepState.COMPLETED, StepState.SKIPPED):
        assert not Telling().cannot_wait([_change("a", state)], seconds=10.0)


def test_much_is_told_at_once_and_old_things_when_they_are_due() -> None:
    telling = Telling()
    telling.hold([_change("a", StepState.RUNNING)], 1, NOON, seconds=10.0)
    assert not telling.cannot_wait([], seconds=10.0 + HELD_BACK / 2)
    assert telling.cannot_wait([], seconds=10.0 + HELD_BACK)
    telling.clear()
    many = [_change(str(each), StepState.RUNNING) for each in range(MOST)]
    assert telling.cannot_wait(many, seconds=10.0)


async def test_a_step_that_takes_long_is_seen_to_run(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    gate = asyncio.Event()

    async def slow(leaf: RunLeaf) -> LeafDone:  # the form of a leaf
        await gate.wait()
        return LeafDone({})

    async with engine(platform, Leaves({"credit": slow})):
        run = await start(platform, "sales/simple")
        async with asyncio.timeout(10):
            while await _shown(platform, run.id) != [("credit", "RUNNING")]:
                await asyncio.sleep(0.02)
        gate.set()
        await until(platform, run.id, "COMPLETED")
    assert await _shown(platform, run.id) == [("credit", "COMPLETED")]


async def test_a_run_parks_with_all_its_steps_told(platform: Platform) -> None:
    await publish(platform, central("asks", HTTP.format(name="credit") + APPROVAL))
    async with engine(platform, Leaves({"credit": {"customer": "x"}})):
        run = await start(platform, "sales/asks")
        await open_task(platform, run.id)
        await until(platform, run.id, "WAITING")
        assert await _shown(platform, run.id) == [("credit", "COMPLETED"), ("approve", "WAITING")]
    told = await column(platform, run.id, "steps_told")
    assert told == await column(platform, run.id, "journal_length")


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


async def test_who_takes_over_from_the_dead_tells_of_what_they_did(platform: Platform) -> None:
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
        assert await _shown(platform, run.id) == []
    await lapse(platform)
    async with runtime(platform, leaves) as other:
        assert await advance(other, run.id) == Finished(RunState.COMPLETED)
    assert await _shown(platform, run.id) == [(each, "COMPLETED") for each in steps]
    assert leaves.calls == {"one": 1, "two": 1, "three": 2, "four": 1}


async def test_of_two_who_begin_a_run_one_does(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="credit")))
    leaves = Leaves({"credit": {"ok": True}})
    for _ in range(10):
        run = await start(platform, "sales/simple")
        async with runtime(platform, leaves) as one, runtime(platform, leaves) as other:
            came = await asyncio.gather(*(advance(each, run.id) for each in (one, other)))
        assert Finished(RunState.COMPLETED) in came
        assert await column(platform, run.id, "fence") == 1
    assert leaves.calls == {"credit": 10}
