"""The background loops of a process: each is started again when it fails, until all are stopped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

RESTART_SECONDS: Final = 1.0

Loop = Callable[[], Awaitable[None]]

_log = logging.getLogger(__name__)


class Background:
    """The loops of one process."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []

    def run(self, name: str, loop: Loop) -> None:
        """Keep a loop running."""
        self.tasks.append(asyncio.create_task(_keep_running(name, loop), name=name))

    async def stop(self) -> None:
        """Stop all, and wait for their ends."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()


async def _keep_running(name: str, loop: Loop) -> None:
    """Run a loop until cancelled; if it fails, log that and start it again."""
    while True:
        try:
            await loop()
        except Exception:  # noqa: BLE001  # the top of a loop; logged
            _log.exception("a loop failed; it is started again", extra={"loop": name})
        await asyncio.sleep(RESTART_SECONDS)
