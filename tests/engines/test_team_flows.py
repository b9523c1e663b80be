"""A team's files as flows: found, loaded again when changed, without data for Prefect."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prefect.exceptions import Abort

from coe.engines.team_flows import FlowBroken, TeamFlows
from coe.errors import NotFound
from coe.sdk import LocalRunFailed

CANARY = "Wilhelmina Zwicknagel"
FLOW = """
from prefect import flow
from coe.sdk import RunNotOurs

@flow(retries=3)
async def work(run_id: str):
    {body}
"""
RUN = "01a20407-dda7-71bd-ba70-6117b26d02ec"


def write(folder: Path, body: str, name: str = "work.py") -> None:
    (folder / name).write_text(FLOW.format(body=body))


async def test_a_flow_is_loaded_once_and_again_when_its_file_changes(tmp_path: Path) -> None:
    write(tmp_path, "return 1")
    flows = TeamFlows(tmp_path)
    first = await flows.load("work.py:work")
    assert await flows.load("work.py:work") is first
    write(tmp_path, "return 12345")
    os.utime(tmp_path / "work.py", (1, 1))
    assert await flows.load("work.py:work") is not first


async def test_what_a_flow_returns_or_raises_stays_here(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    flows = TeamFlows(tmp_path)
    write(tmp_path, f"return {CANARY!r}")
    flow = await flows.load("work.py:work")
    assert await flow.fn(RUN) is None
    assert flow.retries == 0
    write(tmp_path, f"raise ValueError({CANARY!r})")
    with pytest.raises(LocalRunFailed) as caught:
        await (await flows.load("work.py:work")).fn(RUN)
    assert CANARY not in str(caught.value)
    assert caught.value.__suppress_context__
    assert RUN in caplog.text


async def test_a_run_that_is_not_ours_leaves_its_state_alone(tmp_path: Path) -> None:
    write(tmp_path, "raise RunNotOurs")
    with pytest.raises(Abort):
        await (await TeamFlows(tmp_path).load("work.py:work")).fn(RUN)


@pytest.mark.parametrize("entrypoint", ["gone.py:work", "../work.py:work", "/etc/passwd:work", ""])
async def test_nothing_outside_of_the_folder_is_loaded(tmp_path: Path, entrypoint: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    write(tmp_path, "return 1")
    with pytest.raises(NotFound):
        await TeamFlows(inside).load(entrypoint)


@pytest.mark.parametrize(
    "text",
    [
        "def work(:",
        "raise ValueError('at import')",
        "work = 1",
        "from prefect import flow\n@flow\ndef work(run_id: str): ...",
        "from prefect import flow\n@flow\nasync def work(run_id: str, customer: str): ...",
    ],
)
async def test_a_file_that_holds_no_such_flow_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(FlowBroken) as caught:
        await TeamFlows(tmp_path).load("broken.py:work")
    assert "broken.py" in caught.value.message
