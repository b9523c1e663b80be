"""Runs on a real Prefect server: our API, the central worker and teams' workers are processes."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from coe.engines.prefect_http import PrefectHTTP
from coe.human_tasks import actions as human_tasks
from coe.runs.records import RunRecord
from tests.factories.counting_service import Service, serving
from tests.factories.people import FINANCE_APPROVER
from tests.factories.prefect import House, http_to, until
from tests.factories.runs import (
    APPROVAL,
    CANARY,
    HTTP,
    central,
    local,
    open_task,
    publish,
    read_run,
    start,
)
from tests.factories.runs import until as until_state

CALL_LOCAL = """  - {name}:
      call: localFlow:1@default
      with:
        ref: warehouse/{ref}@^1
        input: '${{ {{order: .customer}} }}'
      timeout: {{after: PT1H}}
"""
FLOW = """
import os
import httpx
from prefect import flow
from coe.sdk import local_run

async def call(name, key):
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.post(
            f"{os.environ['SERVICE_URL']}/{name}", headers={"Idempotency-Key": key}
        )
        answer.raise_for_status()
        return answer.json()

@flow(name="pick")
async def pick(run_id: str):
    async with local_run(run_id) as run:
        await run.step("reserve", lambda: call("reserve", run.key("reserve")))
        packed = await run.step("pack", lambda: call("pack", run.key("pack")))
        run.output = {"parcel": packed["name"], "for": run.input["order"]}
"""


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving() as service:
        yield service


@pytest.fixture
async def flows(tmp_path: Path) -> Path:
    """The folder of the warehouse's worker."""
    file = tmp_path / "content" / "flows" / "teams" / "warehouse" / "pick.py"
    file.parent.mkdir(parents=True)
    file.write_text(FLOW)
    return tmp_path / "content"


async def flow_run(http: PrefectHTTP, run: RunRecord) -> dict[str, Any]:
    assert run.engine_run_id is not None
    found: dict[str, Any] = await http.get(f"/flow_runs/{run.engine_run_id}")
    return found


async def state_becomes(house: House, run_id: UUID, *kinds: str) -> dict[str, Any]:
    """Wait until Prefect has the run in one of the states (type or name)."""
    found: dict[str, Any] = {}
    async with http_to(house.server) as http:

        async def there() -> bool:
            nonlocal found
            run = await read_run(house.platform, run_id)
            found = await flow_run(http, run) if run.engine_run_id else {}
            return bool(found) and bool({found["state"]["type"], found["state"]["name"]} & {*kinds})

        await until(there, seconds=30)
    return found


