"""The world of the Prefect engine: its server, our API, and workers as separate processes."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from coe.engines.prefect_engine import PrefectEngine
from coe.engines.prefect_server import PrefectServer
from coe.work import Platform
from tests.engines.conformance.worlds import World
from tests.factories.counting_service import serving
from tests.factories.prefect import House, Process, http_to, remove_pools

PACK = """
from prefect import flow
from coe.sdk import local_run

@flow(name="pick-and-pack")
async def pick_and_pack(run_id: str):
    async with local_run(run_id) as run:
        async def pack():
            return run.input["order"]
        run.output = {"parcel": await run.step("pack", pack)}
"""
_numbers = itertools.count()


@dataclass
class CentralWorker:
    """The central worker of the world, and the next one."""

    house: House
    process: Process | None = None

    async def kill(self) -> None:
        if self.process is not None:
            await self.process.kill()

    async def start(self) -> None:
        self.process = await self.house.central()

    async def team(self) -> None:
        """The warehouse's worker, and the API through which it reaches everything."""
        file = self.house.folder / "content" / "flows" / "teams" / "warehouse" / "pick_and_pack.py"
        file.parent.mkdir(parents=True)
        file.write_text(PACK)
        await self.house.api()
        await self.house.team("warehouse", self.house.folder / "content")


@asynccontextmanager
async def prefect(
    platform: Platform,
    request: pytest.FixtureRequest,
) -> AsyncIterator[World]:
    """Everything up, as an installation has it."""
    server: PrefectServer = request.getfixturevalue("prefect")
    folder: Path = request.getfixturevalue("tmp_path")
    async with serving() as service, http_to(server) as http:
        pool = f"conformance-{next(_numbers)}"
        house = House(platform, server, folder, pool=pool, resolve=service.resolve)
        worker = CentralWorker(house)
        try:
            await worker.start()
            engine = PrefectEngine(http, central_pool=pool)
            yield World(platform, engine, service, worker.kill, worker.start, worker.team)
        finally:
            service.release()
            await house.end()
            await remove_pools(server)
