"""The documents say what is so: their links lead somewhere, their commands are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from coe.cli.main import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#]+)")
COMMAND = re.compile(r"(?:^|[ `/])coe ([a-z]+)(?: ([a-z]+(?:-[a-z]+)*))?", re.MULTILINE)
TARGET = re.compile(r"`make ([a-z-]+)`")
CODE = re.compile(r"```.*?```|`[^`]+`", re.DOTALL)
OF_THE_DEMO = {"demo-api", "demo-company"}
"""Processes that `coe demo` starts; nobody types them."""
TOP_LEVEL = {
    "AGENTS.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "benchmarks",
    "catalog",
    "coe",
    "compose.yaml",
    "docs",
    "flows",
    "helm",
    "mkdocs.yml",
    "policies",
    "pyproject.toml",
    "requirements-docs.lock",
    "requirements.lock",
    "requirements-node.lock",
    "templates",
    "tests",
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text()):
        assert (document.parent / target.strip()).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_targets_exist(document: Path) -> None:
    text = document.read_text()
    code = "\n".join(CODE.findall(text))
    for noun, verb in COMMAND.findall(code):
        assert noun in COMMANDS, f"coe {noun}"
        command = cli.get_command(None, noun)  # type: ignore[arg-type]
        verbs = getattr(command, "commands", None)
        if verbs and verb:
            assert verb in verbs, f"coe {noun} {verb}"
    makefile = (ROOT / "Makefile").read_text()
    for target in TARGET.findall(text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


def test_the_page_of_the_command_line_has_every_command() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    for noun in sorted(set(COMMANDS) - OF_THE_DEMO):
        command = cli.get_command(None, noun)  # type: ignore[arg-type]
        for verb in getattr(command, "commands", [""]):
            assert f"`coe {noun} {verb}".rstrip() in page, f"coe {noun} {verb}"


def test_the_top_level_holds_what_it_should() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    top = {path.split("/")[0] for path in tracked}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL
    assert "uv.lock" not in top


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs" / "adr").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize(
    "record", sorted((ROOT / "docs" / "adr").glob("*.md")), ids=lambda p: p.name
)
def test_a_decision_says_its_status_and_date(record: Path) -> None:
    number, status = int(record.name[:4]), r"(accepted|superseded by ADR \d+)"
    heading = rf"# {number}\. .+\n\nStatus: {status}\. Date: 20\d\d-\d\d-\d\d\.\n\n"
    assert re.match(heading, record.read_text())


def test_the_lock_names_no_host() -> None:
    assert "://" not in (ROOT / "requirements.lock").read_text()
    assert sys.version_info >= (3, 11)
