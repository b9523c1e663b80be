"""Does a step cost the same in a long run? Loops, a wide fork, and the replay of a long journal.

`python benchmarks/scale.py`: prints the processor time a step in the first and in the last tenth,
their ratio, and the peak of memory. Processor time, for a neighbour on the machine stretches wall
clock time but not this.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from processes import START, bench_platform, fork, loop, published

from coe.catalog.flows.contents import runnable
from coe.embedded_postgres import EmbeddedPostgres
from coe.execution import replay
from coe.execution.advance import Finished, advance
from coe.execution.runtime import Runtime
from coe.json_types import JSON
from coe.language.expressions.evaluator import Expressions
from coe.language.model.definition import Definition
from coe.machine.commands import Command, RunLeaf
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import RunContext
from coe.runs import leases, step_projection
from coe.runs.models import RunState
from coe.runs.requests import NewRun, insert_request, seal_request
from coe.runs.sealing import TeamSealer
from coe.runs.tables import JOURNAL
from coe.work import Platform

TENTHS: Final = 10
WRITTEN: Final = 1_000
WRITE: Final = """
INSERT INTO journal_entries (run_id, fence, position, kind, key, at, payload_sealed)
SELECT $1, $2, * FROM unnest($3::bigint[], $4::text[], $5::text[], $6::timestamptz[], $7::bytea[])
"""

Entry = tuple[int, str, str, datetime, bytes]


@dataclass(frozen=True, slots=True)
class Row:
    """What one case took: microseconds of processor a step, megabytes of memory."""

    case: str
    steps: int
    first: float
    last: float
    grown: float

    @property
    def ratio(self) -> float:
        """Of the last tenth to the first."""
        return self.last / self.first


class Clock:
    """Leaves that do nothing but note the processor time, one step in so many.

    `apart` seconds lie between the ends of two leaves, so that each has a separate turn.
    """

    def __init__(self, steps: int, *, apart: float = 0.0) -> None:
        self.apart = apart
        self.one = asyncio.Lock()
        self.every = max(1, steps // TENTHS)
        self.marks: list[float] = []
        self.left = 0

    async def perform(self, leaf: RunLeaf) -> JSON:
        """Carry out a leaf."""
        if self.apart:
            async with self.one:
                await asyncio.sleep(self.apart)
                self.tick()
        else:
            self.tick()
        return {"step": leaf.name}

    def tick(self) -> None:
        """Note the time if a tenth is full."""
        if self.left == 0:
            self.marks.append(time.process_time())
            self.left = self.every
        self.left -= 1

    def row(self, case: str, steps: int, grown: float) -> Row:
        """The first and the last tenth, in microseconds a step."""
        marks = self.marks
        first, last = marks[1] - marks[0], marks[-1] - marks[-2]
        return Row(case, steps, first / self.every * 1e6, last / self.every * 1e6, grown)


class Scale:
    """The cases, over one platform."""

    def __init__(self, platform: Platform, jq: Expressions) -> None:
        self._platform = platform
        self._jq = jq

    async def run(self, case: str, manifest: str, steps: int, *, apart: float = 0.0) -> Row:
        """Carry a run out from its start to its end."""
        clock, before = Clock(steps, apart=apart), memory()
        run_id = await self._ask(manifest)
        async with self._runtime(clock) as runtime:
            finished = await advance(runtime, run_id)
        assert finished == Finished(RunState.COMPLETED), finished
        if len(clock.marks) == TENTHS:
            clock.marks.append(time.process_time())
        return clock.row(case, steps, memory() - before)

    async def replay(self, case: str, manifest: str, facts: int) -> Row:
        """Replay the journal of a run, as a holder does after a crash."""
        run_id = await self._ask(manifest)
        clock = Clock(facts)
        async with self._runtime(clock) as runtime:
            lease = await leases.acquire(runtime.direct, run_id, holder="scale", seconds=3600)
            assert lease is not None
            definition = await runtime.definition(lease.run.version_id)
            await self._write(runtime, lease, definition, facts)
            before = memory()
            projected = facts - step_projection.MAX_HELD_STEPS  # the dead holder showed the rest
            lease = replace(lease, position=facts, projected=projected)
            apply = replay.Machine.apply

            async def counted(self: replay.Machine, fact: Fact) -> list[Command]:
                clock.tick()
                return await apply(self, fact)

            replay.Machine.apply = counted  # type: ignore[method-assign]
            try:
                await replay.replay(runtime, lease, definition)
            finally:
                replay.Machine.apply = apply  # type: ignore[method-assign]
        return clock.row(case, facts, memory() - before)

    async def _write(
        self, runtime: Runtime, lease: leases.Lease, definition: Definition, facts: int
    ) -> None:
        """Journal so many facts of the run, in answer to its machine's commands."""
        run = lease.run
        machine = replay.Machine(definition, RunContext(str(run.id)), self._jq.evaluate)
        sealer = TeamSealer(self._platform.keyring, run.team)
        fact = await replay.first_fact(self._platform, lease, definition)
        entries: list[Entry] = []
        for position in range(facts):
            place = f"{run.id}:{position}"
            sealed = await sealer.seal(JOURNAL, place, "payload", fact.data)
            entries.append((position, fact.kind.value, fact.key, fact.at, sealed))
            [leaf] = [each for each in await machine.apply(fact) if isinstance(each, RunLeaf)]
            machine.changed_steps()
            data: JSON = {"output": {"step": leaf.name}}
            fact = Fact(FactKind.LEAF_COMPLETED, self._platform.clock(), leaf.key, data)
            if len(entries) == WRITTEN or position == facts - 1:
                columns = [list(column) for column in zip(*entries, strict=True)]
                await runtime.direct.fetch(WRITE, run.id, lease.fence, *columns)
                entries = []

    @asynccontextmanager
    async def _runtime(self, clock: Clock) -> AsyncIterator[Runtime]:
        runtime = Runtime(self._platform, perform=clock.perform, evaluate=self._jq.evaluate)
        await runtime.start()
        try:
            yield runtime
        finally:
            await runtime.close()

    async def _ask(self, manifest: str) -> UUID:
        ref = await published(self._platform, manifest)
        async with self._platform.database.session() as session:
            flow = await runnable(session, self._platform, ref)
            now = self._platform.clock()
            new = NewRun(flow, {"customer": "Ada"}, "scale", START, now, START.subject)
            row = await seal_request(self._platform.keyring, new)
            await insert_request(session, row)
            await session.commit()
        run_id: UUID = row["id"]
        return run_id


