"""An event loop on simulated time: the clock jumps to the next timer that is due.

Nothing in it waits for input or output, so a run of hours takes milliseconds, and the same program
gives the same run: callbacks go in the order in which they were asked for, timers by their time.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import base_events, events
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

MAX_IDLE_TURNS = 200_000
"""Callbacks without any time passing: more are a loop that spins."""


class Spinning(Exception):
    """Something goes round and round without any time passing."""


class OutOfTime(Exception):
    """The simulated time that was given is over."""


class VirtualLoop(base_events.BaseEventLoop):
    """`asyncio` over a simulated monotonic clock, in seconds from 0."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._idle_turns = 0
        self.errors: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    def time(self) -> float:
        """The simulated monotonic clock."""
        return self._now

    def _run_once(self) -> None:
        scheduled, ready = self._scheduled, self._ready
        if not ready:
            while scheduled and scheduled[0]._cancelled:
                handle = heapq.heappop(scheduled)
                handle._scheduled = False
                self._timer_cancelled_count -= 1
            if scheduled:
                self._now = max(self._now, scheduled[0]._when)
                self._idle_turns = 0
            elif not self._stopping:
                raise OutOfTime("nothing is left that could ever happen")
        while scheduled and scheduled[0]._when <= self._now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            if handle._cancelled:
                self._timer_cancelled_count -= 1
            else:
                ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()
        self._idle_turns += 1
        if self._idle_turns > MAX_IDLE_TURNS:
            raise Spinning(f"at {self._now:.3f} s")

    def _write_to_self(self) -> None:
        """Nobody waits in a selector that would have to be woken."""

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def _timer_handle_cancelled(self, handle: Any) -> None:
        if handle._scheduled:
            self._timer_cancelled_count += 1

    def run(self, work: Coroutine[Any, Any, T], over: Callable[[], None]) -> T:
        """Run to the end of `work`, call `over`, then stop what is left and close."""
        asyncio.set_event_loop(self)
        try:
            return self.run_until_complete(work)
        finally:
            over()
            self._stop_all()
            asyncio.set_event_loop(None)
            self.close()

    def _stop_all(self) -> None:
        left = [task for task in asyncio.all_tasks(self) if not task.done()]
        for task in left:
            task.cancel()
        if left:
            self.run_until_complete(asyncio.wait(left, timeout=60))
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False
        events._set_running_loop(None)
