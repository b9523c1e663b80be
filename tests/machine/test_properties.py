"""Random definitions, answers and crashes: a replay of any prefix continues unchanged."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coe.language.expressions.evaluator import Expressions
from coe.language.model.definition import Definition
from coe.machine.commands import Cancel, Command, Finish
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import Machine
from coe.testing.cases import DEFAULT_START, SimulationCase, Trace
from coe.testing.run_definition import simulate
from tests.machine.scenarios import definition, machine, replayed

HTTP = {"call": "http", "with": {"method": "get", "endpoint": "https://a.example"}}
ASK = {
    "call": "humanTask:1@default",
    "with": {"title": "Look", "candidates": {"roles": ["clerk"]}, "dueIn": "PT20S"},
}
PACK = {"call": "localFlow:1@default", "with": {"ref": "warehouse/pick", "timeout": "PT30S"}}
RECEIVE = {"listen": {"to": {"one": {"with": {"type": "a.b"}}}}, "timeout": {"after": "PT40S"}}
LEAVES = [
    {"set": {"n": 1}},
    HTTP,
    HTTP,
    ASK,
    PACK,
    RECEIVE,
    {"wait": "PT3S"},
    {"emit": {"event": {"with": {"type": "done"}}}},
    {"raise": {"error": {"type": "https://x.example/e", "status": 418}}},
    {**HTTP, "timeout": {"after": "PT4S"}},
    {**HTTP, "export": {"as": {"seen": True}}},
    {**HTTP, "if": ".missing"},
    {"set": {"stopped": True}, "then": "exit"},
    {"set": {"ended": True}, "then": "end"},
]
RETRY = {
    "delay": "PT2S",
    "jitter": {"from": "PT0S", "to": "PT1S"},
    "limit": {"attempt": {"count": 2}},
}
CATCHES = [
    {},
    {"do": [{"rescue": HTTP}]},
    {"retry": RETRY},
    {"retry": RETRY, "do": [{"give": {"set": {"gave": "up"}}}]},
    {"errors": {"with": {"status": 500}}, "retry": RETRY},
]


def _listed(tasks: Any, least: int = 1) -> Any:
    """Tasks with the names t0, t1, …, of which a directive may lead back to one."""
    return st.lists(tasks, min_size=least, max_size=3).map(
        lambda found: [{f"t{place}": task} for place, task in enumerate(found)]
    )


def _composites(tasks: Any) -> Any:
    listed = _listed(tasks)
    timeouts = st.sampled_from([{}, {}, {"timeout": {"after": "PT6S"}}])
    return st.one_of(
        st.builds(lambda do, more: {"do": do, **more}, listed, timeouts),
        st.builds(lambda do: {"for": {"in": [1, 2]}, "do": do}, listed),
        st.builds(
            lambda branches, compete: {"fork": {"branches": branches, "compete": compete}},
            _listed(tasks, 2),
            st.booleans(),
        ),
        st.builds(
            lambda do, catch, more: {"try": do, "catch": catch, **more},
            listed,
            st.sampled_from(CATCHES),
            timeouts,
        ),
        st.builds(
            lambda do, limit: {
                "call": "parallelMap:1@default",
                "with": {"in": [1, 2, 3], "do": do, "maxConcurrency": limit},
            },
            listed,
            st.integers(1, 3),
        ),
    )


FLOWS = _listed(st.recursive(st.sampled_from(LEAVES), _composites, max_leaves=6))


class Outside:
    """Answers that depend on a seed and the key only, so that they are the same after a crash."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def stubs(self) -> dict[str, Any]:
        rng = random.Random(self.seed)  # noqa: S311 - a simulation
        names = [f"t{place}" for place in range(3)] + ["rescue"]
        return {name: [_answer(rng) for _ in range(6)] for name in names}

    def facts(self) -> list[Fact]:
        rng = random.Random(self.seed + 1)  # noqa: S311 - a simulation
        return [
            Fact(kind, DEFAULT_START.replace(minute=place + 1))
            for place, kind in enumerate(rng.choices(OTHER, k=rng.randint(0, 3)))
        ]


OTHER = [FactKind.RUN_RETRIED, FactKind.RUN_RETRIED, FactKind.RUN_CANCELLED]


def _answer(rng: random.Random) -> dict[str, Any]:
    after = {"after": f"PT{rng.choice([0, 1, 1, 3, 7, 25])}S"}
    if rng.random() < 0.3:
        return {"error": {"status": rng.choice([500, 503])}, "silent": True, **after}
    return {"output": rng.randint(0, 9), "outcome": "seen", **after}


async def _run(
    flow: list[Any], seed: int, expressions: Expressions
) -> tuple[Definition, SimulationCase, Trace]:
    parsed = definition({"do": flow})
    outside = Outside(seed)
    events = [
        {"after": f"PT{10 * n}S", "type": "a.b", "source": "s", "id": str(n)} for n in range(4)
    ]
    case = SimulationCase(
        stubs=outside.stubs(), events=events, facts=outside.facts(), max_visits=20
    )
    return parsed, case, await simulate(parsed, case, expressions.evaluate)


def _with_expressions(check: Callable[[Expressions], Awaitable[None]]) -> None:
    async def go() -> None:
        async with Expressions(workers=1) as expressions:
            await check(expressions)

    asyncio.run(go())


async def _apply_all(live: Machine, facts: list[Fact]) -> list[list[Command]]:
    return [await live.apply(fact) for fact in facts]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(flow=FLOWS, seed=st.integers(0, 10_000), cut=st.floats(0, 1))
def test_a_replay_of_any_prefix_and_then_the_rest_gives_the_run(
    flow: list[Any], seed: int, cut: float
):
    async def check(expressions: Expressions) -> None:
        parsed, case, trace = await _run(flow, seed, expressions)
        whole = machine(parsed, case, expressions.evaluate)
        applied = await _apply_all(whole, trace.journal)
        assert [command for commands in applied for command in commands] == trace.commands
        place = round(cut * len(trace.journal))
        crashed = await replayed(parsed, case, trace.journal[:place], expressions.evaluate)
        assert await _apply_all(crashed, trace.journal[place:]) == applied[place:]
        assert crashed.outcome == whole.outcome == trace.outcome
        assert crashed.pending() == whole.pending()

    _with_expressions(check)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(flow=FLOWS, seed=st.integers(0, 10_000))
def test_no_completed_leaf_is_ever_issued_again(flow: list[Any], seed: int):
    async def check(expressions: Expressions) -> None:
        parsed, case, trace = await _run(flow, seed, expressions)
        live = machine(parsed, case, expressions.evaluate)
        answered: set[str] = set()
        wanted: set[str] = set()
        for fact in trace.journal:
            if fact.key in wanted and fact.kind != FactKind.TIMER_ARMED:
                answered.add(fact.key)
                wanted.discard(fact.key)
            for command in await live.apply(fact):
                if isinstance(command, Cancel):
                    assert command.key in wanted
                    wanted.discard(command.key)
                elif not isinstance(command, Finish):
                    assert command.key not in answered
                    wanted.add(command.key)
            assert answered.isdisjoint(command.key for command in live.pending())
            if live.outcome is None:
                assert wanted >= {command.key for command in live.pending()}

    _with_expressions(check)
