"""Real processes are killed in the midst of runs, for minutes; the small form is in `tests/e2e`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.more
@pytest.mark.timeout(1800)
def test_processes_that_are_killed_lose_and_repeat_nothing() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.chaos"),
            *("--runs", "80", "--faults", "20", "--at-once", "10", "--seed", "7"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
