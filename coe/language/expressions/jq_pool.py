"""The pool of jq workers.

jq holds the interpreter's lock while it runs, cannot be interrupted, reads the environment and
files, and aborts its process when out of memory. So it runs in worker processes only: a worker has
an empty environment and an address-space limit, and is killed when a request exceeds its time. It
ends when its socket is closed, and an alarm ends a long evaluation, so that no worker outlives a
killed parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections import OrderedDict
from typing import Final

from coe.language.expressions.jq_process import worker_command

# The default limit of an evaluation in seconds.
TIME_LIMIT: Final = 1.0
# The most programs to remember as slow.
MAX_SLOW_PROGRAMS: Final = 1000


class WorkerDied(Exception):
    """The worker ended before it answered, usually because its memory ran out."""


class JqPool:
    """Workers, each of which answers one request at a time; requests wait in their order.

    Programs that exceeded the time limit once share half of the workers from then on, so that they
    cannot block all others.
    """

    def __init__(self, *, workers: int | None, time_limit: float, memory_limit: int) -> None:
        """Set the limits; workers start when they are first needed."""
        self._time_limit = time_limit
        self._memory_limit = memory_limit
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        count = workers or min(4, os.cpu_count() or 1)
        self._free = asyncio.Semaphore(count)
        self._slow_lane = asyncio.Semaphore(max(1, count // 2))
        self._slow_programs: OrderedDict[int, None] = OrderedDict()
        self._closed = False

    async def ask(self, request: bytes) -> bytes:
        """The answer to a request; a worker that does not answer in time is replaced.

        Raises:
            TimeoutError: The request took too long.
            WorkerDied: The worker ended before it answered.
            RuntimeError: The pool is closed.
        """
        program = hash(request.partition(b"\n")[0])
        async with (
            self._slow_lane if program in self._slow_programs else contextlib.nullcontext(),
            self._free,
        ):
            if self._closed:
                raise RuntimeError("the pool of jq workers is closed")
            worker = await self._worker()
            self._busy.add(worker)
            try:
                return await worker.ask(request, self._time_limit)
            except TimeoutError:
                self._note_slow(program)
                raise
            finally:
                self._busy.discard(worker)
                if worker.is_ready and not self._closed:
                    self._idle.append(worker)
                else:
                    await worker.end()

    def _note_slow(self, program: int) -> None:
        self._slow_programs[program] = None
        self._slow_programs.move_to_end(program)
        if len(self._slow_programs) > MAX_SLOW_PROGRAMS:
            self._slow_programs.popitem(last=False)

    async def _worker(self) -> _Worker:
        """An idle worker, or a new one; idle workers that have ended are removed."""
        while self._idle:
            worker = self._idle.pop()
            if worker.is_ready:
                return worker
            await worker.end()
        return await self._start()

    async def close(self) -> None:
        """End all workers and wait until they have ended."""
        self._closed = True
        workers = [*self._idle, *self._busy]
        self._idle.clear()
        await asyncio.gather(*(worker.end() for worker in workers))

    async def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - returns at once; our script
                worker_command(self._memory_limit, self._time_limit * 2 + 1),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        worker = _Worker(process)
        try:
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: worker, sock=ours)
        except BaseException:
            ours.close()
            await worker.end()
            raise
        return worker


class _Worker(asyncio.Protocol):
    """One worker process and the socket to it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._transport: asyncio.WriteTransport | None = None
        self._received: list[bytes] = []
        self._answer: asyncio.Future[bytes] | None = None
        self._lost = False
        self.is_ready = False

    async def ask(self, request: bytes, seconds: float) -> bytes:
        """Send a request and await its answer."""
        loop = asyncio.get_running_loop()
        if self._lost or self._transport is None:
            raise WorkerDied
        self.is_ready = False
        self._answer = loop.create_future()
        timer = loop.call_later(seconds, self._fail, TimeoutError())
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            timer.cancel()
            self._answer = None

    async def end(self) -> None:
        """Kill the process and wait until it has ended."""
        if self._transport is not None:
            self._transport.abort()
        self._process.kill()
        await asyncio.shield(asyncio.to_thread(self._process.wait))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to the worker."""
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - a socket has one
        self._transport = transport
        self.is_ready = True

    def data_received(self, data: bytes) -> None:
        """Collect the answer, one line."""
        self._received.append(data)
        if data.endswith(b"\n"):
            answer = b"".join(self._received)
            self._received.clear()
            self.is_ready = not answer.endswith(b" \n")  # a worker's last answer does
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Note that the worker has ended."""
        self._lost = True
        self.is_ready = False
        self._fail(WorkerDied())

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
