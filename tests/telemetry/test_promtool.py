"""The alerts as Prometheus itself evaluates them over time: when they fire, and when not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.factories.debian import unpacked

ROOT = Path(__file__).resolve().parents[2]
RULES = sorted((ROOT / "helm" / "coe" / "files" / "rules").glob("*.yaml"))
CASES = sorted((Path(__file__).parent / "rules").glob("*.yaml"))

pytestmark = pytest.mark.more


@pytest.fixture(scope="module")
def promtool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of Debian's Prometheus that tests rules."""
    return (
        unpacked("prometheus", tmp_path_factory.mktemp("prometheus")) / "usr" / "bin" / "promtool"
    )


def _told(*command: object) -> str:
    done = subprocess.run(
        [str(each) for each in command], capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def test_prometheus_accepts_the_rules(promtool: Path) -> None:
    assert "SUCCESS" in _told(promtool, "check", "rules", *RULES)


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_the_alerts_fire_when_they_should_and_only_then(promtool: Path, cases: Path) -> None:
    assert "SUCCESS" in _told(promtool, "test", "rules", cases)


def test_a_case_that_is_wrong_fails(promtool: Path, tmp_path: Path) -> None:
    text = (CASES[0]).read_text().replace("../../../helm", str(ROOT / "helm"))
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace("value: 1", "value: 2", 1))
    with pytest.raises(AssertionError, match="FAILED"):
        _told(promtool, "test", "rules", wrong)
