"""A reader who follows docs/start.md literally has a process of their own, in few commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import RunningDemo

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE)
FILES = dict(re.findall(r'^```yaml title="([^"]+)"\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL))
MOST_COMMANDS = 15


def test_the_page_leads_to_a_process_of_ones_own(demo: RunningDemo, tmp_path: Path) -> None:
    assert len(COMMANDS) <= MOST_COMMANDS
    assert COMMANDS[0] == "make demo"  # the fixture did it
    export, *commands = COMMANDS[1:]
    for name, text in FILES.items():
        (demo.content / name).parent.mkdir(exist_ok=True)
        (demo.content / name).write_text(text)
    token = re.search(r"COE_TOKEN=(\S+)", export)
    assert token is not None
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COE_")}
    environment |= {"COE_URL": demo.url, "COE_TOKEN": token[1], "HOME": str(tmp_path)}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment["PYTHONPATH"] = str(ROOT)
    printed = ""
    for command in commands:
        printed = _do(_with_ids(command, printed), demo.content, environment, printed)
    assert printed.splitlines()[-1].endswith("COMPLETED")
    for step in ("approve", "postCost (try 3)", "printBadge", "welcomed"):
        assert re.search(rf"COMPLETED +\w+ +{re.escape(step)}", printed), printed


def _with_ids(command: str, printed: str) -> str:
    """The command with the ids that an earlier one printed."""
    task = re.search(r"coe task show (\S+?)\)", printed)
    run = re.search(r"^run (\S+) of", printed, re.MULTILINE)
    if task is not None:
        command = command.replace(" TASK ", f" {task[1]} ")
    if run is not None:
        command = re.sub(r" RUN$", f" {run[1]} --until end --wait 120", command)
    return command


def _do(command: str, folder: Path, environment: dict[str, str], before: str) -> str:
    done = subprocess.run(
        ["bash", "-c", command],
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    text = done.stdout + done.stderr
    waits = "--until person" in command
    assert done.returncode == (4 if waits else 0), f"{command}\n{text}\n{json.dumps(before)}"
    return text if waits or "run watch" in command else before
