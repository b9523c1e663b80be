"""The branch outcomes that the machine reports are those that coverage counts."""

from __future__ import annotations

import pytest

from coe.language.branches import branches_of, outcomes
from coe.machine.commands import StepState
from coe.machine.machine import EvaluateJq
from coe.testing.run_definition import simulate
from coe.testing.suites import case_of
from tests.machine.scenarios import Scenario, scenarios

ALL = scenarios()
# Outcomes that are no choice where they stand alone, and so are not counted there.
ALONE = (
    outcomes.takes(1).removesuffix("1"),
    outcomes.IN_TIME,
    outcomes.CALL_IN_TIME,
    outcomes.ANSWERED,
)


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
async def test_no_outcome_of_a_run_is_considered_impossible(
    scenario: Scenario, evaluate: EvaluateJq
):
    definition = scenario.definition()
    trace = await simulate(definition, case_of(scenario.test), evaluate)
    reach = branches_of(definition)
    counted = {(branch.pointer, branch.outcome) for branch in reach.branches}
    constant = {
        task.pointer
        for task in definition.walk()
        if {task.if_, getattr(task, "while_", None)} & {"true", "false"}
    }
    surprising = {
        (pointer, way)
        for pointer, way in trace.branch_outcomes - counted
        if not way.startswith(ALONE) and pointer not in constant
    }
    assert surprising == set()
    steps = {step.pointer for step in reach.steps}
    assert {step.path for step in trace.steps if step.state is not StepState.SKIPPED} <= steps


async def test_the_scenarios_take_every_named_outcome(evaluate: EvaluateJq):
    gone: set[str] = set()
    for scenario in ALL:
        trace = await simulate(scenario.definition(), case_of(scenario.test), evaluate)
        gone |= {way for _, way in trace.branch_outcomes}
    named = {value for name, value in vars(outcomes).items() if name.isupper() and name[0] != "_"}
    assert {value for value in named if isinstance(value, str)} - gone <= {outcomes.CALL_IN_TIME}
