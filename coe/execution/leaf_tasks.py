"""The leaves of a run that are being carried out, each as a task of its own."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from coe.db import new_id
from coe.errors import Unavailable
from coe.execution.runtime import LeafDone, LeafFailed, Runtime
from coe.json_types import JSON
from coe.machine.commands import RunLeaf
from coe.machine.errors import type_of
from coe.machine.facts import Fact, FactKind

PATIENCE: Final = 5.0
"""Seconds that an engine gets at the end of a run to note the end of leaves."""
_log = logging.getLogger(__name__)


class Carry(Protocol):
    """How an engine carries out a leaf: as a task of its own kind, or by simply awaiting it.

    It gets the name of the step and the leaf's key. What it is given raises `StepFailedError` for a
    leaf that faulted, so that the engine sees it; it may let that through, or not.
    """

    async def __call__(self, name: str, key: str, work: Callable[[], Awaitable[None]]) -> None:
        """Await the work, once."""


class StepFailedError(Exception):
    """A leaf faulted. The message holds its key only, for an engine may keep it."""


async def straight(name: str, key: str, work: Callable[[], Awaitable[None]]) -> None:  # noqa: ARG001  # the shape of Carry
    """The simplest `Carry`: await the work in place."""
    await work()


@dataclass(frozen=True, slots=True)
class _Leaf:
    """What carries a leaf out, and the fact that comes of it, maybe a little earlier."""

    task: asyncio.Task[None]
    fact: asyncio.Future[Fact]


class InFlight:
    """What of a run is under way. `done` is called whenever a leaf has come to its end."""

    def __init__(self, runtime: Runtime, carry: Carry, done: Callable[[], None]) -> None:
        """Begin with nothing under way."""
        self._runtime = runtime
        self._carry = carry
        self._done = done
        self._tasks: dict[str, _Leaf] = {}
        self._trailing: set[asyncio.Task[None]] = set()
        self._succeeded: dict[str, None] = {}
        self._failed: dict[str, None] = {}

    def __bool__(self) -> bool:
        """Whether anything is under way, or has ended and was not yet taken."""
        return bool(self._tasks or self._trailing)

    @property
    def any_done(self) -> bool:
        """Whether `finished` has something to give or to raise."""
        return bool(self._succeeded) or self._all_failed()

    def begin(self, leaves: Iterable[RunLeaf]) -> None:
        """Carry the leaves out, but none that is under way."""
        for leaf in leaves:
            if leaf.key not in self._tasks:
                fact: asyncio.Future[Fact] = asyncio.get_running_loop().create_future()
                task = asyncio.create_task(self._perform(leaf, fact), name=f"coe-leaf-{leaf.name}")
                self._tasks[leaf.key] = _Leaf(task, fact)

    def finished(self) -> list[Fact]:
        """The facts of the leaves that have ended; each is given once.

        A leaf that was not carried out is told last, when no other is under way or has a fact to
        give: what the others did is kept, and none of them is stopped half-way and run again.

        Raises:
            Unavailable: The engine did not carry a leaf out.
        """
        if self._all_failed():
            next(iter(self._tasks.values())).fact.result()
        ended, self._succeeded = self._succeeded, {}
        return [self._take(key) for key in ended]

    def _take(self, key: str) -> Fact:
        """A leaf's fact, as soon as there is one: the engine may take longer to note its end."""
        leaf = self._tasks.pop(key)
        if not leaf.task.done():
            self._trailing.add(leaf.task)
            leaf.task.add_done_callback(self._trailed)
        return leaf.fact.result()

    def _trailed(self, task: asyncio.Task[None]) -> None:
        self._trailing.discard(task)
        self._done()

    def _ended(self, key: str, fact: asyncio.Future[Fact]) -> None:
        """Note the end of a leaf that was not stopped: looking at all of them costs with many."""
        leaf = self._tasks.get(key)
        if leaf is not None and leaf.fact is fact:
            (self._failed if _failed(fact) else self._succeeded)[key] = None
        self._done()

    def _all_failed(self) -> bool:
        return bool(self._tasks) and len(self._failed) == len(self._tasks)

    async def stop(self, keys: Iterable[str]) -> None:
        """Stop these leaves; what they would have given is not wanted any more."""
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
        """Stop all of them; let the engine note the end of those that have ended."""
        await self.stop(list(self._tasks))
        if self._trailing:
            _, slow = await asyncio.wait(self._trailing, timeout=PATIENCE)
            for task in slow:
                task.cancel()

    async def _perform(self, leaf: RunLeaf, fact: asyncio.Future[Fact]) -> None:
        async def work() -> None:
            result = await self._attempt(leaf)
            if not fact.done():
                fact.set_result(self._fact(leaf, result))
                self._ended(leaf.key, fact)
            if isinstance(result, LeafFailed):
                raise StepFailedError(leaf.key)

        try:
            await self._carry(leaf.name, leaf.key, work)
        except Exception as raised:  # noqa: BLE001  # an engine's own; the leaf's are values
            if not fact.done():
                _log.warning("step %s was not carried out: %s", leaf.key, type(raised).__name__)
        except asyncio.CancelledError:
            if fact.cancel():
                self._ended(leaf.key, fact)
            raise
        if not fact.done():
            fact.set_exception(Unavailable())
            self._ended(leaf.key, fact)

    def _fact(self, leaf: RunLeaf, result: LeafDone | LeafFailed) -> Fact:
        now = self._runtime.platform.clock()
        match result:
            case LeafDone(output):
                return Fact(FactKind.LEAF_COMPLETED, now, leaf.key, {"output": output})
            case LeafFailed(error):
                return Fact(FactKind.LEAF_FAULTED, now, leaf.key, {"error": dict(error)})

    async def _attempt(self, leaf: RunLeaf) -> LeafDone | LeafFailed:
        try:
            return await self._runtime.perform(leaf)
        except Exception as error:  # noqa: BLE001  # a leaf's own fault must be the leaf's fault
            return LeafFailed(internal_fault(error, f"step {leaf.key}"))


def _failed(fact: asyncio.Future[Fact]) -> bool:
    return fact.cancelled() or fact.exception() is not None


def internal_fault(error: Exception, where: str) -> dict[str, JSON]:
    """A fault that says where to look; the log has the place in the code, never a value."""
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
