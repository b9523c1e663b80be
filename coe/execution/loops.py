"""The loops that keep runs going: dispatch, timers, reaper; any number of processes run them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from coe.db.notifications import Listener
from coe.errors import Unavailable
from coe.execution.dispatch import MAX_MESSAGES, dispatch_once, next_message
from coe.execution.due_timers import fire_due, next_due
from coe.execution.engine import Engine
from coe.execution.reaper import reap_once, tidy_once
from coe.execution.sweep import sweep_once
from coe.human_tasks.reminder_sender import send_reminders
from coe.leaves.notify import notifier_of
from coe.outbox import OUTBOX_CHANNEL
from coe.schedules.firing import fire_schedules, next_start
from coe.work import Platform

LONGEST_SLEEP: Final = 1.0
SHORTEST_SLEEP: Final = 0.05
TIDY_SECONDS: Final = 20.0
SWEEP_SECONDS: Final = 60.0
CLOSE_SECONDS: Final = 5.0
"""How long what is claimed may take at the end: others take it up when its claim is over only."""
_log = logging.getLogger(__name__)


class Loops:
    """The background loops of one process. They need no lock: each step claims its rows."""

    def __init__(self, platform: Platform, engine: Engine) -> None:
        self._platform = platform
        self._engine = engine
        self._listener = Listener(platform.database)
        self._notifier = notifier_of(platform)
        self._wanted = asyncio.Event()
        self._ending = asyncio.Event()
        self._stack = contextlib.ExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start all loops."""
        self._stack.enter_context(
            self._listener.subscribe(OUTBOX_CHANNEL, lambda _: self._wanted.set()),
        )
        await self._listener.start()
        self._tasks = [
            asyncio.create_task(self._for_ever(step), name=f"coe-{step.__name__.strip('_')}")
            for step in (
                self._dispatch,
                self._fire,
                self._reap,
                self._tidy,
                self._sweep,
                self._remind,
            )
        ]

    async def close(self) -> None:
        """Claim nothing more, and finish what is claimed; after a while it is left to others."""
        self._ending.set()
        self._wanted.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._stack.close()
        await self._listener.close()

    async def _for_ever(self, step: Callable[[], Awaitable[None]]) -> None:
        while not self._ending.is_set():
            try:
                await step()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("the database did not answer: %s", type(error).__name__)
                await self._rest(LONGEST_SLEEP)
            except Exception as error:  # noqa: BLE001  # the top of a loop; the log must not hold values
                _log.error("%s failed: %s", step.__name__, type(error).__name__)  # the same
                await self._rest(LONGEST_SLEEP)

    async def _rest(self, seconds: float) -> bool:
        """Wait so long, or until the end; whether it goes on."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)
        return not self._ending.is_set()

    async def _dispatch(self) -> None:
        self._wanted.clear()
        if self._ending.is_set():
            return
        if await dispatch_once(self._platform, self._engine) == MAX_MESSAGES:
            return
        pause = _seconds(await next_message(self._platform))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wanted.wait(), pause)

    async def _fire(self) -> None:
        fired = await fire_due(self._platform) + await fire_schedules(self._platform)
        if not fired:
            waits = [await next_due(self._platform), await next_start(self._platform)]
            soonest = min((each for each in waits if each is not None), default=None)
            await self._rest(_seconds(soonest))

    async def _remind(self) -> None:
        """Send the messages of reminders; only where the channels are known."""
        if self._platform.settings.channels_file is None:
            await self._ending.wait()
        elif not await send_reminders(self._platform, self._notifier):
            await self._rest(LONGEST_SLEEP)

    async def _reap(self) -> None:
        await reap_once(self._platform)
        await self._rest(self._platform.settings.heartbeat_seconds / 2)

    async def _tidy(self) -> None:
        if await self._rest(TIDY_SECONDS):
            await tidy_once(self._platform)

    async def _sweep(self) -> None:
        if await self._rest(SWEEP_SECONDS):
            with contextlib.suppress(Unavailable):
                await sweep_once(self._platform, self._engine)


def _seconds(due: timedelta | None) -> float:
    """How long to sleep; rows that another process has claimed are read again soon."""
    if due is None:
        return LONGEST_SLEEP
    return min(max(due.total_seconds(), SHORTEST_SLEEP), LONGEST_SLEEP)
