"""A command on a terminal of its own: it asks, and its tables fit."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30


def typed(folder: Path, arguments: list[str], answers: dict[str, str]) -> str:
    """Run a command on a terminal; type each answer once its question is there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "coe.cli.main", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env={
            **os.environ,
            "COLUMNS": "60",
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm",
            "XDG_CONFIG_HOME": str(folder),
        },
        start_new_session=True,
    )
    os.close(theirs)
    shown, waiting = "", dict(answers)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the terminal is closed: the process has ended
                break
            if not part:
                break
            shown += part.decode()
        question = next((each for each in waiting if each in shown), None)
        if question is not None:
            os.write(ours, f"{waiting.pop(question)}\n".encode())
    os.close(ours)
    assert process.wait(SECONDS) == 0, shown
    assert not waiting, f"never asked: {waiting}\n{shown}"
    return shown


def test_a_new_flow_is_asked_for(tmp_path: Path) -> None:
    shown = typed(
        tmp_path,
        ["flow", "new"],
        {"Flow (namespace/name)": "sales/refund", "Process owner": "sales-owner"},
    )
    assert "written: refund/flow.yaml" in shown
    assert "processOwner: sales-owner" in (tmp_path / "refund" / "flow.yaml").read_text()


def test_the_parameters_of_a_template_are_asked_one_by_one(tmp_path: Path) -> None:
    template = ROOT / "templates" / "purchase-approval"
    shown = typed(
        tmp_path,
        ["flow", "new", "sales/buy", "--template", str(template), "--process-owner", "sales-owner"],
        {"Decision table": "", "Time to answer": "P5D"},
    )
    assert "P1D | P2D | P5D" in shown
    assert "dueIn: P5D" in (tmp_path / "buy" / "flow.yaml").read_text()


def test_a_table_fits_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "coe").mkdir()
    profiles = tmp_path / "coe" / "profiles.json"
    profiles.touch(mode=0o600)
    url = "https://" + "a" * 90 + ".example"
    profiles.write_text(f'{{"profiles": {{"x": {{"url": "{url}", "token": "t"}}}}}}')
    shown = click.unstyle(typed(tmp_path, ["profile", "list"], {}))
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 60
    assert shown.count("a") >= url.count("a")  # folded, and not cut