async def rows_with(url: str, text: str) -> list[str]:
    """The tables of a database with a row in which the text stands."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
        return [
            table
            for (table,) in tables
            if await connection.fetchval(
                f'SELECT 1 FROM "{table}" AS t WHERE t::text LIKE $1 LIMIT 1',
                f"%{text}%",
            )
        ]
    finally:
        await connection.close()


async def test_a_run_parks_while_people_decide_and_continues_in_the_same_flow_run(
    house: House,
    service: Service,
) -> None:
    house.resolve = service.resolve
    definition = HTTP.format(name="book") + APPROVAL + HTTP.format(name="invoice")
    await publish(house.platform, central("order", definition))
    worker = await house.central()
    run = await start(house.platform, "sales/order")
    task = await open_task(house.platform, run.id, seconds=40)
    parked = await state_becomes(house, run.id, "Suspended")
    async with house.platform.work(FINANCE_APPROVER) as work:
        await human_tasks.claim_task(work, task)
    async with house.platform.work(FINANCE_APPROVER) as work:
        await human_tasks.complete_task(work, task, outcome="approved", answer={"limit": 5})
    done = await until_state(house.platform, run.id, "COMPLETED")
    ended = await state_becomes(house, run.id, "COMPLETED")
    assert ended["id"] == parked["id"] == done.engine_run_id
    assert ended["parameters"] == {"run_id": str(run.id)}
    assert service.calls == {"book": 1, "invoice": 1}
    assert await rows_with(house.server.database_url, CANARY) == []
    assert await rows_with(house.server.database_url, str(run.id)) != []
    assert CANARY not in worker.log


async def test_a_timer_gives_the_process_back_and_brings_the_run_back(
    house: House,
    service: Service,
) -> None:
    house.resolve = service.resolve
    pause = "  - rest:\n      wait: {seconds: 4}\n"
    definition = HTTP.format(name="before") + pause + HTTP.format(name="after")
    await publish(house.platform, central("timed", definition))
    await house.central()
    run = await start(house.platform, "sales/timed")
    await state_becomes(house, run.id, "Suspended")
    assert service.calls["after"] == 0
    await until_state(house.platform, run.id, "COMPLETED", seconds=20)
    assert service.calls == {"before": 1, "after": 1}


async def test_what_a_leaf_answered_does_not_reach_prefect_when_it_faults(
    house: House,
    service: Service,
) -> None:
    house.resolve = service.resolve
    service.failing.add("book")
    await publish(house.platform, central("faulty", HTTP.format(name="book")))
    worker = await house.central()
    run = await start(house.platform, "sales/faulty")
    await until_state(house.platform, run.id, "FAULTED", seconds=40)
    failed = await state_becomes(house, run.id, "FAILED")
    assert str(run.id) in failed["state"]["message"]
    assert await rows_with(house.server.database_url, CANARY) == []
    assert CANARY not in worker.log


async def test_a_killed_worker_loses_nothing_and_repeats_nothing(
    house: House,
    service: Service,
) -> None:
    house.resolve = service.resolve
    service.held.add("invoice")
    definition = HTTP.format(name="book") + HTTP.format(name="invoice") + HTTP.format(name="ship")
    await publish(house.platform, central("crash", definition))
    worker = await house.central()
    run = await start(house.platform, "sales/crash")
    await service.called("invoice")
    await worker.kill()
    service.release()
    await house.central()
    done = await until_state(house.platform, run.id, "COMPLETED", seconds=60)
    assert service.calls == {"book": 1, "invoice": 2, "ship": 1}
    assert len([key for name, key in service.keys if name == "invoice"]) == 1
    ended = await state_becomes(house, run.id, "COMPLETED")
    assert ended["id"] == done.engine_run_id
    assert ended["run_count"] > 1


async def test_a_worker_that_is_stopped_hands_its_runs_to_another(
    house: House,
    service: Service,
) -> None:
    house.resolve = service.resolve
    service.held.add("invoice")
    definition = HTTP.format(name="book") + HTTP.format(name="invoice")
    await publish(house.platform, central("moved", definition))
    first = await house.central()
    run = await start(house.platform, "sales/moved")
    await service.called("invoice")
    await house.central()
    assert await first.end(signal.SIGTERM) == 0
    service.release()
    await until_state(house.platform, run.id, "COMPLETED", seconds=20)
    assert service.calls == {"book": 1, "invoice": 2}


async def test_a_teams_worker_runs_its_flow_and_a_kill_repeats_no_completed_step(
    house: House,
    service: Service,
    flows: Path,
) -> None:
    house.resolve = service.resolve
    service.held.add("pack")
    await publish(house.platform, local("pick"), "warehouse-developer")
    definition = CALL_LOCAL.format(name="pick", ref="pick") + HTTP.format(name="invoice")
    await publish(house.platform, central("with-local", definition))
    await house.api()
    await house.central()
    worker = await house.team("warehouse", flows, SERVICE_URL=service.url)
    run = await start(house.platform, "sales/with-local")
    await service.called("pack")
    await worker.kill()
    service.release()
    again = await house.team("warehouse", flows, SERVICE_URL=service.url)
    await until_state(house.platform, run.id, "COMPLETED", seconds=60)
    assert service.calls == {"reserve": 1, "pack": 2, "invoice": 1}
    assert len([key for name, key in service.keys if name == "pack"]) == 1
    assert await rows_with(house.server.database_url, CANARY) == []
    for process in house.processes:
        assert CANARY not in process.log, process.name
    assert await again.end(signal.SIGTERM) == 0


async def test_a_worker_carries_no_more_than_its_limit(house: House, service: Service) -> None:
    house.resolve, house.limit = service.resolve, 1
    service.held.add("book")
    await publish(house.platform, central("one-by-one", HTTP.format(name="book")))
    await house.central()
    runs = [await start(house.platform, "sales/one-by-one") for _ in range(2)]
    await service.called("book")
    async with http_to(house.server) as http:
        waiting = {"state": {"type": {"any_": ["SCHEDULED"]}}}

        async def one_waits() -> bool:
            found = await http.post("/flow_runs/filter", {"flow_runs": waiting})
            names = {str(run.id) for run in runs}
            return len([each for each in found if each["parameters"]["run_id"] in names]) == 1

        await until(one_waits)
    assert service.calls["book"] == 1
    service.release()
    for run in runs:
        await until_state(house.platform, run.id, "COMPLETED", seconds=30)
