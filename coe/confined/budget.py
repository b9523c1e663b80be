"""What one request may have computed, and how many computations one subject may have at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from coe.errors import Invalid, Problem, RateLimited

SECONDS: Final = 5.0
"""Seconds of processor time that all computations of one request may take together."""
AT_ONCE: Final = 2
"""Requests of one subject that compute at once; further ones wait."""
ALL_AT_ONCE: Final = 8
"""Requests of all subjects that compute at once, each of which holds a connection."""
WAITING: Final = 8
"""Requests of one subject that may wait; further ones are refused."""
_HELP: Final = (
    "make the document smaller or simpler: fewer examples, alternatives and repetitions in its"
    " schemas, fewer steps, or several documents that call one another"
)


class BudgetSpent(Invalid):
    """What was sent takes too much to check, compare or draw."""

    def __init__(self, reason: str) -> None:
        problem = Problem("INPUT_BUDGET", reason, line=1, column=1, help=_HELP)
        super().__init__([problem])

    def __reduce__(self) -> tuple[type[BudgetSpent], tuple[str]]:
        """Rebuild it from its reason."""
        return type(self), (self.problems[0].message,)


@dataclass(slots=True, eq=False)
class Budget:
    """The processor time of one request; its computations follow one another."""

    seconds: float = field(default_factory=lambda: SECONDS)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    def require(self) -> float:
        """The seconds that are left.

        Raises:
            BudgetSpent: There are none.
        """
        if self.seconds <= 0:
            raise spent()
        return self.seconds


def spent() -> BudgetSpent:
    """The refusal of a request that has used its time."""
    return BudgetSpent(f"this takes more than {SECONDS:g} s of processor time, and was ended")


@dataclass(slots=True)
class _Line:
    """The requests of one subject."""

    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    number: int = 0


class Turns:
    """Lets requests compute in turn, so that one subject leaves room for the others.

    A request takes its turn before it opens a session: whoever waits holds no connection.
    """

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(ALL_AT_ONCE)
        self._lines: dict[str, _Line] = {}

    @asynccontextmanager
    async def turn(self, subject: str) -> AsyncIterator[None]:
        """Wait for the turn of a request.

        Raises:
            RateLimited: Too many requests of the subject wait already.
        """
        line = self._lines.setdefault(subject, _Line())
        if line.number >= AT_ONCE + WAITING:
            message = f"More than {WAITING} checks, previews or drawings of yours wait already."
            raise RateLimited(message, limit="at_once", retry_after=1)
        line.number += 1
        try:
            async with line.free, self._free:
                yield
        finally:
            line.number -= 1
            if not line.number:
                self._lines.pop(subject, None)
