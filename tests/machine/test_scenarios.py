from __future__ import annotations

from typing import Any

import pytest

from coe.language.model.definition import Definition
from coe.machine.commands import Cancel, RunLeaf
from coe.machine.machine import EvaluateJq
from coe.testing.run_definition import simulate
from coe.testing.suites import case_of, differences
from tests.machine.scenarios import Scenario, folded, scenarios

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALL = scenarios()


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
async def test_a_scenario_goes_as_the_language_says(scenario: Scenario, evaluate: EvaluateJq):
    case = case_of(scenario.test)
    trace = await simulate(scenario.definition(), case, evaluate)
    assert differences(scenario.test["expect"], trace, case) == []


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
async def test_a_crash_between_any_two_facts_changes_nothing(
    scenario: Scenario, evaluate: EvaluateJq
):
    await crash_everywhere(scenario.definition(), scenario.test, evaluate)


async def crash_everywhere(flow: Definition, test: dict[str, Any], evaluate: EvaluateJq) -> None:
    """Fold every prefix of the scenario's journal, and see that it stands as the run itself did."""
    case = case_of(test)
    trace = await simulate(flow, case, evaluate)
    wanted: dict[str, object] = {}
    answered: set[str] = set()
    live = await folded(flow, case, [], evaluate)
    for position, fact in enumerate(trace.journal, start=1):
        commands = await live.apply(fact)
        again = await folded(flow, case, trace.journal[:position], evaluate)
        assert again.pending() == live.pending()
        assert again.outcome == live.outcome
        for command in commands:
            assert not isinstance(command, RunLeaf) or command.key not in answered
            if isinstance(command, Cancel):
                wanted.pop(command.key, None)
            else:
                wanted[command.key] = command
        if fact.kind.name.startswith(("LEAF_", "CHILD_C", "CHILD_F")):
            answered.add(fact.key)
        assert {command.key for command in live.pending()}.isdisjoint(answered)
        assert {command.key for command in live.pending()} <= set(wanted)
    assert live.outcome == trace.outcome
