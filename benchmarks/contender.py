"""The common part of the contenders of `runs.py`: read commands, carry out runs, report times.

A contender is a separate process. It writes a line `{"versions": {…}}` when it is ready. Each
order `{"runs": n, "steps": n, "concurrency": n}` on standard input it answers by `{"prepared": n}`;
at the next line it begins, and answers `{"seconds": wall, "latencies": [seconds a run]}`. It ends
when standard input does. Only the standard library is imported here, for contenders live in
different environments.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Contender(Protocol):
    """Carries out process runs of trivial steps, each durable before the next begins."""

    versions: dict[str, str]

    async def prepare(self, runs: int, steps: int) -> None:
        """Do what is not timed, before an order of so many runs of so many steps."""

    async def run(self, steps: int) -> None:
        """Carry out one process run, from asking for it to its recorded end."""


Open = Callable[[], AbstractAsyncContextManager[Contender]]


def main(opened: Open) -> None:
    """Be a contender until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    asyncio.run(_serve(opened, lambda value: print(json.dumps(value), file=answers, flush=True)))


async def _serve(opened: Open, answer: Callable[[object], None]) -> None:
    async with opened() as contender:
        answer({"versions": contender.versions})
        async for order in _orders():
            await contender.prepare(order["runs"], order["steps"])
            answer({"prepared": order["runs"]})
            await asyncio.to_thread(sys.stdin.readline)
            answer(await _timed(contender, **order))


async def _orders() -> AsyncIterator[dict[str, int]]:
    while line := await asyncio.to_thread(sys.stdin.readline):
        yield json.loads(line)


async def _timed(
    contender: Contender, *, runs: int, steps: int, concurrency: int
) -> dict[str, object]:
    latencies: list[float] = []
    left = iter(range(runs))

    async def lane() -> None:
        for _ in left:
            began = time.perf_counter()
            await contender.run(steps)
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(concurrency)))
    return {"seconds": time.perf_counter() - began, "latencies": latencies}


@contextlib.asynccontextmanager
async def simple(contender: Contender) -> AsyncIterator[Contender]:
    """A contender that has nothing to close."""
    yield contender
