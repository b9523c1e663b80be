"""The pool of jq workers.

jq holds the interpreter's lock while it runs, cannot be interrupted, reads the environment and
files, and aborts its process when out of memory. So it never runs in a process of ours: a worker
has an empty environment and an address-space limit, and is killed when a request exceeds its time.
It ends by itself when its socket is closed, and an alarm ends it in the midst of an evaluation, so
that none outlives a killed parent.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from typing import Final

from coe.language.jq_process import command

# The longest evaluation in seconds, by default.
TIME_LIMIT: Final = 1.0


class WorkerDied(Exception):
    """The worker ended before it answered: mostly, its memory was spent."""


class JqPool:
    """Workers, each of which answers one request at a time."""

    def __init__(self, *, workers: int | None, time_limit: float, memory_limit: int) -> None:
        """Set the limits; workers start when they are first needed."""
        self._time_limit = time_limit
        self._memory_limit = memory_limit
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._free = asyncio.Semaphore(workers or min(4, os.cpu_count() or 1))
        self._closed = False

    async def ask(self, request: bytes) -> bytes:
        """The answer to a request; a worker that does not give it in time is replaced.

        Raises:
            TimeoutError: The request took too long.
            WorkerDied: The worker ended before it answered.
            RuntimeError: The pool is closed.
        """
        async with self._free:
            if self._closed:
                raise RuntimeError("the pool of jq workers is closed")
            worker = self._idle.pop() if self._idle else await self._start()
            self._busy.add(worker)
            answered = False
            try:
                answer = await worker.ask(request, self._time_limit)
                answered = True
                return answer
            finally:
                self._busy.discard(worker)
                if answered and not self._closed:
                    self._idle.append(worker)
                else:
                    await worker.end()

    async def close(self) -> None:
        """End all workers and wait until they are gone."""
        self._closed = True
        workers = [*self._idle, *self._busy]
        self._idle.clear()
        await asyncio.gather(*(worker.end() for worker in workers))

    async def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - returns at once; our own script
                command(self._memory_limit, self._time_limit * 2 + 1),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        loop = asyncio.get_running_loop()
        _, worker = await loop.create_unix_connection(lambda: _Worker(process), sock=ours)
        return worker


class _Worker(asyncio.Protocol):
    """One worker process and the socket to it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._transport: asyncio.WriteTransport | None = None
        self._received: list[bytes] = []
        self._answer: asyncio.Future[bytes] | None = None
        self._lost = False

    async def ask(self, request: bytes, seconds: float) -> bytes:
        """Send a request and await its answer."""
        loop = asyncio.get_running_loop()
        if self._lost or self._transport is None:
            raise WorkerDied
        self._answer = loop.create_future()
        timer = loop.call_later(seconds, self._fail, TimeoutError())
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            timer.cancel()
            self._answer = None

    async def end(self) -> None:
        """Kill the process and wait until it is gone."""
        if self._transport is not None:
            self._transport.abort()
        self._process.kill()
        await asyncio.shield(asyncio.to_thread(self._process.wait))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to the worker."""
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - a socket's is one
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect the answer: one line."""
        self._received.append(data)
        if data.endswith(b"\n"):
            answer = b"".join(self._received)
            self._received.clear()
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls it
        """The worker is gone."""
        self._lost = True
        self._fail(WorkerDied())

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
