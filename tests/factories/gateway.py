"""The API with its gateway in this process, before a real Prefect server, and two teams."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
import websockets
from fastapi import FastAPI
from sqlalchemy import select
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from coe.audit.models import AuditEvent
from coe.demo.api import create_demo_app
from coe.engines.prefect_engine import PrefectEngine
from coe.engines.prefect_http import PrefectHTTP, basic
from coe.engines.prefect_server import PrefectServer
from coe.execution.engine import LocalFlowRef, RunRef
from coe.settings import Settings
from coe.work import Platform
from tests.factories.ports import free_port
from tests.factories.prefect import issue, until

CANARY = "Wilhelmina Zwicknagel"


@dataclass
class Team:
    """A team of the test: its token, and one flow run in its pool."""

    name: str
    token: str
    run: dict[str, Any]

    @property
    def pool(self) -> str:
        return f"team-{self.name}"


@dataclass
class Gate:
    """The API in this process, and two teams that use it."""

    url: str
    platform: Platform
    warehouse: Team
    finance: Team
    app: FastAPI

    @asynccontextmanager
    async def client(
        self,
        team: Team,
        *,
        gateway_team: str | None = None,
    ) -> AsyncIterator[httpx.AsyncClient]:
        """A client like Prefect's: it fetches its CSRF token first."""
        async with httpx.AsyncClient(
            base_url=f"{self.url}/gateway/{gateway_team or team.name}/api",
            headers={"Authorization": basic(f"{team.name}:{team.token}")},
            trust_env=False,
        ) as client:
            me = str(uuid.uuid4())
            answer = await client.get("/csrf-token", params={"client": me})
            if answer.is_success:
                token = {"Prefect-Csrf-Token": answer.json()["token"], "Prefect-Csrf-Client": me}
                client.headers.update(token)
            yield client

    async def refusals(self) -> list[AuditEvent]:
        async with self.platform.database.session() as session:
            denied = select(AuditEvent).where(AuditEvent.outcome == "DENIED")
            return list((await session.scalars(denied)).all())


async def _team(name: str, platform: Platform, http: PrefectHTTP) -> Team:
    engine = PrefectEngine(http, central_pool="central-gate")
    flow = f"{name}/work"
    await engine.deploy(LocalFlowRef(uuid.uuid4(), flow, "1.0.0", name, "work.py:work"))
    made = await engine.request(RunRef(uuid.uuid4(), f"{flow}@1.0.0", name, local=True))
    token = await issue(platform, f"service:worker/{name}")
    return Team(name, token, await http.get(f"/flow_runs/{made.id}"))


@pytest.fixture
async def gate(
    prefect: PrefectServer,
    http: PrefectHTTP,
    settings: Settings,
    platform: Platform,
) -> AsyncIterator[Gate]:
    port = free_port()
    gateway_settings = settings.model_copy(
        update={
            "prefect_url": prefect.api_url,
            "prefect_auth": Settings(prefect_auth=prefect.auth).prefect_auth,
            "loops": False,
            "port": port,
        },
    )
    app = create_demo_app(gateway_settings)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve())
    await until(lambda: asyncio.sleep(0, server.started))
    yield Gate(
        f"http://127.0.0.1:{port}",
        platform,
        await _team("warehouse", platform, http),
        await _team("finance", platform, http),
        app,
    )
    server.should_exit = True
    await serving


def socket(gate: Gate, team: Team, path: str) -> Any:
    url = f"{gate.url.replace('http', 'ws')}/gateway/{team.name}/api{path}"
    return websockets.connect(url, subprotocols=[websockets.Subprotocol("prefect")], proxy=None)


async def greet(websocket: ClientConnection, token: str) -> str:
    """Authenticate like Prefect's client; return the type of the reply, or the close reason."""
    await websocket.send(json.dumps({"type": "auth", "token": token}))
    try:
        return str(json.loads(await websocket.recv())["type"])
    except ConnectionClosed as closed:
        return closed.rcvd.reason if closed.rcvd else ""


def event(team: Team, *, name: str = "prefect.task-run.Failed", **payload: Any) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "occurred": "2026-11-22T15:00:00Z",
        "event": name,
        "resource": {
            "prefect.resource.id": f"prefect.task-run.{uuid.uuid4()}",
            "prefect.orchestration": "client",
            "prefect.state-message": CANARY,
        },
        "related": [
            {
                "prefect.resource.id": f"prefect.flow-run.{team.run['id']}",
                "prefect.resource.role": "flow-run",
            },
        ],
        "payload": {
            "task_run": {"name": "reserve", "task_key": "k", "dynamic_key": "d"} | payload,
            "validated_state": {"type": "FAILED", "name": "Failed", "message": CANARY},
        },
    }
