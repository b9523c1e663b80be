"""The pool of processes that compute, one for each process of the platform.

A caller's text is read, checked, compared and drawn in them, never in the process of the API: the
libraries hold the interpreter's lock, and cannot be interrupted. A process whose request has used
its time is killed, and replaced when it is needed.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, TypeVarTuple

from coe.confined.budget import Budget, BudgetSpent, spent
from coe.confined.messages import MAX_ANSWER, NotData, read_data, receive, send
from coe.errors import CoeError, Unavailable
from coe.telemetry import metrics

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

WALL_SECONDS: Final = 30.0
"""The longest that a request may take, also while it waits for others or for the processor."""
_CODE: Final = str(Path(__file__).resolve().parents[2])
_MODULES: Final = (
    "coe.catalog.decision_tables.documents",
    "coe.catalog.flows.computed",
    "coe.templates.computed",
    "jsonschema_rs",
)
"""What a process imports before its first request; it takes a second."""


class Computing(Protocol):
    """Where a caller's text is worked on."""

    async def run(self, budget: Budget, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """The result of a function of a module, called with data, within a request's budget.

        Raises:
            BudgetSpent: It takes too much time or memory.
        """
        ...

    def warm(self) -> None:
        """Prepare for the first computation, without waiting for it."""
        ...


class InThisProcess:
    """Computes in a thread of this process: for content of the operator, and for simulations."""

    async def run(self, budget: Budget, function: Callable[[*Ts], T], *args: *Ts) -> T:  # noqa: ARG002  # the protocol's
        """Compute without a limit of time."""
        return await asyncio.to_thread(function, *args)

    def warm(self) -> None:
        """Do nothing."""


class Pool:
    """Processes, each of which works on one request at a time; they start when they are needed."""

    def __init__(self, size: int | None = None) -> None:
        """Bound the number of processes: by default two to four, one for each processor."""
        self.size = size or max(2, min(4, os.cpu_count() or 1))
        self.killed = 0
        metrics.COMPUTING_SIZE.set(self.size)
        self._threads = ThreadPoolExecutor(self.size, thread_name_prefix="confined")
        self._idle: list[_Process] = []
        self._lock = threading.Lock()

    async def run(self, budget: Budget, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """As `Computing.run`."""
        try:
            message = pickle.dumps((function, args))
        except RecursionError:
            raise _too_much("RecursionError") from None
        async with budget.turn:
            seconds = budget.require()
            loop = asyncio.get_running_loop()
            with metrics.COMPUTING_REQUESTS.track_inprogress():
                asked = loop.run_in_executor(self._threads, self._ask, seconds, message)
                used, answer = await asked
            budget.seconds -= used
        value, fault = answer
        if isinstance(fault, Exception):
            raise fault
        if fault in _LIMITS:
            raise _too_much(fault)
        if fault is not None:
            raise RuntimeError(f"a computation failed: {fault}")
        result: T = value
        return result

    def warm(self) -> None:
        """Start a process in the background, so that the first request need not wait for it."""
        with self._lock:
            if not self._idle:
                self._threads.submit(self._start_one)

    def close(self) -> None:
        """End the processes that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.end()

    def _start_one(self) -> None:
        process = self._take()
        self._give_back(process)

    def _ask(self, seconds: float, message: bytes) -> tuple[float, Any]:
        """Have a process work on a request: the seconds that it took, and its answer."""
        process = self._take()
        try:
            with metrics.COMPUTING_BUSY.track_inprogress():
                used, answer = process.ask(seconds, message)
            found = used, read_data(answer)
        except (OSError, EOFError, NotData) as fault:
            self.killed += 1
            metrics.COMPUTING_KILLED.inc()
            return seconds, (None, _why(fault, process.end()))
        except BaseException:
            process.end()
            raise
        self._give_back(process)
        return found

    def _take(self) -> _Process:
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.is_alive:
                    return process
                process.end()
        return _Process()

    def _give_back(self, process: _Process) -> None:
        with self._lock:
            self._idle.append(process)


_LIMITS: Final = {"MemoryError": "memory", "RecursionError": "depth"}


def _too_much(fault: str) -> BudgetSpent:
    return BudgetSpent(f"this needs more {_LIMITS[fault]} than it may have, and was ended")


_END_SECONDS: Final = 0.2
_ENDED: Final = frozenset({-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT})
_log = logging.getLogger("coe.confined")


class _Process:
    """One process, and the socket to it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # our own module
                [sys.executable, "-m", "coe.confined.process", *_MODULES],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": _CODE},
                cwd="/",
                start_new_session=True,
            )
        self._socket.settimeout(WALL_SECONDS)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, seconds: float, message: bytes) -> tuple[float, bytes]:
        send(self._socket, seconds, message)
        return receive(self._socket, most=MAX_ANSWER)

    def end(self) -> int:
        """Kill the process, and those that it has started; how it has ended."""
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may be about to end by itself
            self._process.wait(_END_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()


def _why(fault: Exception, code: int) -> CoeError:
    """Why a process gave no answer: how it failed, and how the process has ended.

    What somebody else ended, or a machine that is busy, says nothing of what was sent.
    """
    if code == -signal.SIGPROF:
        return spent()
    _log.warning("a process that computes has ended", extra={"code": code})
    if not isinstance(fault, NotData) and (isinstance(fault, TimeoutError) or code in _ENDED):
        return Unavailable("what was sent could not be worked on now; try again shortly")
    return BudgetSpent("the process that worked on this has ended: it may need too much memory")


def shared() -> Pool:
    """The pool of this process, also where it has several platforms, as in tests."""
    return _shared(os.getpid())


@cache
def _shared(_process: int) -> Pool:
    pool = Pool()
    atexit.register(pool.close)
    return pool
