"""The leaves of a run that are being carried out, each as a task of its own."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Protocol

from coe.db import JSON, new_id
from coe.errors import Unavailable
from coe.runs.commands import RunLeaf
from coe.runs.facts import Fact, FactKind
from coe.runs.machine_errors import type_of
from coe.runs.runtime import LeafDone, LeafFailed, Runtime

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


class InFlight:
    """What of a run is under way. `done` is called whenever a leaf has come to its end."""

    def __init__(self, runtime: Runtime, carry: Carry, done: Callable[[], None]) -> None:
        """Begin with nothing under way."""
        self._runtime = runtime
        self._carry = carry
        self._done = done
        self._tasks: dict[str, asyncio.Task[Fact]] = {}
        self._succeeded: dict[str, None] = {}
        self._failed: dict[str, None] = {}

    def __bool__(self) -> bool:
        """Whether anything is under way, or has ended and was not yet taken."""
        return bool(self._tasks)

    @property
    def any_done(self) -> bool:
        """Whether `finished` has something to give or to raise."""
        return bool(self._succeeded) or self._all_failed()

    def begin(self, leaves: Iterable[RunLeaf]) -> None:
        """Carry the leaves out, but none that is under way."""
        for leaf in leaves:
            if leaf.key not in self._tasks:
                task = asyncio.create_task(self._perform(leaf), name=f"coe-leaf-{leaf.name}")
                self._tasks[leaf.key] = task
                task.add_done_callback(partial(self._ended, leaf.key))

    def finished(self) -> list[Fact]:
        """The facts of the leaves that have ended; each is given once.

        A leaf that was not carried out is told last, when no other is under way or has a fact to
        give: what the others did is kept, and none of them is stopped half-way and run again.

        Raises:
            Unavailable: The engine did not carry a leaf out.
        """
        if self._all_failed():
            next(iter(self._tasks.values())).result()
        ended, self._succeeded = self._succeeded, {}
        return [self._tasks.pop(key).result() for key in ended]

    def _ended(self, key: str, task: asyncio.Task[Fact]) -> None:
        """Note the end of a leaf that was not stopped: looking at all of them costs with many."""
        if self._tasks.get(key) is task:
            (self._failed if _failed(task) else self._succeeded)[key] = None
        self._done()

    def _all_failed(self) -> bool:
        return bool(self._tasks) and len(self._failed) == len(self._tasks)

    async def stop(self, keys: Iterable[str]) -> None:
        """Stop these leaves; what they would have given is not wanted any more."""
        stopped = [task for key in keys if (task := self._forget(key)) is not None]
        for task in stopped:
            task.cancel()
        await asyncio.gather(*stopped, return_exceptions=True)

    def _forget(self, key: str) -> asyncio.Task[Fact] | None:
        self._succeeded.pop(key, None)
        self._failed.pop(key, None)
        return self._tasks.pop(key, None)

    async def close(self) -> None:
        """Stop all of them."""
        await self.stop(list(self._tasks))

    async def _perform(self, leaf: RunLeaf) -> Fact:
        results: list[LeafDone | LeafFailed] = []

        async def work() -> None:
            result = await self._attempt(leaf)
            results.append(result)
            if isinstance(result, LeafFailed):
                raise StepFailedError(leaf.key)

        try:
            await self._carry(leaf.name, leaf.key, work)
        except Exception as raised:  # noqa: BLE001  # an engine's own; the leaf's are values
            if not results:
                _log.warning("step %s was not carried out: %s", leaf.key, type(raised).__name__)
                raise Unavailable from None
        now = self._runtime.platform.clock()
        match results[0]:
            case LeafDone(output):
                return Fact(FactKind.LEAF_COMPLETED, now, leaf.key, {"output": output})
            case LeafFailed(error):
                return Fact(FactKind.LEAF_FAULTED, now, leaf.key, {"error": dict(error)})

    async def _attempt(self, leaf: RunLeaf) -> LeafDone | LeafFailed:
        try:
            return await self._runtime.perform(leaf)
        except Exception as error:  # noqa: BLE001  # a leaf's own fault must be the leaf's fault
            return LeafFailed(internal_fault(error, f"step {leaf.key}"))


def _failed(task: asyncio.Task[Fact]) -> bool:
    return task.cancelled() or task.exception() is not None


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
