"""A sink: a place outside the database that keeps checkpoints of the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from coe.audit.checkpoint import Checkpoint
from coe.errors import CoeError

Prove = Callable[[int, int], Awaitable[tuple[bytes, ...]]]
"""The consistency proof between two sizes of the log."""


class SinkFailed(CoeError):
    """A sink cannot be reached, or refuses what it is sent; it is tried again."""


class SinkAhead(CoeError):
    """A sink has seen another log: a longer one than the database has, or one of other events.

    `seen` is how many events it has seen.
    """

    def __init__(self, message: str, seen: int) -> None:
        super().__init__(message)
        self.seen = seen


class Sink(Protocol):
    """A place that keeps checkpoints.

    Attributes:
        name: Its name in the file of sinks.
        kind: What kind of place it is.
        readable: Whether it says what it keeps.
        proves: Whether it refuses a log that does not continue what it has seen.
        every: The least seconds between two checkpoints that are sent there.
    """

    name: str
    kind: str
    readable: bool
    proves: bool
    every: float

    async def newest(self) -> str | None:
        """The note of the newest checkpoint that it keeps; None if it keeps none.

        Raises:
            SinkFailed: It does not answer.
        """

    async def keep(self, checkpoint: Checkpoint, since: Checkpoint | None, prove: Prove) -> None:
        """Have it keep a checkpoint; `since` is the one that it kept last.

        Raises:
            SinkFailed: It does not answer, or refuses it.
            SinkAhead: It has seen another log.
        """
