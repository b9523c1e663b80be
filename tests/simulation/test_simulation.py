"""Random runs under random faults: nothing is lost, nothing done twice, nothing stuck.

`make test-more` simulates twenty times as many runs and tries every seeded bug; `COE_NIGHTLY=1`
makes that 100,000 runs. See docs/simulation.md.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

NIGHTLY = bool(os.environ.get("COE_NIGHTLY"))
RUNS = 1_000
"""Runs that are started and runs that they call."""
MORE_RUNS = 100_000 if NIGHTLY else 20_000
RUNS_A_WORLD = 31
"""A world starts 20 runs, which call at least 11 more."""
QUICK = (
    *("append_without_fence", "inbox_emptied_when_read", "leaf_before_commit"),
    *("lease_without_a_new_fence", "no_wake_after_sending"),
    "clock_of_a_run_goes_back",
)
BUGS = (
    *("acknowledged_before_done", "answer_not_sent", "approvers_not_excluded"),
    *("failed_append_goes_on", "inbox_never_emptied", "lease_of_a_living_holder"),
    *("no_reaper", "no_sweep", "no_tidying"),
    *(
        "no_timers",
        "open_tasks_of_ended_runs",
        "parent_not_notified",
        "park_without_reading_the_inbox",
    ),
    *("steps_of_a_dead_holder_not_written", "last_steps_not_written", "waits_not_written"),
    *("spins_before_a_timer", "timer_gone_before_its_fact", "timers_of_the_dead_not_stored"),
)


def _simulate(*arguments: str, seconds: float) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def _simulate_runs(runs: int, *, first_seed: int, seconds: float) -> None:
    seeds = f"{first_seed}:{first_seed + runs // RUNS_A_WORLD}"
    code, report = _simulate("--seeds", seeds, "--jobs", "2", seconds=seconds)
    assert code == 0, report
    found = re.search(r"^(\d+) runs and (\d+) called by them", report, re.MULTILINE)
    assert found is not None, report
    assert int(found[1]) + int(found[2]) >= runs
    assert "'crash': " in report


@pytest.mark.timeout(900)
def test_random_runs_with_crashes_lose_and_repeat_nothing() -> None:
    _simulate_runs(RUNS, first_seed=0, seconds=900)


@pytest.mark.more
@pytest.mark.timeout(6 * 3600 if NIGHTLY else 1800)
def test_many_random_runs_with_crashes_lose_and_repeat_nothing() -> None:
    _simulate_runs(MORE_RUNS, first_seed=1_000, seconds=6 * 3600)


def test_a_seed_replays() -> None:
    first = _simulate("--seed", "7", "--trace", seconds=250)
    assert first == _simulate("--seed", "7", "--trace", seconds=250)
    assert first[0] == 0, first[1]
    assert "dies" in first[1]


@pytest.mark.parametrize(
    "bug",
    [*QUICK, *(pytest.param(bug, marks=pytest.mark.more) for bug in BUGS)],
)
def test_a_seeded_bug_is_found(bug: str) -> None:
    code, report = _simulate("--mutant", bug, "--seeds", "0:60", seconds=280)
    assert code == 1, report
