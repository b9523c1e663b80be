"""A team's files as flows: found, loaded again when changed, without data for Prefect."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.exceptions import Abort

from coe.engines import team_flows
from coe.engines.entrypoints import FlowBroken
from coe.engines.team_flows import TeamFlows
from coe.runs import actions
from coe.runs.error_reasons import public_title
from coe.sdk import LocalRunFailed
from coe.settings import Settings
from coe.work import Platform
from tests.factories.local_team import Team, warehouse_team
from tests.factories.people import WAREHOUSE_DEVELOPER

CANARY = "Wilhelmina Zwicknagel"
FLOW = """
from prefect import flow
from coe.sdk import RunNotOurs
from coe.sdk.local_run import EXECUTION

@flow(retries=3)
async def work(run_id: str):
    {body}
"""
HELD = "EXECUTION.get()[run_id] = 'held'; "
RUN = "01a20407-dda7-71bd-ba70-6117b26d02ec"
GOOD = """
from prefect import flow
from coe.sdk import local_run
from tests.factories.local_team import CLIENTS

@flow
async def work(run_id: str):
    async with local_run(run_id, client=CLIENTS[0]) as run:
        run.output = {"parcel": 1}
"""
BROKEN = {
    "there is no file work.py in the folder of flows": None,
    "SyntaxError": "def work(:",
    "ValueError: at import (line 2)": "\nraise ValueError('at import')",
    "ModuleNotFoundError: No module named 'wms_client' (line 1)": "import wms_client",
    "ends the process when it is imported": "import sys\nsys.exit(3)",
    "has no function `work`, did you mean `works`?": "async def works(run_id): ...",
    "is of the type int, not a flow": "work = 1",
    "is a function, not a flow": "async def work(run_id): ...",
    "is not async": "from prefect import flow\n@flow\ndef work(run_id: str): ...",
    "has `run_id`, `customer`": (
        "from prefect import flow\n@flow\nasync def work(run_id: str, customer: str): ..."
    ),
    "has no parameter": "from prefect import flow\n@flow\nasync def work(): ...",
}
"""What the message says, and the text of the file."""


@pytest.fixture
async def team(settings: Settings, platform: Platform) -> AsyncIterator[Team]:
    async with warehouse_team(settings, platform) as made:
        yield made


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
    write(tmp_path, HELD + f"return {CANARY!r}")
    flow = await flows.load("work.py:work")
    assert await flow.fn(RUN) is None
    assert flow.retries == 0
    write(tmp_path, HELD + f"raise ValueError({CANARY!r})")
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
    with pytest.raises(FlowBroken):
        await TeamFlows(inside).load_once(entrypoint)


@pytest.mark.parametrize(("said", "text"), BROKEN.items(), ids=BROKEN)
async def test_what_is_wrong_with_a_file_is_said_in_a_sentence(
    tmp_path: Path, said: str, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "work.py").write_text(text)
    with pytest.raises(FlowBroken) as caught:
        await TeamFlows(tmp_path).load_once("work.py:work")
    assert said in caught.value.message
    assert public_title(caught.value.title)
    assert "work.py" in caught.value.message


async def test_a_file_that_hangs_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hangs.py").write_text("import time\ntime.sleep(5)")
    write(tmp_path, "return 1")
    flows = TeamFlows(tmp_path)
    monkeypatch.setattr(team_flows, "LOAD_SECONDS", 1.0)
    hanging = asyncio.create_task(flows.load_once("hangs.py:work"))
    await asyncio.sleep(0)
    await flows.load_once("work.py:work")
    assert not hanging.done()
    with pytest.raises(FlowBroken, match="still being imported"):
        await hanging


async def test_the_run_of_a_broken_flow_faults_after_bounded_tries(
    team: Team, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flows = TeamFlows(tmp_path, pauses=(0.01, 0.02), client=team.client)
    broken = await flows.load("work.py:work")
    with pytest.raises(LocalRunFailed):
        await broken.fn(team.id)
    now, error = await team.now(), (await team.data()).error
    assert now.error is not None
    assert (now.state, now.error.type[-14:], now.error.status) == (
        "FAULTED",
        "/configuration",
        400,
    )
    assert now.error.reason == "The local flow cannot be loaded: its file is not there."
    assert error is not None
    assert error.detail == (
        "There is no file work.py in the folder of flows. "
        "The worker tried 3 times to load work.py:work."
    )
    with pytest.raises(Abort):
        await broken.fn(team.id)


async def test_a_file_that_arrives_meanwhile_is_run_in_the_same_attempt(
    team: Team, tmp_path: Path
) -> None:
    flows = TeamFlows(tmp_path, pauses=(0.01, 0.2, 0.5, 2, 4), client=team.client)
    waiting = await flows.load("work.py:work")
    execution = asyncio.create_task(waiting.fn(team.id))
    async with asyncio.timeout(10):
        while (await team.now()).state != "RUNNING":
            await asyncio.sleep(0.01)
    (tmp_path / "arrives.py").write_text(GOOD)
    (tmp_path / "arrives.py").replace(tmp_path / "work.py")
    await execution
    now = await team.now()
    assert (now.state, now.attempt) == ("COMPLETED", 1)


async def test_cancelling_a_run_stops_the_tries(team: Team, tmp_path: Path) -> None:
    flows = TeamFlows(tmp_path, pauses=(30.0,), client=team.client)
    execution = asyncio.create_task((await flows.load("work.py:work")).fn(team.id))
    async with asyncio.timeout(10):
        while (await team.now()).state != "RUNNING":
            await asyncio.sleep(0.01)
        async with team.platform.work(WAREHOUSE_DEVELOPER) as work:
            await actions.cancel_run(work, UUID(team.id), reason="it is broken")
        with pytest.raises(Abort):
            await execution
    assert (await team.now()).state == "CANCELLED"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("pass", "Its function ended, but did nothing in `async with local_run(run_id)`."),
        ("{}['WMS_URL']", "Before it claimed its run: KeyError: 'WMS_URL'"),
    ],
)
async def test_a_run_that_its_flow_never_claims_faults(
    team: Team, tmp_path: Path, body: str, detail: str
) -> None:
    write(tmp_path, body)
    loaded = await TeamFlows(tmp_path, client=team.client).load("work.py:work")
    with pytest.raises(LocalRunFailed):
        await loaded.fn(team.id)
    assert (await team.now()).state == "FAULTED"
    error = (await team.data()).error
    assert error is not None
    assert error.detail == detail
