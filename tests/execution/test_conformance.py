"""The simulation and the platform agree: every scenario of the machine, in both.

`coe flow test` promises that a process does in production what it does in its tests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import pytest
import pytest_asyncio

from coe.language.expressions.evaluator import Expressions
from coe.testing.suites import case_of
from coe.work import Platform
from tests.factories.durable_scenarios import DurableScenarios, can_be_received, durable_scenarios
from tests.machine.scenarios import Scenario, scenarios

ALL = [scenario for scenario in scenarios() if not scenario.name.startswith("flow/visits: ")]
"""Without those that enter a task 10,000 times, which take minutes."""
REFUSED: Final = {
    "listen/filters: a pattern does not end before a line's end",
    "listen/listen: an event that is none is ignored",
}
"""Scenarios whose events no door of the platform lets in: they are the machine's alone."""
ONCE_DIFFERENT: Final = {
    "emit/emit: an attribute that is null is absent, or derived",
    "human/task: a stage later than the due time delays the timeout, which approves nothing",
    "journal/completion: a retry goes on inside loops, tries and branches, beside the neighbours",
    "listen/listen: events are distinguished by source and id",
    "timeout/timeout: it covers the retries and delays of a try",
    "try/retry: jitter is added between its bounds (the simulation takes the middle)",
}
_DONE: Final = {"type": "done", "source": "/shop", "id": "1", "data": 1}
OWN_EVENT: Final = Scenario(
    "a run receives the event that it sends",
    {
        "do": [
            {
                "both": {
                    "fork": {
                        "branches": [
                            {"hear": {"listen": {"to": {"one": {"with": {"type": "done"}}}}}},
                            {"tell": {"emit": {"event": {"with": _DONE}}}},
                        ]
                    }
                }
            }
        ]
    },
    {},
)


@pytest_asyncio.fixture
async def world(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DurableScenarios]:
    async with (
        Expressions(workers=1) as pool,
        durable_scenarios(platform, pool.evaluate, monkeypatch) as opened,
    ):
        yield opened


def test_only_events_that_are_none_are_left_out() -> None:
    refused = {each.name for each in ALL if not can_be_received(case_of(each.test))}
    assert refused == REFUSED


async def test_a_sample_of_scenarios_ends_alike_in_the_simulation_and_on_the_platform(
    world: DurableScenarios,
) -> None:
    once = [scenario for scenario in ALL if scenario.name in ONCE_DIFFERENT]
    assert {scenario.name for scenario in once} == ONCE_DIFFERENT
    assert await _differences(world, [*ALL[::9], *once, OWN_EVENT]) == {}


@pytest.mark.more
async def test_every_scenario_ends_alike_in_the_simulation_and_on_the_platform(
    world: DurableScenarios,
) -> None:
    assert await _differences(world, ALL) == {}


async def _differences(world: DurableScenarios, chosen: Iterable[Scenario]) -> dict[str, Any]:
    """How the durable path differs from the simulation, by scenario: (simulated, durable)."""
    different: dict[str, Any] = {}
    for scenario in chosen:
        case = case_of(scenario.test)
        if not can_be_received(case):
            continue
        both = await world.run(scenario, case)
        found = {
            key: (value, both.durable[key])
            for key, value in both.simulated.items()
            if both.durable[key] != value
        }
        if found:
            different[scenario.name] = found
    return different
