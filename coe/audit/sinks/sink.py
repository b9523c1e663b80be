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
    """A sink has seen a longer log than the database has."""


class Sink(Protocol):
    """A place that keeps checkpoints.

    Attributes:
        name: Its name in the file of sinks.
        kind: What kind of place it is.
        readable: Whether it says what it keeps.
        every: The least seconds between two checkpoints that are sent there.
    """

    name: str
    kind: str
    readable: bool
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
            SinkAhead: It has seen a longer log.
        """
