"""The expected result of a run: that of its machine alone, without a crash, in any order."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from coe.machine.commands import (
    ArmTimer,
    AwaitEvent,
    Completed,
    EmitEvent,
    Faulted,
    OpenHumanTask,
    RunLeaf,
    RunOutcome,
    StartChild,
)
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import Machine, RunContext
from tests.simulation import seams
from tests.simulation.definitions import EVENTS, LOCAL, RAISED

if TYPE_CHECKING:
    from tests.simulation.world import World

MAX_RETRIES: Final = 6
"""How often people retry a run; one that needs more may end as faulted."""
START: Final = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
SHAKY: Final = {"shaky_a": 1, "shaky_b": 2, "broken": 1000}


def answer(name: str, arguments: Any, attempt: int) -> dict[str, Any]:
    """What a system answers to a call: the same to the same, `{output}` or `{error}`."""
    if attempt <= SHAKY.get(name.rstrip("0123456789"), 0):
        return {"error": {"type": "https://example.com/errors/down", "status": 503}}
    code = zlib.crc32(orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS))
    return {"output": {"n": name, "c": code}}


def human_answer(name: str) -> dict[str, Any]:
    """What people put into the form of a task."""
    return {"limit": zlib.crc32(name.encode()) % 10}


def event(number: int, kind: str) -> dict[str, Any]:
    """An event of some other system."""
    return {
        "specversion": "1.0",
        "id": f"event-{number}",
        "source": "https://bank.example.com",
        "type": kind,
        "time": START.isoformat(),
        "data": {"kind": kind},
    }


async def expected(world: World, flow: str, value: Any, depth: int = 0) -> RunOutcome | None:
    """The outcome of a flow; None where it takes too long to say."""
    if flow.partition("@")[0] == LOCAL:
        for step in ("pick", "pack"):
            value = answer(step, value, 1)["output"]
        return Completed(value)
    definition = seams.loaded(world.catalog[flow.partition("@")[0]].definition).definition
    machine = Machine(definition, RunContext("reference"), world.expressions.evaluate)
    facts = [Fact(FactKind.RUN_STARTED, START, data={"input": value, "flows": {}})]
    wanted: dict[str, Any] = {}
    retries = events = 0
    for _ in range(3000):
        if facts:
            fact = facts.pop(0)
            wanted.pop(fact.key, None)
            await machine.apply(fact)
            wanted = {each.key: each for each in machine.pending()}
            continue
        if isinstance(machine.outcome, Faulted):
            raised = machine.outcome.error.get("type") == RAISED
            if depth or retries >= (1 if raised else MAX_RETRIES):
                return machine.outcome
            retries += 1
            facts.append(Fact(FactKind.RUN_RETRIED, START))
            continue
        if machine.outcome is not None:
            return machine.outcome
        facts = await _next(world, list(wanted.values()), depth)
        if not facts:
            events += 1
            kind = EVENTS[events % len(EVENTS)]
            facts = [Fact(FactKind.EVENT_CONSUMED, START, data={"event": event(events, kind)})]
    return None


async def _next(  # noqa: PLR0911  # one answer a kind
    world: World, wanted: list[Any], depth: int
) -> list[Fact]:
    """One answer: work first, then people, then time; events when there is nothing else."""
    for command in wanted:
        match command:
            case RunLeaf():
                given = answer(command.name, command.arguments, command.attempt)
                kind = FactKind.LEAF_FAULTED if "error" in given else FactKind.LEAF_COMPLETED
                return [Fact(kind, START, command.key, given)]
            case EmitEvent():
                data = {"event": command.event}
                return [Fact(FactKind.EVENT_EMITTED, START, command.key, data)]
            case StartChild():
                return [await _child(world, command, depth)]
            case OpenHumanTask():
                data = {"outcome": "approved", "answer": human_answer(command.name)}
                return [Fact(FactKind.TASK_ANSWERED, START, command.key, data)]
    timers = [each for each in wanted if isinstance(each, ArmTimer)]
    for timer in timers:
        if timer.due is None:
            data = {"due": timer.earliest.isoformat()}
            return [Fact(FactKind.TIMER_ARMED, START, timer.key, data)]
    if any(isinstance(each, AwaitEvent) for each in wanted):
        return []
    if timers:
        first = min(timers, key=lambda each: each.due)
        return [Fact(FactKind.TIMER_FIRED, max(first.due, START), first.key)]
    return []


async def _child(world: World, command: StartChild, depth: int) -> Fact:
    if not command.wait:
        return Fact(FactKind.CHILD_STARTED, START, command.key, {"run": "child"})
    outcome = await expected(world, command.flow, command.input, depth + 1)
    match outcome:
        case Completed(output):
            return Fact(FactKind.CHILD_COMPLETED, START, command.key, {"output": output})
        case Faulted(error):
            return Fact(FactKind.CHILD_FAULTED, START, command.key, {"error": dict(error)})
    raise AssertionError(outcome)
