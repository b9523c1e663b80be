"""What do the codes of the audit log cost? Events written and sealed, with codes and without.

`python benchmarks/codes.py`: prints the processor time of an event, our own and PostgreSQL's, and
the ratio. Rounds with and without are interleaved, the first one warms up, medians are printed.
Without: no code is made, the trigger of the insertion is off, and the sealer checks nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from servers import postgres_server
from sqlalchemy import text

from coe.audit import log
from coe.audit.admission import Admission, Waiting, code_of
from coe.audit.events import Tag
from coe.audit.sealer import LogSealer
from coe.crypto.keys import Keyring
from coe.crypto.signing import SigningKey
from coe.db import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from coe.crypto.mac import MacKeys

WITH, WITHOUT = "with", "without"
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of an event: our processor time, PostgreSQL's, and the clock's."""

    own: float
    database: float
    wall: float


class Unchecked(Admission):
    """Admits every row."""

    def refusal(self, row: Waiting, now: datetime) -> None:
        """Nothing is refused."""


def event(number: int) -> log.NewEvent:
    """An event as a verb records it."""
    return log.NewEvent(
        at=datetime.now(UTC),
        actor="sales-owner",
        actor_kind="PERSON",
        action=Tag.RUNS_RUN_START,
        resource=f"run:{number}",
        team="sales",
        rule="p, process-owner, *, run:start, *, allow",
        request_id=f"request-{number}",
        correlation_id=f"order-{number}",
        address="127.0.0.1",
        detail={"flow": "sales/order-to-cash@1.0.0"},
    )


class Bench:
    """A log over a durable PostgreSQL."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.keyring = Keyring(database, folder / "kek")
        self.made = log.with_code

    async def write(self, mode: str, transactions: int, events: int) -> Cost:
        """Write events, so many in each transaction."""
        state = {WITH: "ENABLE", WITHOUT: "DISABLE"}[mode]
        await self._do(f"ALTER TABLE audit_events {state} TRIGGER audit_events_accept")
        log.with_code = self.made if mode == WITH else _plain
        async with self._measured(transactions * events) as cost:
            for number in range(transactions):
                async with self.database.session() as session:
                    for _ in range(events):
                        await log.append(session, self.keyring, event(number))
                    await session.commit()
        log.with_code = self.made
        return cost[0]

    async def seal(self, mode: str, events: int) -> Cost:
        """Seal what was written with codes."""
        await self.write(WITH, 1, events)
        kind = {WITH: Admission, WITHOUT: Unchecked}[mode]
        path = self.folder / "checkpoints"
        key = SigningKey.load(self.folder / "signing", "coe.bench/audit")
        sealer = LogSealer(self.database, key, path, kind(self.keyring.macs))
        async with self._measured(events) as cost:
            sealed = 0
            while sealed < events:
                sealed += await sealer.seal_once()
        await sealer.close()
        return cost[0]

    async def refuse_all(self) -> None:
        """Set aside the rows without a code, so that they are not sealed."""
        await self._do("UPDATE audit_events SET refused = 'NO_CODE' WHERE position IS NULL")

    @asynccontextmanager
    async def _measured(self, events: int) -> AsyncIterator[list[Cost]]:
        async with self.database.session() as session:
            pid = await session.scalar(text("SELECT pg_backend_pid()"))
            await session.rollback()
        own, database, wall = time.process_time(), _ticks(pid), time.perf_counter()
        found: list[Cost] = []
        yield found
        spent = (
            time.process_time() - own,
            (_ticks(pid) - database) / TICKS,
            time.perf_counter() - wall,
        )
        found.append(Cost(*(1e6 * each / events for each in spent)))

    async def _do(self, statement: str) -> None:
        async with self.database.session() as session:
            await session.execute(text(statement))
            await session.commit()


def _plain(_: MacKeys, values: dict[str, Any]) -> dict[str, Any]:
    return values


def _ticks(pid: int) -> int:
    """The processor time of a process so far, in clock ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def the_code_alone(keyring: Keyring) -> float:
    """Microseconds of making one code."""
    values = log.clear_columns(event(1)) | {"written_at": datetime.now(UTC)}
    code_of(keyring.macs, values)
    start = time.process_time()
    for _ in range(20_000):
        code_of(keyring.macs, values)
    return (time.process_time() - start) / 20_000 * 1e6


async def main(rounds: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="coe-bench-") as name:
        folder = Path(name)
        await asyncio.to_thread(folder.chmod, 0o711)
        async with postgres_server(folder, ["codes"]) as server:
            # One connection, so that one process of PostgreSQL does all the work.
            database = Database(server.url("codes"), pool_size=1)
            await database.create_all()
            bench = Bench(database, folder)
            cases = {
                "write, 1 in a transaction": lambda mode: bench.write(mode, 500, 1),
                "write, 100 in a transaction": lambda mode: bench.write(mode, 20, 100),
                "seal, 2,000 in a batch": lambda mode: bench.seal(mode, 10_000),
            }
            print(f"the code alone: {the_code_alone(bench.keyring):.1f} µs")
            print(f"{'':28}{'own':>12}{'PostgreSQL':>12}{'clock':>12}{'ratio':>8}")
            for title, case in cases.items():
                found: dict[str, list[Cost]] = {WITHOUT: [], WITH: []}
                for _ in range(rounds + 1):
                    for mode, costs in found.items():
                        costs.append(await case(mode))
                        await bench.refuse_all()
                report(title, {mode: costs[1:] for mode, costs in found.items()})
            await database.close()


def report(title: str, found: dict[str, list[Cost]]) -> None:
    """Print the lines of a case; the ratio is of both processors' times, within a round."""
    totals = {mode: [each.own + each.database for each in costs] for mode, costs in found.items()}
    ratios = [one / other for one, other in zip(totals[WITH], totals[WITHOUT], strict=True)]
    for mode, costs in found.items():
        own, database, wall = (
            statistics.median(getattr(each, name) for each in costs)
            for name in ("own", "database", "wall")
        )
        ratio = f"{statistics.median(ratios):8.2f}" if mode == WITH else ""
        line = f"{title + ', ' + mode:<36}{own:>8.0f} µs{database:>9.0f} µs{wall:>9.0f} µs{ratio}"
        print(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    asyncio.run(main(parser.parse_args().rounds))
