"""Expressions that exceed their limits: the clock decides once, then the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from coe.json_types import JSON
from coe.language.expressions.evaluator import ExpressionError, Reason
from coe.machine.commands import Completed, Faulted
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import EvaluateJq
from coe.testing.cases import DEFAULT_START
from tests.machine.driver import HTTP, Driver

FLOW: dict[str, Any] = {
    "do": [
        {"first": {"set": "${ {n: 1} | .n += 0 }"}},
        {
            "t": {
                "try": [{"slow": {"set": "${ {n: 2} | .n += 0 }"}}],
                "catch": {"do": [{"late": {"set": "${ $error | {type, status, detail} }"}}]},
            }
        },
        {"leaf": {**HTTP, "output": {"as": "$input"}}},
    ]
}


class Slow:
    """An evaluator in which some programs exceed a limit a number of times."""

    def __init__(
        self, evaluate: EvaluateJq, times: Mapping[str, int], reason: Reason = Reason.TIME
    ) -> None:
        self._evaluate = evaluate
        self._left = Counter(times)
        self._reason = reason
        self.asked: Counter[str] = Counter()

    async def __call__(self, program: str, variables: Mapping[str, JSON], data: JSON) -> JSON:
        self.asked[program] += 1
        for part in self._left:
            if part in program and self._left[part] > 0:
                self._left[part] -= 1
                raise ExpressionError(program, self._reason)
        return await self._evaluate(program, variables, data)


async def test_an_expression_that_succeeds_at_last_is_in_time(evaluate: EvaluateJq):
    run = Driver(FLOW, Slow(evaluate, {"n: 2": 2}))
    [leaf] = await run.start()
    assert run.machine.exceeded() == []
    await run.done(leaf)
    assert run.machine.outcome == Completed({"n": 2})


@pytest.mark.parametrize("reason", [Reason.TIME, Reason.DIED])
async def test_an_expression_that_is_never_in_time_is_an_error_and_a_fact(
    reason: Reason, evaluate: EvaluateJq
):
    slow = Slow(evaluate, {"n: 2": 3}, reason)
    run = Driver(FLOW, slow)
    [leaf] = await run.start()
    limited = run.machine.exceeded()
    assert limited == [
        Fact(
            FactKind.EXPRESSION_LIMITED,
            DEFAULT_START,
            data={"evaluation": 2, "reason": reason.name},
        )
    ]
    await run.done(leaf)
    assert run.machine.exceeded() == []
    outcome: Any = run.machine.outcome
    assert (outcome.output["status"], outcome.output["type"][-10:]) == (400, "expression")
    assert reason.value in outcome.output["detail"]

    # In a faster process, the replay of the journal gives the same run.
    quick = Slow(evaluate, {})
    again = Driver(FLOW, quick)
    assert await again.fact(limited[0].kind, data=limited[0].data) == []
    assert again.machine.exceeded() == []
    assert await again.start() == [leaf]
    assert again.machine.exceeded() == []
    await again.done(leaf)
    assert again.machine.outcome == outcome
    assert [program for program in quick.asked if "n: 2" in program] == []


async def test_a_replay_that_is_too_slow_is_detected(evaluate: EvaluateJq):
    run = Driver(FLOW, Slow(evaluate, {"n: 1": 3}))
    await run.start()
    assert [each.data for each in run.machine.exceeded()] == [{"evaluation": 1, "reason": "TIME"}]
    assert isinstance(run.machine.outcome, Faulted)


async def test_a_journaled_limit_applies_to_one_fact_only(evaluate: EvaluateJq):
    quick = Slow(evaluate, {})
    run = Driver({"do": [{"a": HTTP}, {"b": {"set": "${ 1 + 1 }"}}]}, quick)
    await run.fact(FactKind.EXPRESSION_LIMITED, data={"evaluation": 1, "reason": "TIME"})
    [leaf] = await run.start()
    await run.done(leaf)
    assert run.machine.outcome == Completed(2)


async def test_other_errors_of_expressions_are_not_tried_again(evaluate: EvaluateJq):
    slow = Slow(evaluate, {"n: 2": 3}, Reason.SIZE)
    run = Driver(FLOW, slow)
    await run.start()
    assert run.machine.exceeded() == []
    assert max(slow.asked.values()) == 1


@pytest.mark.parametrize(
    "data", [None, {}, {"evaluation": 1}, {"evaluation": "1", "reason": "TIME"}, {"reason": "TIME"}]
)
async def test_a_limit_fact_names_the_evaluation_and_the_limit(data: Any, evaluate: EvaluateJq):
    run = Driver(FLOW, evaluate)
    with pytest.raises(ValueError, match="number of an evaluation"):
        await run.fact(FactKind.EXPRESSION_LIMITED, data=data)


async def test_evaluations_are_counted_for_each_fact(evaluate: EvaluateJq):
    flow = {"do": [FLOW["do"][0], {"a": HTTP}, {"slow": {"set": "${ {n: 2} | .n += 0 }"}}]}
    run = Driver(flow, Slow(evaluate, {"n: 2": 3}))
    [leaf] = await run.start()
    await run.done(leaf)
    assert [each.data for each in run.machine.exceeded()] == [{"evaluation": 1, "reason": "TIME"}]
