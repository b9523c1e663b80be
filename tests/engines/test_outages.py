"""Prefect, or our API, goes away for a while: runs wait, and go on by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coe.embedded_postgres import EmbeddedPostgres
from coe.engines.prefect_server import PrefectServer, wait_until_healthy
from coe.human_tasks import actions as human_tasks
from coe.work import Platform
from tests.engines.test_prefect_runs import CALL_LOCAL, FLOW
from tests.factories.counting_service import serving
from tests.factories.people import FINANCE_APPROVER
from tests.factories.prefect import House, Process, server_of, server_process, until
from tests.factories.runs import APPROVAL, HTTP, central, local, open_task, publish, start
from tests.factories.runs import until as until_state


@pytest.fixture
async def own_server(
    postgres: EmbeddedPostgres,
    tmp_path: Path,
) -> AsyncIterator[tuple[PrefectServer, Process]]:
    """A Prefect server of this test, to be killed."""
    await postgres.prepare({"prefect_own": "postgres"})
    server = server_of(postgres, tmp_path, "prefect_own")
    process = server_process(server, tmp_path)
    await process.start()
    await wait_until_healthy(server.api_url)
    yield server, process
    await process.end()


async def test_runs_wait_while_prefect_is_unavailable_and_then_continue(
    own_server: tuple[PrefectServer, Process],
    platform: Platform,
    tmp_path: Path,
) -> None:
    server, process = own_server
    async with serving() as service:
        house = House(platform, server, tmp_path, pool="central-own", resolve=service.resolve)
        try:
            definition = APPROVAL + HTTP.format(name="invoice")
            await publish(platform, central("patient", definition))
            worker = await house.central()
            run = await start(platform, "sales/patient")
            task = await open_task(platform, run.id, seconds=40)
            await process.kill()
            async with platform.work(FINANCE_APPROVER) as work:
                await human_tasks.claim_task(work, task)
            async with platform.work(FINANCE_APPROVER) as work:
                given = {"limit": 5}
                await human_tasks.complete_task(work, task, outcome="approved", answer=given)
            begun_meanwhile = await start(platform, "sales/patient")
            await until(lambda: _says(worker, "has no server"), seconds=30)
            assert service.calls["invoice"] == 0
            await process.start()
            await wait_until_healthy(server.api_url)
            await until_state(platform, run.id, "COMPLETED", seconds=60)
            await open_task(platform, begun_meanwhile.id, seconds=60)
            assert service.calls["invoice"] == 1
            assert worker.alive
            assert worker.log.count("has no server") == 1
        finally:
            await house.end()


async def test_a_teams_worker_waits_for_the_api_and_continues(
    house: House,
    tmp_path: Path,
) -> None:
    flows = tmp_path / "content"
    file = flows / "flows" / "teams" / "warehouse" / "pick.py"
    file.parent.mkdir(parents=True)
    file.write_text(FLOW)
    async with serving() as service:
        house.resolve = service.resolve
        service.held.add("pack")
        await publish(house.platform, local("pick"), "warehouse-developer")
        definition = CALL_LOCAL.format(name="pick", ref="pick")
        await publish(house.platform, central("with-local", definition))
        api = await house.api()
        await house.central()
        worker = await house.team("warehouse", flows, SERVICE_URL=service.url)
        run = await start(house.platform, "sales/with-local")
        await service.called("pack")
        await api.kill()
        service.release()
        await until(lambda: _says(worker, "has no server"), seconds=30)
        await house.api()
        await until_state(house.platform, run.id, "COMPLETED", seconds=60)
        assert service.calls["reserve"] == 1
        assert len([key for name, key in service.keys if name == "pack"]) == 1
        assert worker.alive


async def _says(process: Process, words: str) -> bool:
    return words in process.log
