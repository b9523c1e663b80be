"""Leaves that run at once: an engine that fails one of them costs the others nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

from coe.db import utcnow
from coe.errors import Unavailable
from coe.execution.leaf_tasks import LeafTasks, StepFailedError
from coe.json_types import JSON
from coe.leaves.leaf import LeafFault
from coe.machine.commands import RunLeaf
from coe.machine.facts import FactKind


def leaf(name: str) -> RunLeaf:
    return RunLeaf(
        key=name * 64,
        path=f"/do/{name}",
        name=name,
        kind="http",
        arguments={},
        attempt=1,
    )


async def test_the_results_of_other_leaves_are_kept_when_an_engine_fails_to_run_one() -> None:
    release, ended, stopped = asyncio.Event(), asyncio.Event(), []

    async def perform(one: RunLeaf) -> JSON:
        try:
            await release.wait()
        except asyncio.CancelledError:
            stopped.append(one.name)
            raise
        return {"from": one.name}

    async def run_task(name: str, key: str, work: Callable[[], Awaitable[None]]) -> None:
        if name == "b":
            raise ConnectionError("the engine is away")
        await work()

    runtime = SimpleNamespace(perform=perform, platform=SimpleNamespace(clock=utcnow))
    leaves = LeafTasks(runtime, run_task, ended.set)  # type: ignore[arg-type]  # the two parts it uses
    leaves.start([leaf("a"), leaf("b")])
    await ended.wait()
    assert leaves.finished() == []
    assert not leaves.any_done
    assert stopped == []
    ended.clear()
    release.set()
    await ended.wait()
    [fact] = leaves.finished()
    assert (fact.kind, fact.key) == (FactKind.LEAF_COMPLETED, "a" * 64)
    with pytest.raises(Unavailable):
        leaves.finished()


@pytest.mark.parametrize(
    ("raised", "status"),
    [(LeafFault({"type": "about:erp", "status": 503}), 503), (KeyError("Ada"), 500)],
)
async def test_an_engine_learns_of_a_fault_but_nothing_of_its_data(
    raised: Exception, status: int
) -> None:
    ended, seen = asyncio.Event(), []

    async def perform(one: RunLeaf) -> JSON:
        raise raised

    async def run_task(name: str, key: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:
            seen.append(error)
            raise

    runtime = SimpleNamespace(perform=perform, platform=SimpleNamespace(clock=utcnow))
    leaves = LeafTasks(runtime, run_task, ended.set)  # type: ignore[arg-type]  # the two parts it uses
    leaves.start([leaf("a")])
    await ended.wait()
    [fact] = leaves.finished()
    assert (fact.kind, fact.data["error"]["status"]) == (FactKind.LEAF_FAULTED, status)
    await leaves.close()
    [error] = seen
    assert (type(error), str(error)) == (StepFailedError, "the step faulted; see the run")
    assert error.__cause__ is error.__context__ is None
