"""One world: a database, an engine, some processes, people, runs; and everything by one seed."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from coe.catalog.records import RunnableFlow
from coe.execution.loops import TIDY_SECONDS
from coe.settings import Settings
from tests.simulation import people as folk
from tests.simulation import reference, seams
from tests.simulation.definitions import LOCAL, Written, write
from tests.simulation.external import External
from tests.simulation.faults import HARSH, KINDS, Faults
from tests.simulation.loop import OutOfTime, Spinning, VirtualLoop
from tests.simulation.nodes import Node
from tests.simulation.oracles import Watch, judge
from tests.simulation.people import People
from tests.simulation.prefect import PrefectServer
from tests.simulation.server import Server
from tests.simulation.storage import Data
from tests.simulation.watching import overdue

EPOCH: Final = datetime(2026, 6, 1, 6, 0, tzinfo=UTC)
RUNS: Final = 20
FAULTS_FOR: Final = 150.0
"""Seconds after which nothing more goes wrong."""
PATIENCE: Final = 1800.0
"""Seconds in which everything must have ended after that; retries of a run may take over 900."""
HARSH_PATIENCE: Final = 300.0
"""The same in harsh worlds, in which one violation is all that is wanted."""
MAX_STATEMENTS_OF_A_RUN: Final = 2000
"""Of each run, with what it calls; a tenth is usual. More is a loop that asks all the time."""


@dataclass(slots=True)
class Report:
    """What one world came to."""

    seed: int
    runs: int = 0
    children: int = 0
    violations: list[str] = field(default_factory=list)
    blows: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    trace: list[str] = field(default_factory=list)


class World:
    """What the seed makes, and what happens in it."""

    def __init__(
        self, seed: int, *, runs: int = RUNS, trace: bool = False, harsh: bool = False
    ) -> None:
        self.seed, self.harsh = seed, harsh
        self.loop = VirtualLoop()
        self.dice = seams.dice(seed, "world")
        self.ids = 0
        self.over = False
        self.trace: list[str] | None = [] if trace else None
        self.violations: list[str] = []
        self.report = Report(seed)
        seams.enter(self)
        self.settings = _settings(self.dice.choice([(8.0, 2.0), (8.0, 3.0), (6.0, 2.0)]))
        self.skew = self.dice.choice([0.0, 0.3, 3.0, 30.0])
        self.loss = self.dice.choice([0.0, 0.02, 0.1])
        self.cancel_rate = self.dice.choice([0.0, 0.0, 0.004, 0.02])
        self.spread = self.dice.choice([2.0, 20.0])
        self.server = Server(self.clock)
        self.watch = Watch(self)
        self.server.committed = self.watch.committed
        self.server.deliver = self._deliver
        self.expressions = seams.expressions()
        self.external = External(self)
        self.prefect = PrefectServer(self)
        blows = self.dice.choice([0, 2, 5, 8, 12])
        kinds = HARSH if harsh else KINDS
        self.faults = Faults(self, 24 if harsh else blows, points=80 * runs, kinds=kinds)
        self.people = People(self)
        self.catalog: dict[str, RunnableFlow] = {}
        self.written: dict[str, Written] = {}
        self.nodes: list[Node] = []
        self._hung: list[asyncio.Future[None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.flows = self._write(runs)

    def _write(self, runs: int) -> list[tuple[str, Any, str]]:
        """The definitions, and the runs to be started of them: flow, input, correlation id."""
        self._publish(LOCAL, "", local=True)
        children: tuple[str, ...] = ()
        for number in range(2):
            name = f"sales/c{number}"
            self.written[name] = write(seams.dice(self.seed, name), name, children, depth=1)
            self._publish(name, self.written[name].text)
            children += (name,)
        started = []
        for number in range(runs):
            name = folk.started_flow(self, number)
            if name != LOCAL:
                self.written[name] = write(seams.dice(self.seed, name), name, children, depth=2)
                self._publish(name, self.written[name].text)
            items = list(range(self.dice.randint(0, 2)))
            value = {"items": items, "big": self.dice.random() < 0.5, "n": number}
            started.append((name, value, f"run-{number}"))
        return started

    def _publish(self, flow: str, text: str, *, local: bool = False) -> None:
        ident = UUID(int=self.dice.getrandbits(120))
        version = seams.version_of(flow, ident, local=local)
        if not local and seams.loaded(text).definition is None:
            raise AssertionError(seams.loaded(text).problems)
        self.catalog[flow] = seams.runnable_flow(version, text, local=local)

    # ------------------------------------------------------------------ what everybody uses

    def clock(self) -> datetime:
        """The true time."""
        return EPOCH + timedelta(seconds=self.loop.time())

    def note(self, line: str) -> None:
        """Write a line into the trace."""
        if self.trace is not None:
            self.trace.append(f"{self.loop.time():10.4f} {line}")

    def fault(self, line: str) -> None:
        """Note that something must never be."""
        self.note(f"!! {line}")
        if len(self.violations) < 20:  # enough to know
            self.violations.append(line)

    async def never(self) -> None:
        """Where the tasks of the dead stay until the end of the world."""
        if self.over:
            raise asyncio.CancelledError
        hung: asyncio.Future[None] = self.loop.create_future()
        self._hung.append(hung)
        await hung

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something that belongs to no process."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def rows(self, table: str) -> list[Data]:
        """The committed rows of a table."""
        return list(self.server.store.committed(table))

    def run(self, run_id: UUID) -> Data | None:
        """The committed row of a run."""
        for row in self.server.store.relations["runs"].candidates("id", run_id):
            if row.data is not None:
                return row.data
        return None

    def journal(self, run_id: UUID) -> list[Data]:
        """The committed journal of a run."""
        rows = self.server.store.relations["journal_entries"].candidates("run_id", run_id)
        found = [row.data for row in rows if row.data is not None and row.data["run_id"] == run_id]
        return sorted(found, key=lambda each: each["position"])

    def by_correlation(self, correlation: str) -> Data | None:
        """The top-level run with this correlation id."""
        for run in self.server.store.committed("runs"):
            if run["correlation_id"] == correlation and run["parent_id"] is None:
                return run
        return None

    def _deliver(self, connection: Any, channel: str, payload: str) -> None:
        self.loop.call_later(self.dice.uniform(0.0002, 0.01), connection.receive, channel, payload)

    # ------------------------------------------------------------------ processes

    def some_node(self) -> Node | None:
        """A process that takes requests."""
        living = [node for node in self.nodes if node.alive and not node.stopping]
        return self.dice.choice(living) if living else None

    async def add_node(self) -> None:
        """Start a process; one that cannot start is tried again by its supervisor."""
        node = Node(self, len(self.nodes) + 1)
        self.nodes.append(node)
        self.note(f"{node.name} starts, its clock {node.skew.total_seconds():+.2f} s")
        await node.spawn(node.start(), "start")

    def replace_later(self, _: Node) -> None:
        """Another process takes the place of one that died."""
        delay = self.faults.dice.choice([0.2, 2, 12])
        self.loop.call_later(delay, lambda: self.spawn(self.add_node()))

    # ------------------------------------------------------------------ from start to end

    async def _live(self) -> None:
        for _ in range(max(self.dice.randint(1, 3), 1 + self.harsh)):
            await self.add_node()
        self.spawn(self.people.live())
        for flow, value, correlation in self.flows:
            self.spawn(self.people.start(flow, value, correlation))
        while self.loop.time() < FAULTS_FOR and not (self._ended() and self._quiet()):
            await asyncio.sleep(1)
            if self._decided():
                return
        await self.faults.settle()
        end = self.loop.time() + (HARSH_PATIENCE if self.harsh else PATIENCE)
        while self.loop.time() < end:
            await asyncio.sleep(2)
            if self._decided():
                return
            if self._ended() and self._quiet():
                break
        else:
            self._stuck()
        behind = max(-min(node.skew.total_seconds() for node in self.nodes), 0.0)
        swept = 2 * seams.SWEEP_SECONDS + seams.GRACE_SECONDS + behind
        await asyncio.sleep(max(TIDY_SECONDS, swept) + 5)

    def _decided(self) -> bool:
        """Whether enough is known already, where one violation is all that is wanted.

        Raises:
            Spinning: More was asked of the database than runs can need.
        """
        overdue(self)
        if self.server.statements > MAX_STATEMENTS_OF_A_RUN * len(self.flows):
            raise Spinning(f"{self.server.statements} statements")
        return self.harsh and bool(self.violations)

    def _ended(self) -> bool:
        if self.server.unsupported:
            raise OutOfTime("the twin does not know a statement")
        runs = self.rows("runs")
        if sum(1 for run in runs if run["parent_id"] is None) < len(self.flows):
            return False
        return all(
            run["state"].ended
            and not (run["state"].value == "FAULTED" and self.people.wants_retry(run))
            for run in runs
        )

    def _quiet(self) -> bool:
        return not self.rows("outbox")

    def _stuck(self) -> None:
        for run in self.rows("runs"):
            if not run["state"].ended:
                self.fault(
                    f"run {run['id']} of {run['flow']} is stuck: {run['state'].value}, "
                    f"held by {run['holder']}"
                )
        for message in self.rows("outbox"):
            self.fault(f"the message to {message['kind']} {message['subject']} stays")
        if sum(1 for run in self.rows("runs") if run["parent_id"] is None) < len(self.flows):
            self.fault("a run was never started")

    def simulate(self) -> Report:
        """Let it happen, then judge it."""
        try:
            self.loop.run(self._whole(), self._end)
        except (OutOfTime, Spinning) as error:
            self.fault(f"{type(error).__name__}: {error}")
        return self._reported()

    async def _whole(self) -> None:
        await self._live()
        if not (self.harsh and self.violations):
            await judge(self)

    def _end(self) -> None:
        """Stop every task of the node that tries to reach anything from now on."""
        self.over = True

    def _reported(self) -> Report:
        report = self.report
        for context in self.loop.errors:
            error = context.get("exception")
            self.violations.append(f"unhandled: {context.get('message')} {error!r}")
        self.violations[:0] = [f"unsupported: {each}" for each in self.server.unsupported]
        runs = self.rows("runs")
        report.violations = self.violations
        report.runs = sum(1 for run in runs if run["parent_id"] is None)
        report.children = len(runs) - report.runs
        report.blows = self.faults.done
        report.states = Counter(run["state"].value for run in runs)
        calls = self.external.calls
        report.counts["leaf calls"] = sum(calls.values())
        report.counts["repeated leaf calls"] = sum(n - 1 for n in calls.values())
        report.counts["calls by the deposed"] = self.external.zombies
        report.counts["facts"] = len(self.rows("journal_entries"))
        report.counts["statements"] = self.server.statements
        report.counts["deadlocks"] = self.server.deadlocks
        report.counts["executions"] = self.prefect.executions
        report.counts["retries"] = sum(self.people.retries.values())
        report.counts["cancellations"] = len(self.people.accepted_cancels)
        report.counts["points of failure"] = self.faults.seen
        report.seconds = self.loop.time()
        for written in self.written.values():
            report.features.update(written.features)
        report.trace = self.trace or []
        return report


def _settings(times: tuple[float, float]) -> Settings:
    lease, heartbeat = times
    return Settings.model_construct(
        lease_seconds=lease,
        heartbeat_seconds=heartbeat,
        linger_seconds=3.0,
        event_days=7,
    )


__all__ = ["Report", "World", "defaultdict", "reference"]
