"""A small fire: processes, the database and its connections go down in the middle of runs.

The large one is `tests/chaos/test_chaos.py`. What is hit is chosen by a seed.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.chaos.fire import burn
from tests.e2e.conftest import RunningDemo

RUNS = 14
FAULTS = 6


@pytest.mark.more
@pytest.mark.timeout(900)
def test_runs_under_fire_lose_and_repeat_nothing(demo: RunningDemo) -> None:
    lines: list[str] = []
    outcome = asyncio.run(
        burn(demo.data, runs=RUNS, faults=FAULTS, at_once=7, seed=42, report=lines.append)
    )
    assert outcome.problems == [], lines
    assert outcome.counts["completed"] == outcome.counts["runs"] >= RUNS
    assert outcome.counts["leaves completed"] >= 5 * RUNS
    assert len(outcome.hits) == FAULTS
