"""One fire over one demo: runs in flight, faults among them, then the findings."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coe.demo.layout import INHERITED
from coe.demo.processes import Processes, Service
from tests.chaos.driver import Driver
from tests.chaos.faults import Faults, Hit
from tests.chaos.findings import findings, log_is_proven

MAX_RUNS_FACTOR = 4
"""So many times the runs that were asked for are started, at most, while faults are to come."""
BETWEEN = (3.0, 9.0)
"""Seconds between two faults, at least and at most."""
SECOND = "worker-central-2"
STUCK_AFTER = 300.0
"""Seconds after the last fault within which every run must have ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a fire left."""

    problems: list[str]
    counts: dict[str, int]
    hits: list[Hit]
    seconds: float

    def recovery(self) -> str:
        """Median and most of the times to recovery, over all faults and for each target."""
        lines = [_times("all", self.hits)]
        lines += [
            _times(target, [hit for hit in self.hits if hit.target == target])
            for target in sorted({hit.target for hit in self.hits})
        ]
        return "\n".join(lines)


async def burn(
    data: Path,
    *,
    runs: int,
    faults: int,
    at_once: int,
    seed: int,
    report: Callable[[str], object],
) -> Outcome:
    """Carry out runs on the demo of this folder while its processes are killed."""
    began = time.monotonic()
    state: dict[str, Any] = json.loads((data / "demo.json").read_text())
    driver = Driver(state["url"])
    await driver.publish()
    own = Processes(logs=data / "logs", ledger=data / "chaos-processes.json")
    await own.start(_second_worker(data))
    striker = Faults(data, state["databaseUrl"], own, random.Random(seed), report)  # noqa: S311  # a seed
    answering = asyncio.create_task(driver.answer_tasks())
    working = asyncio.create_task(
        _work(driver, runs, at_once, lambda: striker.count >= faults),
    )
    try:
        await asyncio.sleep(5.0)
        while striker.count < faults and not working.done():
            await striker.hit_once()
            await asyncio.sleep(striker.random.uniform(*BETWEEN))
        await striker.settle()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(working), STUCK_AFTER)
    finally:
        working.cancel()
        answering.cancel()
        await asyncio.gather(working, answering, return_exceptions=True)
        await own.stop()
    await asyncio.sleep(3.0)
    found, counts = await findings(state["databaseUrl"], driver.started, driver.ended)
    if not await log_is_proven(state["url"]):
        found.append("the audit log does not verify")
    if len(striker.hits) < faults:
        found.append(f"the runs ended after {len(striker.hits)} of {faults} faults")
    return Outcome(found, counts, striker.hits, time.monotonic() - began)


async def _work(driver: Driver, runs: int, at_once: int, enough: Callable[[], bool]) -> None:
    """Follow so many runs at once, until there were `runs` of them and `enough` faults."""
    numbers = itertools.count()

    async def one_after_another() -> None:
        for number in numbers:
            if number >= MAX_RUNS_FACTOR * runs or (number >= runs and enough()):
                return
            await driver.start_and_follow(number)

    await asyncio.gather(*(one_after_another() for _ in range(at_once)))


def _second_worker(data: Path) -> Service:
    """A second central worker beside the demo's, so that runs can go on elsewhere."""
    command = [sys.executable, "-m", "coe.cli.main", "worker", "central"]
    command += ["--config", str(data / "demo.env")]
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return Service(SECOND, command, kept | {"PYTHONUNBUFFERED": "1"}, data)


def _times(name: str, hits: list[Hit]) -> str:
    known = [hit.recovered for hit in hits if hit.recovered is not None]
    first = [hit.first for hit in hits if hit.first is not None]
    if not known:
        return f"{name:18} {len(hits):3} faults, none of a process that held a run"
    return (
        f"{name:18} {len(hits):3} faults; the first run that was held continued after a median of "
        f"{statistics.median(first):.2f} s (most {max(first):.2f} s), all of them after "
        f"{statistics.median(known):.2f} s (most {max(known):.2f} s)"
    )
