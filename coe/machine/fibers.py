"""Fibers: the coroutines of one run, resumed one after the other until all of them wait.

asyncio would interleave branches in the order in which their I/O ends. The order of fibers depends
on the journal alone. A fiber runs until it waits on an empty mailbox. An evaluation is awaited in
place: no other fiber runs meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from coe.json_types import JSON

EvaluateJq = Callable[[str, Mapping[str, JSON], JSON], Awaitable[JSON]]
"""`await evaluate(program, variables, input)` runs a jq program; raises `ExpressionError`."""

Start = Callable[[], Coroutine[Any, Any, Any]]
"""Creates the coroutine of a fiber."""


@dataclass(slots=True)
class Ended:
    """The end of a fiber, posted to its parent's mailbox: a result or an exception."""

    fiber: Fiber
    result: Any = None
    error: Exception | None = None


class Mailbox:
    """A queue on which one fiber at a time waits."""

    __slots__ = ("items", "waiter")

    def __init__(self) -> None:
        self.items: deque[Any] = deque()
        self.waiter: Fiber | None = None

    async def receive(self) -> Any:
        """Wait for the next item."""
        while not self.items:
            await _Park(self)
        return self.items.popleft()


class _Park:
    """Asks the scheduler to suspend the fiber until the mailbox has an item."""

    __slots__ = ("box",)

    def __init__(self, box: Mailbox) -> None:
        self.box = box

    def __await__(self) -> Generator[_Park, Any, None]:
        yield self


class Evaluation:
    """Asks the scheduler for the value of an expression."""

    __slots__ = ("input", "program", "variables")

    def __init__(self, program: str, variables: Mapping[str, JSON], data: JSON) -> None:
        self.program = program
        self.variables = variables
        self.input = data

    def __await__(self) -> Generator[Evaluation, JSON, JSON]:
        """Give the value, or raise the exception of the evaluator."""
        return (yield self)


class Fiber:
    """One coroutine with its child fibers, the keys of its pending commands, and its open steps."""

    __slots__ = ("box", "children", "coroutine", "ended", "keys", "parent", "start", "steps")

    def __init__(self, start: Start, parent: Fiber | None, box: Mailbox | None) -> None:
        self.start = start
        self.coroutine: Coroutine[Any, Any, Any] | None = None
        self.parent = parent
        self.box = box
        self.ended = False
        self.children: dict[Fiber, None] = {}
        self.keys: dict[str, None] = {}
        self.steps: dict[str, None] = {}

    def family(self) -> list[Fiber]:
        """This fiber and all its descendants, parents first."""
        found = [self]
        for fiber in found:
            found.extend(fiber.children)
        return found


class Scheduler:
    """Runs fibers in a fixed order. `halted` stops it between two fibers."""

    def __init__(self, evaluate: EvaluateJq) -> None:
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
        """Start a child of the current fiber; its end is posted to the box as `Ended`."""
        fiber = Fiber(start, self._current, box)
        if self._current is not None:
            self._current.children[fiber] = None
        self._ready.append(fiber)
        return fiber

    def post(self, box: Mailbox, item: object, *, first: bool = False) -> None:
        """Put an item into a mailbox and wake its waiter, ahead of all others if `first`."""
        box.items.append(item)
        if box.waiter is not None:
            (self._ready.appendleft if first else self._ready.append)(box.waiter)
            box.waiter = None

    async def run(self) -> None:
        """Run fibers until every one waits."""
        while self._ready and not self.halted:
            fiber = self._ready.popleft()
            if not fiber.ended:
                self._current = fiber
                await self._advance(fiber)

    def discard(self, fiber: Fiber) -> None:
        """End a fiber and its descendants where they stand, without posting their ends."""
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
            except Exception as error:  # noqa: BLE001 - posted to the parent
                self._end(fiber, Ended(fiber, error=error))
                return
            if isinstance(request, _Park):
                request.box.waiter = fiber
                return
            value, failure = None, None
            try:
                value = await self._evaluate(request.program, request.variables, request.input)
            except Exception as error:  # noqa: BLE001 - raised again in the fiber
                failure = error

    def _end(self, fiber: Fiber, ended: Ended) -> None:
        if fiber.parent is not None:
            fiber.parent.children.pop(fiber, None)
        if fiber.box is None:
            if ended.error is not None:
                raise ended.error
            return
        self.post(fiber.box, ended, first=True)
