"""A team with a run of its local flow that waits for a worker, and a client with its token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from coe.access.actor import Actor
from coe.demo.api import create_demo_app
from coe.runs import actions, queries
from coe.runs.disclosure import read_run_data
from coe.runs.records import RunData, RunRecord
from coe.sdk import Client
from coe.settings import Settings
from coe.work import Platform
from tests.factories.people import WAREHOUSE_DEVELOPER
from tests.factories.prefect import issue
from tests.factories.runs import CANARY, local, publish

CLIENTS: list[Client] = []
"""The client of the team that was made last, for flows in files."""


@dataclass
class Team:
    """The warehouse, with a run of its flow that waits for a worker."""

    platform: Platform
    client: Client
    run: RunRecord

    @property
    def id(self) -> str:
        return str(self.run.id)

    async def now(self) -> RunRecord:
        async with self.platform.read(WAREHOUSE_DEVELOPER) as read:
            found = await queries.run(read, self.run.id)
        assert found is not None
        return found

    async def data(self) -> RunData:
        async with self.platform.work(Actor.of("warehouse-lead")) as work:
            return (await read_run_data(work, [self.run.id]))[self.run.id]

    async def steps(self) -> dict[str, str]:
        async with self.platform.read(WAREHOUSE_DEVELOPER) as read:
            rows = await queries.steps_of_runs(read, [self.run.id])
        return {row.name: row.state.value for row in rows.get(self.run.id, ())}


@asynccontextmanager
async def warehouse_team(settings: Settings, platform: Platform) -> AsyncIterator[Team]:
    """The warehouse with a run of `warehouse/pick`; the API is called in this process."""
    quick = settings.model_copy(update={"heartbeat_seconds": 0.05, "loops": False})
    app = create_demo_app(quick)
    await publish(platform, local("pick"), "warehouse-developer")
    async with platform.work(WAREHOUSE_DEVELOPER) as work:
        run = await actions.start_run(work, flow="warehouse/pick", input={"order": CANARY})
    token = await issue(platform, "service:worker/warehouse")
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 5))
        async with Client("http://127.0.0.1:8700", token, transport=transport) as client:
            CLIENTS[:] = [client]
            yield Team(platform, client, run)
