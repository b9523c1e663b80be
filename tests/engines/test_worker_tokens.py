"""A real worker of a team outlives its access tokens: they are good for two seconds here.

The API serves TLS with a certificate of an authority that only `COE_CA_FILE` names.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

from sqlalchemy import select, update

from coe.access.actor import Actor
from coe.access.machine_models import WorkerKey
from coe.db import utcnow
from coe.runs import actions
from coe.runs.disclosure import read_run_data
from tests.factories.counting_service import serving
from tests.factories.people import WAREHOUSE_DEVELOPER
from tests.factories.prefect import House, Process, until
from tests.factories.runs import local, publish
from tests.factories.runs import until as until_state

TOKEN_SECONDS = 2
FLOW = """
import asyncio, os, subprocess, sys
import httpx
from prefect import flow
from coe.sdk import local_run

ASK = (
    "import asyncio, os; from coe.sdk import Client\\n"
    "async def ask():\\n"
    "    async with Client(os.environ['COE_URL'], os.environ['COE_TOKEN']) as client:\\n"
    "        print((await client.execute('{ me { subject } }'))['me']['subject'])\\n"
    "asyncio.run(ask())"
)

@flow
async def pick(run_id: str):
    async with local_run(run_id) as run:
        async def pack():
            async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
                await client.post(os.environ["SERVICE_URL"] + "/pack")
        await run.step("pack", pack)
        # a process of the flow, which blocks this loop meanwhile
        said = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True)
        run.output = {"parcel": said.stdout.strip() or said.stderr}
"""


async def _start(house: House) -> UUID:
    async with house.platform.work(WAREHOUSE_DEVELOPER) as work:
        return (await actions.start_run(work, flow="warehouse/pick", input={"order": 7})).id


async def test_a_worker_renews_its_tokens_and_ends_with_its_key(
    house: House, tmp_path: Path
) -> None:
    file = tmp_path / "flows" / "flows" / "teams" / "warehouse" / "pick.py"
    file.parent.mkdir(parents=True)
    file.write_text(FLOW)
    await publish(house.platform, local("pick"), "warehouse-developer")
    house.over_tls()
    house.more |= {"COE_ACCESS_TOKEN_SECONDS": str(TOKEN_SECONDS)}
    async with serving() as service:
        await house.api()
        worker = await house.team("warehouse", tmp_path / "flows", SERVICE_URL=service.url)
        service.held.add("pack")
        run = await _start(house)
        await service.called("pack")
        await asyncio.sleep(2.5 * TOKEN_SECONDS)  # every token of the start has expired
        service.release()
        await until_state(house.platform, run, "COMPLETED", seconds=40)
        assert await _output(house, run) == {"parcel": "service:worker/warehouse"}
        await until_state(house.platform, await _start(house), "COMPLETED", seconds=40)
        assert "has no server" not in worker.log
        async with house.platform.database.session() as session:
            keys = (await session.scalars(select(WorkerKey))).all()
            await session.execute(update(WorkerKey).values(revoked_at=utcnow()))
            await session.commit()
        assert len(keys) == 1
        await until(lambda: _says(worker, "the platform refuses this worker"), seconds=40)
        await until(lambda: _says(worker, "was its key revoked?"), seconds=40)
        assert worker.alive


async def _says(worker: Process, text: str) -> bool:
    return text in worker.log


async def _output(house: House, run: UUID) -> object:
    async with house.platform.work(Actor.of("warehouse-lead")) as work:
        return (await read_run_data(work, [run]))[run].output
