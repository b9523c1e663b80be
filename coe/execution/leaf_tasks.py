"""The leaves of a run that are running, each in an asyncio task."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from coe.db import new_id
from coe.errors import Unavailable
from coe.execution.runtime import Runtime
from coe.json_types import JSON
from coe.leaves.leaf import LeafFault
from coe.machine.commands import RunLeaf
from coe.machine.errors import type_of
from coe.machine.facts import Fact, FactKind

CLOSE_SECONDS: Final = 5.0
"""How long an engine may take, at the end of a run, to note the end of leaves."""
_log = logging.getLogger(__name__)


class TaskRunner(Protocol):
    """How an engine runs a leaf: as one of the engine's tasks, or by awaiting it in place.

    It gets the name of the step and the key of the leaf. `work` raises `StepFailedError` for a leaf
    that faulted, so that the engine sees it; the runner may raise it again, or not.
    """

    async def __call__(self, name: str, key: str, work: Callable[[], Awaitable[None]]) -> None:
        """Await the work, once."""


class StepFailedError(Exception):
    """A leaf faulted. The message has no data of the run, for an engine may keep it."""


async def run_inline(name: str, key: str, work: Callable[[], Awaitable[None]]) -> None:  # noqa: ARG001  # the shape of TaskRunner
    """The simplest `TaskRunner`: await the work in place."""
    await work()


@dataclass(frozen=True, slots=True)
class _Leaf:
    """The task of a leaf, and its fact, which may be there a little earlier than the task ends."""

    task: asyncio.Task[None]
    fact: asyncio.Future[Fact]


class LeafTasks:
    """The leaves of one run that are running. `on_end` is called whenever one has ended."""

    def __init__(self, runtime: Runtime, run_task: TaskRunner, on_end: Callable[[], None]) -> None:
        self._runtime = runtime
        self._run_task = run_task
        self._on_end = on_end
        self._tasks: dict[str, _Leaf] = {}
        self._trailing: set[asyncio.Task[None]] = set()
        self._succeeded: dict[str, None] = {}
        self._failed: dict[str, None] = {}

    def __bool__(self) -> bool:
        """Whether a leaf is running, or has ended and `finished` has not returned it."""
        return bool(self._tasks or self._trailing)

    @property
    def any_done(self) -> bool:
        """Whether `finished` has something to return or to raise."""
        return bool(self._succeeded) or self._all_failed()

    def start(self, leaves: Iterable[RunLeaf]) -> None:
        """Start the leaves, except those that are running."""
        for leaf in leaves:
            if leaf.key not in self._tasks:
                fact: asyncio.Future[Fact] = asyncio.get_running_loop().create_future()
                task = asyncio.create_task(self._run(leaf, fact), name=f"coe-leaf-{leaf.name}")
                self._tasks[leaf.key] = _Leaf(task, fact)

    def finished(self) -> list[Fact]:
        """The facts of the leaves that have ended; each is returned once.

        A leaf that the engine did not run is reported last, when no other is running or has a fact:
        so the results of the others are kept, and none of them is stopped half-way and run again.

        Raises:
            Unavailable: The engine did not run a leaf.
        """
        if self._all_failed():
            next(iter(self._tasks.values())).fact.result()
        ended, self._succeeded = self._succeeded, {}
        return [self._take(key) for key in ended]

    def _take(self, key: str) -> Fact:
        """The fact of a leaf; the engine may take longer to note that the leaf ended."""
        leaf = self._tasks.pop(key)
        if not leaf.task.done():
            self._trailing.add(leaf.task)
            leaf.task.add_done_callback(self._trailed)
        return leaf.fact.result()

    def _trailed(self, task: asyncio.Task[None]) -> None:
        self._trailing.discard(task)
        self._on_end()

    def _ended(self, key: str, fact: asyncio.Future[Fact]) -> None:
        """Note the end of a leaf that was not stopped: to look at all of them is slow with many."""
        leaf = self._tasks.get(key)
        if leaf is not None and leaf.fact is fact:
            (self._failed if _failed(fact) else self._succeeded)[key] = None
        self._on_end()

    def _all_failed(self) -> bool:
        return bool(self._tasks) and len(self._failed) == len(self._tasks)

    async def stop(self, keys: Iterable[str]) -> None:
        """Stop these leaves and drop their results."""
        stopped = [leaf for key in keys if (leaf := self._forget(key)) is not None]
        for leaf in stopped:
            leaf.task.cancel()
            leaf.fact.cancel()
        await asyncio.gather(*(leaf.task for leaf in stopped), return_exceptions=True)

    def _forget(self, key: str) -> _Leaf | None:
        self._succeeded.pop(key, None)
        self._failed.pop(key, None)
        return self._tasks.pop(key, None)

    async def close(self) -> None:
        """Stop all leaves; let the engine note the end of those that have ended."""
        await self.stop(list(self._tasks))
        if self._trailing:
            _, slow = await asyncio.wait(self._trailing, timeout=CLOSE_SECONDS)
            for task in slow:
                task.cancel()

    async def _run(self, leaf: RunLeaf, fact: asyncio.Future[Fact]) -> None:
        async def work() -> None:
            result = await self._perform(leaf)
            if not fact.done():
                fact.set_result(result)
                self._ended(leaf.key, fact)
            if result.kind is FactKind.LEAF_FAULTED:
                raise StepFailedError("the step faulted; see the run")

        try:
            await self._run_task(leaf.name, leaf.key, work)
        except Exception as raised:  # noqa: BLE001  # an error of the engine; those of leaves are values
            if not fact.done():
                _log.warning("step %s was not run: %s", leaf.key, type(raised).__name__)
        except asyncio.CancelledError:
            if fact.cancel():
                self._ended(leaf.key, fact)
            raise
        if not fact.done():
            fact.set_exception(Unavailable())
            self._ended(leaf.key, fact)

    async def _perform(self, leaf: RunLeaf) -> Fact:
        """Carry out a leaf; its fact. An unexpected error is the leaf's fault, not the run's."""
        kind, data = FactKind.LEAF_FAULTED, {}
        try:
            data = {"output": await self._runtime.perform(leaf)}
            kind = FactKind.LEAF_COMPLETED
        except LeafFault as fault:
            data = {"error": dict(fault.error)}
        except Exception as error:  # noqa: BLE001  # see above
            data = {"error": internal_fault(error, f"step {leaf.key}")}
        return Fact(kind, self._runtime.platform.clock(), leaf.key, data)


def _failed(fact: asyncio.Future[Fact]) -> bool:
    return fact.cancelled() or fact.exception() is not None


def internal_fault(error: Exception, where: str) -> dict[str, JSON]:
    """A fault with an error id; the log has the place in the code under it, and never a value."""
    error_id = str(new_id())
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"
    _log.error("%s: %s at %s (error %s)", where, type(error).__name__, place, error_id)
    return {
        "type": type_of("runtime"),
        "status": 500,
        "title": "Something failed on our side",
        "detail": f"Quote the error id {error_id}.",
    }
