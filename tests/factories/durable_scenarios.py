"""Scenarios of the machine on the durable path: PostgreSQL, the inline engine, a clock by hand.

A scenario is simulated first, with the id of the durable run, so that both have the same keys. Then
the facts of its journal that come from outside are given to the durable run, at their times: a leaf
ends, a timer is due, a task is answered, an event arrives, somebody cancels or retries. All else
(what the run does with them, its own facts, its steps, its end) is the platform's.

Replaced are: the flows that a run resolves and starts (the scenario says how they answer), the
choice within a jitter, and the loops that go by the database's clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select, update

from coe.access.actor import Actor
from coe.catalog.flows.contents import runnable
from coe.catalog.records import RunnableFlow
from coe.engines.inline import InlineEngine
from coe.errors import Conflict, Invalid
from coe.events.bus import send_events
from coe.events.cloudevents import read_event
from coe.execution import replay, turn
from coe.execution.children import ChildStart
from coe.execution.dispatch import dispatch_once
from coe.execution.runtime import Runtime
from coe.human_tasks import opening
from coe.json_types import JSON
from coe.leaves.leaf import LeafFault
from coe.machine.commands import RunLeaf
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import EvaluateJq
from coe.outbox import OUTBOX
from coe.runs import actions, event_subscriptions, inbox
from coe.runs.journal import Append, Journal
from coe.runs.models import ENDED
from coe.runs.records import StepRecord
from coe.runs.requests import NewRun, insert_request, seal_request
from coe.runs.sealing import TeamSealer
from coe.runs.tables import EVENTS, INBOX, RUNS, STEPS, SUBSCRIPTIONS
from coe.testing.cases import SimulationCase, Trace
from coe.testing.run_definition import simulate
from coe.work import Platform
from tests.factories.people import SALES_OWNER
from tests.factories.runs import HTTP, central, publish
from tests.machine.scenarios import DOCUMENT, Scenario

SECONDS: Final = 10.0
"""For one fact; a fact that takes longer is an error of the run."""
_OWN: Final = {FactKind.RUN_STARTED, FactKind.TIMER_ARMED, FactKind.EVENT_EMITTED}
_MEMBERS: Final = ("path", "name", "kind", "state", "attempt", "iteration")
_FOREVER: Final = float(10**9)


@dataclass(frozen=True)
class Both:
    """What came of a scenario: in the simulation, and on the durable path."""

    simulated: Mapping[str, Any]
    durable: Mapping[str, Any]


@dataclass
class _Journaled:
    """The entries that were committed, by run; a waiting fact is told of each."""

    entries: list[tuple[str, str]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, kind: FactKind, key: str) -> None:
        async with asyncio.timeout(SECONDS):
            while (kind.value, key) not in self.entries:
                self.changed.clear()
                await self.changed.wait()


class DurableScenarios:
    """Runs one scenario after the other on one platform."""

    def __init__(self, platform: Platform, flow: RunnableFlow, evaluate: EvaluateJq) -> None:
        self._flow = flow
        self._evaluate = evaluate
        self._now: datetime
        self.platform = replace(platform, clock=lambda: self._now)
        self._scenario: Scenario
        self._case: SimulationCase
        self._leaves: dict[str, asyncio.Future[JSON]] = {}
        self._journaled = _Journaled()
        self._runtime = _ScenarioRuntime(self)
        self._runtime.journal.append = self._append  # type: ignore[method-assign]
        self._engine: InlineEngine

    async def start(self) -> None:
        """Start the runtime."""
        await self._runtime.start()

    async def close(self) -> None:
        """Close the runtime."""
        await self._runtime.close()

    async def run(self, scenario: Scenario, case: SimulationCase) -> Both:
        """Run a scenario in both, and end what is left of it."""
        self._scenario, self._case, self._now = scenario, case, case.now
        self._leaves, self._journaled = {}, _Journaled()
        self._engine = InlineEngine(self._runtime)
        try:
            run_id = await self._start()
            trace = await simulate(
                scenario.definition(), replace(case, run_id=str(run_id)), self._evaluate
            )
            await self._dispatch()
            await self._journaled.until(FactKind.RUN_STARTED, "")
            for fact in trace.journal:
                await self._give(run_id, fact)
            return Both(_simulated(trace), await self._durable(run_id, trace))
        finally:
            await self._end()

    # ---------------------------------------------------------------- seams
    async def perform(self, leaf: RunLeaf) -> JSON:
        """Carry out a leaf: wait for the fact of the simulation that ends it."""
        return await self._leaf(leaf.key)

    def _leaf(self, key: str) -> asyncio.Future[JSON]:
        """The end of a leaf; of one that was stopped, the end of the next time."""
        leaf = self._leaves.get(key)
        if leaf is None or leaf.cancelled():
            leaf = self._leaves[key] = asyncio.get_running_loop().create_future()
        return leaf

    async def _append(self, batch: Append) -> None:
        await Journal.append(self._runtime.journal, batch)
        self._journaled.entries += [(row["kind"], row["key"]) for row in batch.entries]
        self._journaled.changed.set()

    async def resolve(self, *_: Any) -> dict[str, str]:
        """The flows that the scenario resolves when its run starts."""
        return dict(self._case.flows)

    async def start_child(self, *arguments: Any) -> ChildStart:
        """A child whose end the simulation tells."""
        _, _, command, at = arguments
        data: JSON = {"run": command.key[:32]}
        return ChildStart(Fact(FactKind.CHILD_STARTED, at, command.key, data))

    # ---------------------------------------------------------------- the run
    async def _start(self) -> UUID:
        text = {"document": DOCUMENT, **self._scenario.flow}
        flow = replace(self._flow, definition=str(text), input_schema=None)
        event_subscriptions._known.clear()  # of versions, which never change but here
        event_subscriptions._known[flow.version.id] = self._wanted()
        new = NewRun(
            flow=flow,
            input=self._case.input,
            correlation_id="c-1",
            started_by=SALES_OWNER,
            at=self._now,
            requester=SALES_OWNER.subject,
            requester_persons=SALES_OWNER.persons,
        )
        row = await seal_request(self.platform.keyring, new)
        async with self.platform.database.session() as session:
            await insert_request(session, row)
            await session.commit()
        run_id: UUID = row["id"]
        return run_id

    def _wanted(self) -> tuple[str, ...]:
        types = event_subscriptions.event_types(self._scenario.definition())
        return (event_subscriptions.ANY_TYPE,) if types is None else tuple(sorted(types))

    async def _dispatch(self) -> None:
        while await dispatch_once(self.platform, self._engine):
            pass

    async def _give(self, run_id: UUID, fact: Fact) -> None:
        """Let the durable run have a fact of the simulation."""
        self._now = max(self._now, fact.at)
        if fact.kind in _OWN:
            return
        match fact.kind:
            case FactKind.LEAF_COMPLETED | FactKind.LEAF_FAULTED:
                self._end_leaf(fact)
            case FactKind.TIMER_FIRED:
                for held in self._runtime._held.values():
                    held.changed.set()
            case FactKind.TASK_ESCALATED | FactKind.TASK_EXPIRED:
                await self._send(opening.escalate_or_expire, run_id, fact.key, fact.at)
            case FactKind.EVENT_CONSUMED:
                await self._receive(run_id, fact)
                return
            case FactKind.RUN_CANCELLED | FactKind.RUN_RETRIED:
                if not await self._intervene(run_id, fact.kind):
                    return
            case _:
                await self._send(inbox.send, run_id, fact)
        await self._dispatch()
        await self._journaled.until(fact.kind, fact.key)
        if fact.kind is FactKind.RUN_RETRIED:
            self._journaled.entries.remove((fact.kind.value, fact.key))

    async def _intervene(self, run_id: UUID, kind: FactKind) -> bool:
        """Cancel or retry the run; false where the platform refuses what would do nothing."""
        act = actions.cancel_run if kind is FactKind.RUN_CANCELLED else actions.retry_run
        try:
            async with self.platform.work(Actor.of("coe-lead")) as work:
                await act(work, run_id, reason="a scenario")
        except Conflict:
            return False
        return True

    def _end_leaf(self, fact: Fact) -> None:
        data = fact.data if isinstance(fact.data, dict) else {}
        if fact.kind is FactKind.LEAF_COMPLETED:
            self._leaf(fact.key).set_result(data.get("output"))
        else:
            error = data.get("error")
            self._leaf(fact.key).set_exception(LeafFault(error if isinstance(error, dict) else {}))

    async def _send(self, send: Any, *arguments: Any) -> None:
        async with self.platform.database.session() as session:
            await send(session, self.platform.keyring, *arguments)
            await session.commit()

    async def _receive(self, run_id: UUID, fact: Fact) -> None:
        """Send an event through the bus; a run that does not want its type never sees it."""
        event = fact.data.get("event") if isinstance(fact.data, dict) else None
        with suppress(Conflict):  # it was received before, with other content
            async with self.platform.work(SALES_OWNER) as work:
                await send_events(work, [read_event(event)])
        await self._dispatch()
        await self._settle(run_id)

    async def _settle(self, run_id: UUID) -> None:
        """Wait until the run has taken all that arrived, or has ended."""
        async with asyncio.timeout(SECONDS):
            while True:
                async with self.platform.database.session() as session:
                    arrived = await session.scalar(
                        select(func.count()).select_from(INBOX).where(INBOX.c.run_id == run_id)
                    )
                    state = await session.scalar(select(RUNS.c.state).where(RUNS.c.id == run_id))
                if not arrived or state in ENDED:
                    return
                await self._dispatch()
                await asyncio.sleep(0.002)

    # ---------------------------------------------------------------- its result
    async def _durable(self, run_id: UUID, trace: Trace) -> dict[str, Any]:
        """The result of the durable run, as soon as it is that of the simulation or rests."""
        await self._dispatch()
        await self._settle(run_id)
        wanted, found = _simulated(trace), await self._result(run_id)
        deadline = asyncio.get_running_loop().time() + 2.0
        while found != wanted and asyncio.get_running_loop().time() < deadline:
            await self._dispatch()
            await asyncio.sleep(0.005)
            found = await self._result(run_id)
        return found

    async def _result(self, run_id: UUID) -> dict[str, Any]:
        async with self.platform.database.session() as session:
            run = (await session.execute(select(RUNS).where(RUNS.c.id == run_id))).one()
            steps = (await session.execute(select(STEPS).where(STEPS.c.run_id == run_id))).all()
        sealer = TeamSealer(self.platform.keyring, run.team)
        state = str(run.state.value)
        output = await sealer.open(RUNS, run_id, "output", run.output_sealed)
        error = await sealer.open(RUNS, run_id, "error", run.error_sealed)
        facts = await replay._read(self.platform, sealer, run_id, 0) if run.journal_length else []
        return {
            "state": state if state in {"COMPLETED", "FAULTED", "CANCELLED"} else "WAITING",
            "output": output if state == "COMPLETED" else None,
            "error": error if state == "FAULTED" else None,
            "steps": sorted(_step(each) for each in steps),
            "events": _emitted(facts),
        }

    async def _end(self) -> None:
        """End the run, whatever it waits for, and forget its events."""
        await self._engine.close()
        async with self.platform.database.session() as session:
            for table in (OUTBOX, INBOX, SUBSCRIPTIONS, EVENTS):
                await session.execute(delete(table))
            await session.execute(
                update(RUNS)
                .where(RUNS.c.state.not_in(ENDED))
                .values(state="CANCELLED", holder=None)
            )
            await session.commit()


class _ScenarioRuntime(Runtime):
    """A runtime whose only definition, and whose secrets, are those of the scenario."""

    def __init__(self, world: DurableScenarios) -> None:
        super().__init__(
            world.platform,
            perform=world.perform,
            evaluate=world._evaluate,
            secrets=lambda _: world._case.secrets,
        )
        self._world = world

    async def definition(self, version_id: UUID) -> Any:  # noqa: ARG002 - there is one
        return self._world._scenario.definition()


def _step(step: StepRecord | Any) -> tuple[str, ...]:
    values = {name: getattr(step, name) for name in _MEMBERS}
    values["state"] = step.state.value
    return tuple(str(values[name]) for name in _MEMBERS)


def _emitted(facts: list[Fact]) -> list[JSON]:
    return [
        fact.data.get("event") if isinstance(fact.data, dict) else None
        for fact in facts
        if fact.kind is FactKind.EVENT_EMITTED
    ]


def _simulated(trace: Trace) -> dict[str, Any]:
    return {
        "state": trace.state,
        "output": trace.output,
        "error": trace.error,
        "steps": sorted(_step(each) for each in trace.steps),
        "events": trace.events,
    }


def can_be_received(case: SimulationCase) -> bool:
    """Whether the doors would let in all that the scenario gives its run."""
    for number, event in enumerate(case.events, start=1):
        bare = {name: value for name, value in event.items() if name != "after"}
        named = {"specversion": "1.0", "id": f"event-{number}", "source": "/tests"} | bare
        try:
            read_event(named)
        except Invalid:
            return False
    return not any(fact.kind is FactKind.EVENT_CONSUMED for fact in case.facts)


async def _any_role(*_: object) -> None:
    """The roles of scenarios are of no installation; the simulation knows of none either."""


@asynccontextmanager
async def durable_scenarios(
    platform: Platform, evaluate: EvaluateJq, patch: pytest.MonkeyPatch
) -> AsyncIterator[DurableScenarios]:
    """The durable path, ready for scenarios."""
    ref = await publish(platform, central("scenario", HTTP.format(name="unused")))
    async with platform.read(SALES_OWNER) as read:
        flow = await runnable(read.session, read, ref)
    settings = platform.settings.model_copy(update={"linger_seconds": _FOREVER})
    world = DurableScenarios(replace(platform, settings=settings), flow, evaluate)
    patch.setattr(replay, "_resolve", world.resolve)
    patch.setattr(turn.children, "start", world.start_child)
    patch.setattr(turn.task_opening, "role_error", _any_role)
    patch.setattr(turn.secrets, "randbelow", lambda most: (most - 1) // 2)
    await world.start()
    yield world
    await world.close()
