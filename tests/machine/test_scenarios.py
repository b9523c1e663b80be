from __future__ import annotations

from typing import Any

import pytest

from coe.language.model.definition import Definition
from coe.machine.commands import Cancel, RunLeaf
from coe.machine.machine import EvaluateJq
from coe.testing.run_definition import simulate
from coe.testing.suites import case_of, differences
from tests.machine.scenarios import Scenario, replayed, scenarios

ALL = scenarios()


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
async def test_a_scenario_gives_the_expected_result(scenario: Scenario, evaluate: EvaluateJq):
    case = case_of(scenario.test)
    trace = await simulate(scenario.definition(), case, evaluate)
    assert differences(scenario.test["expect"], trace, case) == []


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
async def test_a_crash_between_any_two_facts_changes_nothing(
    scenario: Scenario, evaluate: EvaluateJq
):
    await crash_everywhere(scenario.definition(), scenario.test, evaluate)


async def crash_everywhere(flow: Definition, test: dict[str, Any], evaluate: EvaluateJq) -> None:
    """Replay every prefix of a scenario's journal, and compare it with the run itself."""
    case = case_of(test)
    trace = await simulate(flow, case, evaluate)
    issued: dict[str, object] = {}
    answered: set[str] = set()
    live = await replayed(flow, case, [], evaluate)
    for position, fact in enumerate(trace.journal, start=1):
        commands = await live.apply(fact)
        again = await replayed(flow, case, trace.journal[:position], evaluate)
        assert again.pending() == live.pending()
        assert again.outcome == live.outcome
        for command in commands:
            assert not isinstance(command, RunLeaf) or command.key not in answered
            if isinstance(command, Cancel):
                issued.pop(command.key, None)
            else:
                issued[command.key] = command
        if fact.kind.name.startswith(("LEAF_", "CHILD_C", "CHILD_F")):
            answered.add(fact.key)
        assert {command.key for command in live.pending()}.isdisjoint(answered)
        assert {command.key for command in live.pending()} <= set(issued)
    assert live.outcome == trace.outcome
