"""The faults: kill -9 of a process, PostgreSQL started anew, connections cut. And what follows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg
import psutil

from coe.demo.processes import Processes
from coe.embedded_postgres import EmbeddedPostgres

RECOVERY_PATIENCE: Final = 60.0
TARGETS: Final = {
    "worker-central": 5,
    "worker-central-2": 5,
    "worker-finance": 2,
    "worker-fulfilment": 2,
    "api": 3,
    "prefect": 2,
    "expressions": 1,
    "postgres": 2,
    "connections": 2,
}
"""What is hit, and how often in relation to the others."""
DATABASE_AWAY: Final = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
CENTRAL: Final = ("worker-central", "worker-central-2")

IN_HAND: Final = """
SELECT id::text, fence, journal_length, holder, team, local FROM runs r
WHERE state = 'RUNNING' AND holder IS NOT NULL AND NOT EXISTS (
    SELECT FROM runs c WHERE c.parent_id = r.id
    AND c.state NOT IN ('COMPLETED', 'FAULTED', 'CANCELLED')
)
"""
"""Runs that a holder executes at this moment, without those that only wait for a child."""
MOVED: Final = """
SELECT id::text FROM runs
WHERE id = ANY($1::text[]::uuid[])
  AND (journal_length > ($2::bigint[])[array_position($1::text[], id::text)]
       OR fence > ($3::bigint[])[array_position($1::text[], id::text)]
       OR state IN ('COMPLETED', 'FAULTED', 'CANCELLED')
       OR state = 'WAITING')
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """One fault: what was hit, how many runs it held, and when they continued (seconds).

    `first` is the time to the first of these runs that continued, `recovered` to when each of
    them had; None without any, or if it took longer than the patience. A run has continued when it
    has a new entry in its journal, waits or has ended; a local run when it has ended, or has been
    claimed again.
    """

    target: str
    held: int
    first: float | None
    recovered: float | None


@dataclass(slots=True)
class Faults:
    """Hits the parts of a demo, one after the other, and watches how its runs continue."""

    data: Path
    database_url: str
    own: Processes
    random: random.Random
    report: Callable[[str], object]
    hits: list[Hit] = field(default_factory=list)
    _watchers: list[asyncio.Task[None]] = field(default_factory=list)

    async def hit_once(self) -> None:
        """Hit one part; a task watches how the runs that it held continue."""
        names = list(TARGETS)
        target = self.random.choices(names, [TARGETS[name] for name in names])[0]
        pid, before = self._pid(target), []
        for _ in range(20):  # better in the midst of something
            held = await self._fetch(IN_HAND)
            before = [row for row in held if _is_held_by(row, target, pid)]
            if before:
                break
            await asyncio.sleep(0.2)
        began = time.monotonic()
        if await self._strike(target, pid):
            self._watchers.append(asyncio.create_task(self._watch(target, before, began)))

    async def settle(self) -> None:
        """Wait for the watchers, each at most its patience."""
        await asyncio.gather(*self._watchers)

    @property
    def count(self) -> int:
        """How many faults there were so far."""
        return len(self._watchers)

    async def _watch(self, target: str, before: list[Any], began: float) -> None:
        first, recovered = await self._until_moved(before, began)
        self.hits.append(Hit(target, len(before), first, recovered))
        self.report(
            f"{len(self.hits):3} {target:17} held {len(before):2} runs; "
            f"the first continued after {_seconds(first)}, all after {_seconds(recovered)}"
        )

    async def _strike(self, target: str, pid: int | None) -> bool:
        match target:
            case "postgres":
                await self._kill_postgres()
            case "connections":
                await self._cut_connections()
            case "expressions":
                return self._kill_expressions()
            case _:
                if pid is None:
                    return False
                _kill(pid)
        return True

    async def _kill_postgres(self) -> None:
        """Kill the server; the demo starts it again."""
        pid = EmbeddedPostgres(self.data / "postgres").pid
        assert pid is not None
        _kill(pid)
        await self._fetch("SELECT 1")

    async def _cut_connections(self) -> None:
        cut = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await self._fetch(cut)

    def _kill_expressions(self) -> bool:
        """Kill the processes that evaluate expressions for one of the central workers."""
        pid = self._pid(self.random.choice(CENTRAL))
        if pid is None:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(pid).children(recursive=True)
            for child in children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            return bool(children)
        return False

    def _pid(self, name: str) -> int | None:
        known = self.own.pids() if name in CENTRAL[1:] else None
        if known is None:
            ledger = json.loads((self.data / "processes.json").read_text())
            known = {key: pid for key, (pid, _) in ledger.items()}
        pid = known.get(name)
        return pid if pid is not None and psutil.pid_exists(pid) else None

    async def _until_moved(self, before: list[Any], began: float) -> tuple[float | None, ...]:
        left = {row["id"]: row for row in before}
        first: float | None = None
        while left and time.monotonic() - began < RECOVERY_PATIENCE:
            await asyncio.sleep(0.1)
            rows = list(left.values())
            with contextlib.suppress(*DATABASE_AWAY):
                moved = await self._fetch_once(
                    MOVED,
                    [row["id"] for row in rows],
                    [row["journal_length"] for row in rows],
                    [row["fence"] for row in rows],
                )
                for row in moved:
                    del left[row["id"]]
                    first = first or time.monotonic() - began
        if not before:
            return None, None
        return first, None if left else time.monotonic() - began

    async def _fetch(self, query: str, *given: Any) -> list[Any]:
        for _ in range(200):
            with contextlib.suppress(*DATABASE_AWAY):
                return await self._fetch_once(query, *given)
            await asyncio.sleep(0.2)
        raise AssertionError("the database did not answer")

    async def _fetch_once(self, query: str, *given: Any) -> list[Any]:
        connection = await asyncpg.connect(self.database_url, timeout=5)
        try:
            rows: list[Any] = await connection.fetch(query, *given, timeout=5)
            return rows
        finally:
            connection.terminate()


def _is_held_by(run: Any, target: str, pid: int | None) -> bool:
    """Whether the fault takes this run's holder, or something that every holder needs."""
    if target in CENTRAL:
        return f":{pid}:" in run["holder"]
    if target.startswith("worker-"):
        return run["local"] and run["team"] == target.removeprefix("worker-")
    return not (target == "expressions" and run["local"])


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
