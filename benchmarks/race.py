"""Contenders as processes: started, given orders, their processor time read, ended by their id."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

KEPT: Final = ("PATH", "HOME", "LANG", "TMPDIR", "TZ")


@dataclass(frozen=True, slots=True)
class Order:
    """So many process runs of so many steps, so many at once."""

    runs: int
    steps: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Lap:
    """What one order took: seconds of wall clock, of the contender's and of PostgreSQL's processor.

    `latencies` are the seconds of each run.
    """

    order: Order
    seconds: float
    own: float
    postgres: float
    latencies: list[float] = field(repr=False)

    @property
    def steps(self) -> int:
        """Of all runs together."""
        return self.order.runs * self.order.steps

    @property
    def rate(self) -> float:
        """Steps a second."""
        return self.steps / self.seconds


@dataclass(slots=True)
class Racer:
    """A contender's process."""

    name: str
    process: asyncio.subprocess.Process
    versions: dict[str, str]
    postgres: int
    beside: tuple[int, ...] = ()
    """The processes that count as its own too, such as a server of its kind."""
    settle: float = 0.0
    """Seconds after a lap until such a server has done what the lap gave it to do."""

    async def lap(self, order: Order) -> Lap:
        """Have an order carried out.

        Raises:
            RuntimeError: The contender ended instead.
        """
        await self._ask({name: getattr(order, name) for name in Order.__slots__})
        own, shared = self._own(), processor([self.postgres])
        answer = await self._ask({"begin": order.runs})
        await asyncio.sleep(self.settle)
        return Lap(
            order,
            answer["seconds"],
            self._own() - own,
            processor([self.postgres]) - shared,
            answer["latencies"],
        )

    def _own(self) -> float:
        return processor([self.process.pid, *self.beside])

    async def _ask(self, order: Mapping[str, int]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        return await answered(self.name, self.process)


async def answered(name: str, process: asyncio.subprocess.Process) -> dict[str, Any]:
    """The next answer of a contender.

    Raises:
        RuntimeError: It ended instead; its log says why.
    """
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError(f"{name} ended; its log is in the benchmark's folder")
    found: dict[str, Any] = json.loads(line)
    return found


def processor(roots: Iterable[int]) -> float:
    """Seconds of processor time of processes and all below them, those that ended included."""
    total = 0.0
    for root in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(root)
            for each in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = each.cpu_times()
                    total += times.user + times.system + times.children_user + times.children_system
    return total


@asynccontextmanager
async def racer(
    name: str,
    command: Sequence[str],
    *,
    folder: Path,
    postgres: int,
    environment: Mapping[str, str] | None = None,
    beside: tuple[int, ...] = (),
    settle: float = 0.0,
) -> AsyncIterator[Racer]:
    """Start a contender, wait until it is ready, and end it."""
    inherited = {each: os.environ[each] for each in KEPT if each in os.environ}
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={**inherited, "PYTHONUNBUFFERED": "1", **(environment or {})},
            limit=1 << 24,
        )
    try:
        ready = await answered(name, process)
        yield Racer(name, process, ready["versions"], postgres, beside, settle)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()
