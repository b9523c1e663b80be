"""A real worker of a team: flows that cannot start, and a stop in the midst of a run."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from coe.access.actor import Actor
from coe.db import utcnow
from coe.runs import actions
from coe.runs.worker_presence import workers_of_teams
from tests.factories.counting_service import Service, serving
from tests.factories.people import WAREHOUSE_DEVELOPER
from tests.factories.prefect import House, until
from tests.factories.runs import column, local, publish, read_run
from tests.factories.runs import until as until_state

FLOW = """
import os
import httpx
from prefect import flow
from coe.sdk import local_run

@flow
async def pick(run_id: str):
    async with local_run(run_id) as run:
        async def pack():
            async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
                await client.post(os.environ["SERVICE_URL"] + "/pack")
        await run.step("pack", pack)
        run.output = {"parcel": 1}
"""


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving() as service:
        yield service


async def _start(house: House) -> UUID:
    async with house.platform.work(WAREHOUSE_DEVELOPER) as work:
        return (await actions.start_run(work, flow="warehouse/pick", input={"order": 7})).id


async def test_a_worker_waits_for_a_file_notices_a_cancellation_and_hands_over(
    house: House, service: Service, tmp_path: Path
) -> None:
    await publish(house.platform, local("pick"), "warehouse-developer")
    await house.api()
    worker = await house.team("warehouse", tmp_path / "flows", SERVICE_URL=service.url)
    # The file is not there: the worker has the run, tries again, and notices the cancellation.
    cancelled = await _start(house)
    await until_state(house.platform, cancelled, "RUNNING", seconds=40)
    async with house.platform.work(Actor.of("warehouse-lead")) as work:
        await actions.cancel_run(work, cancelled, reason="its file is missing")
    async with house.platform.read(WAREHOUSE_DEVELOPER) as read:
        seen = (await workers_of_teams(read, ["warehouse"]))["warehouse"]
    assert (utcnow() - seen).total_seconds() < 60
    # The file arrives: the run goes on in the same attempt.
    service.held.add("pack")
    run_id = await _start(house)
    await until_state(house.platform, run_id, "RUNNING", seconds=20)
    file = tmp_path / "flows" / "flows" / "teams" / "warehouse" / "pick.py"
    file.parent.mkdir(parents=True)
    file.write_text(FLOW)
    await service.called("pack")
    assert (await read_run(house.platform, run_id)).attempt == 1
    # SIGTERM: the run is given up, not left to its lease.
    asked = asyncio.create_task(worker.end(signal.SIGTERM))
    await until(lambda: _is_free(house, run_id))
    assert await asked == 0
    service.release()
    assert (await read_run(house.platform, cancelled)).state == "CANCELLED"
    assert worker.log.count("pick.py:pick cannot be loaded") == 2


async def _is_free(house: House, run_id: UUID) -> bool:
    return await column(house.platform, run_id, "holder") is None
