"""Leaves that run at once: an engine that fails one of them costs the others nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

from coe.db import utcnow
from coe.errors import Unavailable
from coe.execution.leaf_tasks import LeafTasks
from coe.execution.runtime import LeafDone
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

    async def perform(one: RunLeaf) -> LeafDone:
        try:
            await release.wait()
        except asyncio.CancelledError:
            stopped.append(one.name)
            raise
        return LeafDone({"from": one.name})

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
