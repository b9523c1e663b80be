"""Long and wide runs: what a step costs, counted and not timed, and what stays in memory."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from coe.execution import leaf_tasks
from coe.execution.advance import Finished, advance
from coe.execution.leaf_tasks import LeafTasks, run_inline
from coe.json_types import JSON
from coe.language.load import load
from coe.machine.commands import RunLeaf
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import Machine, RunContext
from coe.runs.journal import Append, Journal
from coe.work import Platform
from tests.factories.runs import Leaves, central, publish, runtime, start

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LOOP = """  - loop:
      for: {{each: item, in: '${{ [range({times})] }}'}}
      do:
        - step:
            call: http
            with: {{method: post, endpoint: https://erp.example.com/step, body: '${{ .customer }}'}}
            timeout: {{after: PT1H}}
"""


class Counted:
    """An evaluator that knows the two programs of the loop, and counts."""

    def __init__(self, times: int) -> None:
        self.times, self.calls = times, 0

    async def __call__(self, program: str, _: Mapping[str, JSON], __: JSON) -> JSON:
        self.calls += 1
        return list(range(self.times)) if "range" in program else None


async def _loop(times: int):
    """The machine of a loop, and a way to answer its leaf; gives what each answer caused."""
    definition = load(central("loop", LOOP.format(times=times))).definition
    assert definition is not None
    evaluate = Counted(times)
    machine = Machine(definition, RunContext("run"), evaluate)
    commands = await machine.apply(
        Fact(FactKind.RUN_STARTED, NOON, data={"input": {"customer": "x"}})
    )
    for turn in range(times):
        [leaf] = [each for each in commands if isinstance(each, RunLeaf)]
        at = NOON + timedelta(seconds=turn)
        commands = await machine.apply(
            Fact(FactKind.LEAF_COMPLETED, at, leaf.key, {"output": {"customer": "y"}})
        )
        yield evaluate.calls, commands, machine.changed_steps()


async def test_each_iteration_of_a_long_loop_causes_the_same() -> None:
    seen = [(calls, len(commands), len(steps)) async for calls, commands, steps in _loop(2_000)]
    caused = [(after[0] - before[0], *after[1:]) for before, after in pairwise(seen[:-1])]
    assert len(set(caused)) == 1, "an iteration causes more, or less, than the one before"


async def test_a_long_loop_keeps_nothing_of_its_iterations() -> None:
    kept = []
    tracemalloc.start()
    try:
        turn = 0
        async for _ in _loop(2_000):
            turn += 1
            if turn in {500, 1_000, 1_500, 1_999}:
                gc.collect()
                kept.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(kept) - min(kept) < 20_000, "bytes that 1,500 iterations left behind"


async def test_a_replayed_journal_keeps_no_finished_steps(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A holder that dies late in a long run: the next one replays in pages, and keeps no step."""
    monkeypatch.setattr("coe.execution.replay.CHUNK", 20)
    await publish(platform, central("loop", LOOP.format(times=100)))
    run = await start(platform, "sales/loop")
    stop = asyncio.Event()

    async def answer(leaf: RunLeaf) -> JSON:
        if leaves.calls["step"] == 90 and not stop.is_set():
            stop.set()
            await asyncio.sleep(3600)
        return {"customer": "y"}

    leaves = Leaves({"step": answer})
    most = 0
    changed = Machine.changed_steps

    def watched(machine: Machine):
        nonlocal most
        steps = changed(machine)
        most = max(most, len(steps))
        return steps

    async with runtime(platform, leaves) as first:
        first_holder = asyncio.create_task(advance(first, run.id))
        await stop.wait()
        first_holder.cancel()
        await asyncio.gather(first_holder, return_exceptions=True)
    monkeypatch.setattr(Machine, "changed_steps", watched)
    async with runtime(platform, leaves) as second:
        assert isinstance(await advance(second, run.id), Finished)
    assert leaves.calls["step"] == 101
    assert most <= 2 * 20 + 2, "steps of more than one page were kept"


class _Recording(Journal):
    """Notes how many rows each append has."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform.database)
        self.sizes: list[tuple[int, int, int]] = []

    async def append(self, batch: Append) -> None:
        self.sizes.append((len(batch.entries), len(batch.steps), len(batch.changes)))
        await super().append(batch)


async def test_each_step_of_a_run_writes_the_same_in_one_statement(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coe.runs.step_projection.HOLD_SECONDS", 3600.0)  # no write by the clock
    await publish(platform, central("loop", LOOP.format(times=60)))
    run = await start(platform, "sales/loop")
    leaves = Leaves({"step": {"customer": "y"}})
    async with runtime(platform, leaves) as running:
        await running.journal.close()
        running.journal = journal = _Recording(platform)  # type: ignore[misc]  # the seam
        assert isinstance(await advance(running, run.id), Finished)
    first, *steps, last = journal.sizes
    assert first[0] == 1
    assert {(facts, changes) for facts, _, changes in steps} == {(1, 0)}, "one fact, nothing beside"
    assert sum(rows for _, rows, _ in journal.sizes) < 60 + len(journal.sizes) // 2, "a row a step"
    assert last[0] == 1
    assert last[2] == 0, "the plain end is part of the append"


async def test_leaves_that_run_are_not_looked_at_when_another_ends(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many branches at once, an end must not cost a look at all of them."""
    looks = 0
    failed = leaf_tasks._failed

    def looked(fact: asyncio.Future[Fact]) -> bool:
        nonlocal looks
        looks += 1
        return failed(fact)

    monkeypatch.setattr(leaf_tasks, "_failed", looked)
    gates = [asyncio.Event() for _ in range(100)]

    async def wait(leaf: RunLeaf) -> JSON:
        await gates[int(leaf.name)].wait()
        return None

    async with runtime(platform, Leaves({str(n): wait for n in range(100)})) as running:
        changed = asyncio.Event()
        leaves = LeafTasks(running, run_inline, changed.set)
        leaves.start(RunLeaf(str(n), "/do/0", str(n), "http", None) for n in range(100))
        for number, gate in enumerate(gates):
            gate.set()
            await changed.wait()
            changed.clear()
            assert leaves.any_done
            assert [fact.key for fact in leaves.finished()] == [str(number)]
        assert not leaves
    assert looks == 100
