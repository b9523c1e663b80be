"""Fibers: the coroutines of one run, carried on one after the other until all of them wait.

asyncio would interleave branches as their I/O happens to end; here the order depends on the
journal alone. A fiber runs until it waits on an empty mailbox; an evaluation is awaited in place,
so nothing else moves meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from coe.json_types import JSON

EvaluateJq = Callable[[str, Mapping[str, JSON], JSON], Awaitable[JSON]]
"""`await evaluate(program, variables, input)`: run a jq program; raises `ExpressionError`."""


Start = Callable[[], Coroutine[Any, Any, Any]]
"""Makes the coroutine of a fiber."""


@dataclass(slots=True)
class Ended:
    """What a fiber leaves in its parent's mailbox: a result, or the exception that ended it."""

    fiber: Fiber
    result: Any = None
    error: Exception | None = None


class Mailbox:
    """A queue on which one fiber at a time waits."""

    __slots__ = ("items", "waiter")

    def __init__(self) -> None:
        """Start empty, with nobody waiting."""
        self.items: deque[Any] = deque()
        self.waiter: Fiber | None = None

    async def receive(self) -> Any:
        """Wait for the next item."""
        while not self.items:
            await _Park(self)
        return self.items.popleft()


class _Park:
    """Ask the scheduler to put this fiber aside until the mailbox has something."""

    __slots__ = ("box",)

    def __init__(self, box: Mailbox) -> None:
        self.box = box

    def __await__(self) -> Generator[_Park, Any, None]:
        yield self


class Evaluation:
    """Ask the scheduler for the value of an expression."""

    __slots__ = ("input", "program", "variables")

    def __init__(self, program: str, variables: Mapping[str, JSON], data: JSON) -> None:
        """Say what to evaluate, with which variables, over which data."""
        self.program = program
        self.variables = variables
        self.input = data

    def __await__(self) -> Generator[Evaluation, JSON, JSON]:
        """Give the value, or raise what the evaluator raised."""
        return (yield self)


class Fiber:
    """One coroutine and what belongs to it: its children, and the work that it asked for."""

    __slots__ = ("box", "children", "coroutine", "ended", "keys", "parent", "start", "steps")

    def __init__(self, start: Start, parent: Fiber | None, box: Mailbox | None) -> None:
        """Belong to a parent, and report the end to a mailbox; the coroutine is made when run."""
        self.start = start
        self.coroutine: Coroutine[Any, Any, Any] | None = None
        self.parent = parent
        self.box = box
        self.ended = False
        self.children: dict[Fiber, None] = {}
        self.keys: dict[str, None] = {}
        self.steps: dict[str, None] = {}

    def family(self) -> list[Fiber]:
        """This fiber and all below it, parents first."""
        found = [self]
        for fiber in found:
            found.extend(fiber.children)
        return found


class Scheduler:
    """Runs fibers in a fixed order. `halted` stops it between two fibers."""

    def __init__(self, evaluate: EvaluateJq) -> None:
        """Take the evaluator: the one thing that is awaited for real."""
        self._evaluate = evaluate
        self._ready: deque[Fiber] = deque()
        self._current: Fiber | None = None
        self.halted = False

    @property
    def current(self) -> Fiber:
        """The fiber that is running."""
        if self._current is None:
            raise RuntimeError("no fiber is running")
        return self._current

    def spawn(self, start: Start, box: Mailbox | None = None) -> Fiber:
        """Start a fiber below the current one; its end is posted to the box as `Ended`."""
        fiber = Fiber(start, self._current, box)
        if self._current is not None:
            self._current.children[fiber] = None
        self._ready.append(fiber)
        return fiber

    def post(self, box: Mailbox, item: object, *, first: bool = False) -> None:
        """Put an item into a mailbox and wake who waits on it, before all others if `first`."""
        box.items.append(item)
        if box.waiter is not None:
            (self._ready.appendleft if first else self._ready.append)(box.waiter)
            box.waiter = None

    async def run(self) -> None:
        """Carry on until every fiber waits."""
        while self._ready and not self.halted:
            fiber = self._ready.popleft()
            if not fiber.ended:
                self._current = fiber
                await self._advance(fiber)

    def discard(self, fiber: Fiber) -> None:
        """End a fiber and all below it where they stand; they are told nothing and say nothing."""
        for member in reversed(fiber.family()):
            member.ended = True
            if member.coroutine is not None:
                member.coroutine.close()
        if fiber.parent is not None:
            fiber.parent.children.pop(fiber, None)

    async def _advance(self, fiber: Fiber) -> None:
        """Run the fiber until it waits on a mailbox or ends."""
        if fiber.coroutine is None:
            fiber.coroutine = fiber.start()
        send, throw = fiber.coroutine.send, fiber.coroutine.throw
        value: JSON = None
        failure: Exception | None = None
        while True:
            try:
                request = send(value) if failure is None else throw(failure)
            except StopIteration as stop:
                self._end(fiber, Ended(fiber, result=stop.value))
                return
            except Exception as error:  # noqa: BLE001 - whoever waits for the fiber gets it
                self._end(fiber, Ended(fiber, error=error))
                return
            if isinstance(request, _Park):
                request.box.waiter = fiber
                return
            value, failure = None, None
            try:
                value = await self._evaluate(request.program, request.variables, request.input)
            except Exception as error:  # noqa: BLE001 - raised again where it was asked for
                failure = error

    def _end(self, fiber: Fiber, ended: Ended) -> None:
        if fiber.parent is not None:
            fiber.parent.children.pop(fiber, None)
        if fiber.box is None:
            if ended.error is not None:
                raise ended.error
            return
        self.post(fiber.box, ended, first=True)
