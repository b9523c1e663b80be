"""LISTEN: notifications that other processes send at their commits, passed to subscribers here.

A notification only says that something may be new. A lost one costs time, never work: every
subscriber also polls now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

import asyncpg

from coe.db import Database

Subscriber = Callable[[str], None]

RETRY_SECONDS: Final = 1.0
_log = logging.getLogger(__name__)


class Listener:
    """One connection that listens on the channels that have subscribers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subscribers: defaultdict[str, list[Subscriber]] = defaultdict(list)
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Start to listen; a lost connection is made again."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen_for_ever(), name="coe-listener")

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @contextlib.contextmanager
    def subscribe(self, channel: str, subscriber: Subscriber) -> Iterator[None]:
        """Call the subscriber with the payload of every notification, within the context.

        It is also called with "" when the connection is back: notifications may have been missed.
        """
        self._subscribers[channel].append(subscriber)
        self._changed.set()
        try:
            yield
        finally:
            self._subscribers[channel].remove(subscriber)

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _log.warning("listening was interrupted: %s", type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        connection = await self._database.dedicated()
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            channels: set[str] = set()
            while not lost.is_set():
                self._changed.clear()
                for channel in self._subscribers.keys() - channels:
                    await connection.add_listener(channel, self._notify)
                    channels.add(channel)
                    self._call(channel, "")
                await _first_of(lost.wait(), self._changed.wait())
        finally:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=1)

    def _notify(self, _connection: Any, _pid: int, channel: str, payload: Any) -> None:
        self._call(channel, str(payload))

    def _call(self, channel: str, payload: str) -> None:
        for subscriber in list(self._subscribers[channel]):
            subscriber(payload)


async def _first_of(*waits: Any) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
