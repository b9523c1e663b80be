"""Whether the event loops of a process run: each notes the time, and another thread looks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

BEAT_SECONDS: Final = 0.5
STUCK_SECONDS: Final = 30.0
"""A loop that has not run for so long does not recover; a slow machine holds it up for less."""


class Pulse:
    """The beats of the event loops of one process."""

    def __init__(self) -> None:
        self._beats: dict[str, float] = {}

    @asynccontextmanager
    async def beating(self, name: str) -> AsyncIterator[None]:
        """Have the running loop beat within the context."""
        self._beats[name] = time.monotonic()
        task = asyncio.create_task(self._beat(name), name=f"pulse {name}")
        try:
            yield
        finally:
            task.cancel()
            self._beats.pop(name, None)

    def stuck(self) -> str | None:
        """The name of a loop that has not run for `STUCK_SECONDS`; None if all do."""
        now = time.monotonic()
        found = (name for name, at in list(self._beats.items()) if now - at > STUCK_SECONDS)
        return next(found, None)

    async def _beat(self, name: str) -> None:
        while True:
            self._beats[name] = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)
