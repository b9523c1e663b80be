"""The entrypoint of a local flow is tried before it is registered, where its code is at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coe.cli.api_client import ApiClient
from tests.cli.commands import run
from tests.factories.runs import local

GOOD = "from prefect import flow\n@flow\nasync def {name}(run_id: str): print('at work')\n"
FILES = {
    "crashes": "import os\nos._exit(7)",
    "exits": "import sys\nsys.exit(2)",
    "fails": "\n1 / 0",
    "good": GOOD.format(name="good"),
    "misspelt": GOOD.format(name="mispelt"),
    "missing": None,
    "plain": "async def plain(run_id): ...",
}
SAID = {
    "crashes": "the file ends the process when it is imported (exit code 7)",
    "exits": "exits.py ends the process when it is imported (line 2)",
    "fails": "fails.py cannot be imported: ZeroDivisionError: division by zero (line 2)",
    "misspelt": "misspelt.py has no function `misspelt`, did you mean `mispelt`?",
    "missing": "there is no file flows/teams/warehouse/missing.py in the folder of flows",
    "plain": "`plain` in plain.py is a function, not a flow: write an `async def` under `@flow`",
}


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """The folder of a team's flows, each with its manifest beside it."""
    folder = tmp_path / "content" / "flows" / "teams" / "warehouse"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / f"{name}.yaml").write_text(local(name))
        if text is not None:
            (folder / f"{name}.py").write_text(text)
    return folder


def test_check_tries_each_entrypoint_and_locates_what_is_wrong(team: Path) -> None:
    done = run("flow", "check", str(team), "--output", "json")
    listed = [each for each in json.loads(done.stdout) if each["code"] == "INPUT_ENTRYPOINT"]
    found = {Path(each["file"]).stem: each for each in listed}
    assert done.exit_code == 1
    assert set(found) == set(SAID)
    for name, said in SAID.items():
        each = found[name]
        assert each["message"].startswith(said), each["message"]
        assert (each["path"], each["severity"], each["line"]) == ("/entrypoint", "ERROR", 11)
        assert str(team.parents[2]) in each["help"]


def test_without_the_code_it_is_a_note_and_a_folder_can_be_named(
    team: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone.yaml"
    alone.write_text(local("plain"))
    done = run("flow", "check", str(alone))
    assert done.exit_code == 0
    assert "info INPUT_ENTRYPOINT" in done.stdout
    assert "--flows-dir" in done.stdout
    named = run("flow", "check", str(alone), "--flows-dir", str(team.parents[2]))
    assert named.exit_code == 1
    assert "not a flow" in named.stdout
    assert run("flow", "check", str(team), "--no-import").exit_code == 0


def test_register_saves_nothing_that_cannot_start(
    team: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    version = {"ref": "warehouse/plain@1.0.0", "lifecycle": "DRAFT", "digest": "d"}

    def call(_: ApiClient, query: str, variables: Any = None) -> dict[str, Any]:
        sent.append(variables)
        return {"registerFlow": {"version": version, "flow": {}, "problems": []}}

    monkeypatch.setattr(ApiClient, "call", call)
    refused = run("flow", "register", str(team / "plain.yaml"), "--token", "x")
    assert (refused.exit_code, sent) == (1, [])
    assert "plain.yaml:11:13: error INPUT_ENTRYPOINT" in refused.stderr
    forced = run("flow", "register", str(team / "plain.yaml"), "--token", "x", "--no-import")
    assert (forced.exit_code, len(sent)) == (0, 1)
    good = run("flow", "register", str(team / "good.yaml"), "--token", "x")
    assert (good.exit_code, len(sent)) == (0, 2)
    assert "at work" not in good.output