def memory() -> float:
    """The most memory that this process has had so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def measured(url: str, folder: Path, *, quick: bool) -> list[Row]:
    """All cases, the small ones first."""
    part = 10 if quick else 1
    async with bench_platform(url, folder) as platform, Expressions() as jq:
        scale = Scale(platform, jq)
        await scale.run("warm-up", loop(50), 50)
        rows = [
            await scale.run(f"loop of {times:,}", loop(times), times)
            for times in (1_000 // part, 10_000 // part)
        ]
        branches = 500 // part
        wide = fork(branches)
        rows.append(await scale.run(f"fork of {branches}", wide, branches, apart=0.005))
        facts = 100_000 // part
        long = loop(facts // 10 + 1, steps=10)
        rows.append(await scale.replay(f"journal of {facts:,}", long, facts))
    return rows


def main() -> None:
    """Measure over a temporary PostgreSQL, print a table and, with an option, JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    folder = Path(tempfile.mkdtemp(prefix="coe-scale-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "data", ephemeral=True)
    server.start()
    try:
        asyncio.run(server.prepare({"scale": "postgres"}))
        rows = asyncio.run(measured(server.url("scale"), folder / "keys", quick=given.quick))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{'case':20} {'first tenth':>12} {'last tenth':>12} {'ratio':>6} {'memory':>9}")
    for row in rows:
        costs = f"{row.first:9.0f} µs {row.last:9.0f} µs {row.ratio:6.2f} {row.grown:+6.1f} MB"
        print(f"{row.case:20} {costs}")
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=2))


if __name__ == "__main__":
    main()
