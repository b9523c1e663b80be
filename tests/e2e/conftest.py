"""One demo, started as a person would, for all end-to-end tests of a session."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coe.content import FOLDERS
from tests.e2e.personas import Persona

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 240
STOP_SECONDS = 60


@dataclass(frozen=True)
class RunningDemo:
    """A demo after its story; `printed` is its output."""

    data: Path
    content: Path
    url: str
    state: dict[str, Any]
    printed: str

    def persona(self, name: str) -> Persona:
        return Persona(self.url, name)

    def process(self, name: str) -> int:
        """The process id of one of its processes, as it is now."""
        pid: int = json.loads((self.data / "processes.json").read_text())[name][0]
        return pid

    @property
    def company(self) -> str:
        url: str = self.state["companyUrl"]
        return url


@pytest.fixture(scope="package")
def demo() -> Iterator[RunningDemo]:
    folder = Path(tempfile.mkdtemp(prefix="coe-e2e-"))
    data = folder / "data"
    content = folder / "content"
    for each in FOLDERS:  # a copy, in which tests may write flows
        shutil.copytree(ROOT / each, content / each, ignore=shutil.ignore_patterns("__pycache__"))
    output = folder / "output"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COE_")}
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "coe.cli.main",
                "demo",
                "--data",
                str(data),
                "--content",
                str(content),
            ],
            stdout=sink,
            stderr=sink,
            env=environment | {"PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    try:
        _wait_for_story(process, output, data)
        state = json.loads((data / "demo.json").read_text())
        yield RunningDemo(data, content, state["url"], state, output.read_text())
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        assert process.returncode == 0, output.read_text()[-3000:]
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_story(process: subprocess.Popen[bytes], output: Path, data: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        printed = output.read_text()
        if "CoE is up at" in printed:
            assert "story: complete" in printed, printed + _logs(data)
            return
        assert process.poll() is None, printed + _logs(data)
        time.sleep(0.3)
    raise AssertionError(f"no demo within {START_SECONDS} s:\n{output.read_text()}{_logs(data)}")


def _logs(data: Path) -> str:
    tails = (
        f"\n--- {log.name}\n{log.read_text()[-1500:]}" for log in sorted(data.glob("logs/*.log"))
    )
    return "".join(tails)


@pytest.fixture(scope="package")
def persona(demo: RunningDemo) -> Callable[[str], Persona]:
    return demo.persona
