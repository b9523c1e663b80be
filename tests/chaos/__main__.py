"""`python -m tests.chaos`: starts a separate demo, injects faults, and prints a report.

    python -m tests.chaos --runs 200 --faults 50 --seed 1

The seed chooses what is hit and when; what the machine makes of it differs from time to time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.fire import burn

START_SECONDS = 240.0


def main() -> int:
    """Run it.

    Returns:
        0 if everything is as it must be, else 1.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--at-once", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the demo's folder")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="coe-chaos-"))
    demo = _start_demo(folder)
    try:
        _until_ready(demo, folder)
        outcome = asyncio.run(
            burn(
                folder / "data",
                runs=asked.runs,
                faults=asked.faults,
                at_once=asked.at_once,
                seed=asked.seed,
                report=_say,
            )
        )
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(120)
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
    _say(f"\n{len(outcome.hits)} faults, {outcome.seconds:.0f} s, seed {asked.seed}")
    for name, count in outcome.counts.items():
        _say(f"{count:6} {name}")
    _say(outcome.recovery())
    for problem in outcome.problems:
        _say(f"PROBLEM {problem}")
    _say("everything is as it must be" if not outcome.problems else f"kept in {folder}")
    return 1 if outcome.problems else 0


def _start_demo(folder: Path) -> subprocess.Popen[bytes]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COE_")}
    with (folder / "demo.log").open("wb") as sink:
        return subprocess.Popen(
            [sys.executable, "-m", "coe.cli.main", "demo", "--data", str(folder / "data")],
            stdout=sink,
            stderr=sink,
            env=environment | {"PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )


def _until_ready(demo: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while "CoE is up at" not in (output := (folder / "demo.log").read_text()):
        if demo.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the demo did not come up:\n{output}")
        time.sleep(0.3)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
