"""The Dockerfile and compose.yaml as texts: what is not to be lost, whoever changes them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from coe.cli.main import COMMANDS
from coe.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
LINES = DOCKERFILE.replace("\\\n", " ")
RUNTIME = DOCKERFILE.rpartition("\nFROM ")[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = {name: each for name, each in COMPOSE["services"].items() if name != "postgres"}


def test_every_package_of_the_image_is_fetched_by_its_hash() -> None:
    commands = re.findall(r"pip (?:--python \S+ )?(?:download|install|wheel)[^&\n]*", LINES)
    assert len(commands) == 5
    for each in commands:
        alone = "--no-deps --no-build-isolation" in each or "--no-index" in each
        assert "--require-hashes" in each or alone, each
        assert "--only-binary :all:" in each or alone, each
    assert "apt-get" not in DOCKERFILE


def test_no_registry_and_no_moving_version_of_the_base() -> None:
    assert "ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm\n" in DOCKERFILE
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    assert "index-url" not in DOCKERFILE


def test_the_image_runs_as_a_user_with_a_number_and_has_no_pip() -> None:
    assert "USER 10001:10001" in RUNTIME
    assert "venv --without-pip /opt/coe" in DOCKERFILE
    assert '"-I", "-m", "coe.cli.main"' in RUNTIME


def test_the_image_is_built_of_all_that_git_has_of_the_code() -> None:
    kept = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    top = {path.split("/")[0] for path in _tracked()}
    away = {name for name in top - set(kept) if not name.startswith(".")}
    assert away == {
        "AGENTS.md", "CHANGELOG.md", "CONTRIBUTING.md", "Dockerfile", "Makefile", "SECURITY.md",
        "benchmarks", "compose.yaml", "helm", "tests",
    }  # fmt: skip


def _tracked() -> list[str]:
    command = ["git", "ls-files"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("name", OURS)
def test_a_service_on_one_machine_is_confined(name: str) -> None:
    service = OURS[name]
    assert service["image"] == "coe"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    known = {f"COE_{field.upper()}" for field in Settings.model_fields}
    assert {key for key in service["environment"] if key.startswith("COE_")} <= known
    if "entrypoint" not in service:
        assert service["command"][0] in COMMANDS
    for waited, how in service["depends_on"].items():
        once = COMPOSE["services"][waited]["restart"] == "no"
        assert how["condition"] == ("service_completed_successfully" if once else "service_healthy")


def test_only_the_api_is_reached_and_only_from_this_machine() -> None:
    ports = [port for each in COMPOSE["services"].values() for port in each.get("ports", [])]
    assert ports == ["127.0.0.1:8700:8700"]
    assert "listen_addresses=" in COMPOSE["services"]["postgres"]["command"]
