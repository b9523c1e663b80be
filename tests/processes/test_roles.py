"""Gateway, loops and sealer in processes of their own: what each has, and says of itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from coe.app import create_app
from coe.audit.lease import SealerLease
from coe.db import Database
from coe.errors import CoeError
from coe.processes.ending import on_first_signal
from coe.processes.gateway import create_gateway_app
from coe.processes.loops import run_loops
from coe.processes.sealer import run_sealer
from coe.settings import Settings
from tests.factories.ports import free_port

NOWHERE = "http://127.0.0.1:9/api"
Run = Callable[[Settings], Awaitable[None]]


@asynccontextmanager
async def running(run: Run, settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    """The process in this loop, until SIGTERM."""
    task = asyncio.create_task(_waited(run, settings))
    try:
        yield task
    except BaseException:
        task.cancel()
        raise
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 20)


async def _waited(run: Run, settings: Settings) -> None:
    await run(settings)


async def ready(settings: Settings) -> dict[str, Any]:
    """The answer of `/readyz`, once the process is ready."""
    address = f"http://127.0.0.1:{settings.probe_port}"
    async with asyncio.timeout(30), httpx.AsyncClient(trust_env=False) as client:
        while True:
            with contextlib.suppress(httpx.ConnectError):
                answer = await client.get(f"{address}/readyz")
                if answer.is_success:
                    found: dict[str, Any] = answer.json()
                    return found
            await asyncio.sleep(0.02)


async def test_the_loops_are_ready_without_the_engine_and_end_in_order(settings: Settings) -> None:
    given = {"probe_port": free_port(), "prefect_url": NOWHERE}
    own = settings.model_copy(update=given)
    async with running(run_loops, own):
        found = await ready(own)
        assert found["role"] == "loops"
        assert found["parts"]["engine"]["state"] == "warning"
    with pytest.raises(CoeError, match="COE_PREFECT_URL"):
        await run_loops(settings)


async def test_a_sealer_stands_by_until_the_other_gives_up(settings: Settings) -> None:
    own = settings.model_copy(update={"probe_port": free_port()})
    other = Database(settings.database_url, name="other")
    lease = SealerLease("other")
    async with other.session() as session:
        await lease.state(session)
        assert await lease.take(session)
        await session.commit()
    async with running(run_sealer, own):
        assert (await ready(own))["parts"]["sealer"]["detail"] == "stands by"
        async with other.session() as session:
            await lease.give_up(session)
            await session.commit()
        while not (await ready(own))["parts"]["sealer"]["active"]:
            await asyncio.sleep(0.02)
    async with other.session() as session:
        assert not (await lease.state(session)).taken, "it gave the lease up at its end"
    await other.close()


async def test_the_gateway_has_its_own_paths_alone(settings: Settings) -> None:
    with pytest.raises(CoeError, match="COE_PREFECT_URL"):
        create_gateway_app(settings)
    app = create_gateway_app(settings.model_copy(update={"prefect_url": NOWHERE}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8700"
        ) as client,
    ):
        assert (await client.get("/healthz")).json() == {"status": "alive"}
        body = (await client.get("/readyz")).json()
        assert (body["status"], body["role"]) == ("ready", "gateway")
        assert (await client.post("/graphql", json={"query": "{ me { id } }"})).status_code == 404
        refused = await client.get("/gateway/warehouse/api/health")
        assert refused.status_code == 401
        foreign = await client.get("/gateway/warehouse/api/health", headers={"Host": "x.example"})
        assert foreign.status_code == 421


async def test_an_api_without_its_other_parts_leaves_them_to_others(settings: Settings) -> None:
    apart = {"loops": False, "gateway": False, "prefect_url": NOWHERE}
    app = create_app(settings.model_copy(update=apart))
    services = app.state.services
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8700"
        ) as client,
    ):
        assert {each.get_name() for each in services.tasks} == {
            "audit watch", "engine check", "metrics", "search index"
        }  # fmt: skip
        assert (await client.get("/readyz")).json()["auditSealer"] == "another process"
        assert (await client.get("/gateway/warehouse/api/health")).status_code == 404


async def test_a_second_signal_ends_at_once() -> None:
    begun: list[bool] = []
    before = signal.getsignal(signal.SIGINT)
    with on_first_signal(lambda: begun.append(True)):
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        os.kill(os.getpid(), signal.SIGTERM)
        while not begun:
            await asyncio.sleep(0)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) == before


def test_the_second_signal_ends_the_first_process_of_a_container_too() -> None:
    """The kernel gives such a process no signal that it does not handle."""
    code = (
        "import asyncio, os, signal\n"
        "from coe.processes.ending import on_first_signal\n"
        "async def main():\n"
        "    with on_first_signal(lambda: os.kill(os.getpid(), signal.SIGTERM)):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        await asyncio.sleep(60)\n"
        "os.getpid, pid = lambda: 1, os.getpid()\n"
        "kill, os.kill = os.kill, lambda _, number: kill(pid, number)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert done.returncode == 128 + signal.SIGTERM
