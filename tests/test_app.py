"""The process of the API: it answers early, reports the engine's state, and stops in order."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
from sqlalchemy import text

from coe.app import Services
from coe.demo.api import create_demo_app
from coe.errors import Unavailable
from coe.execution.engine import Engine, EngineHealth, EngineRun, LocalFlowRef, RunRef
from coe.settings import Settings
from tests.factories.api import Api, Persona
from tests.factories.api_story import publish_welcome
from tests.factories.servers import listening

ENGINE = "{ engine { name state detail queued } }"


class SwitchedEngine:
    """An engine that the test switches on and off, and that runs nothing."""

    name = "switched"

    def __init__(self) -> None:
        self.up = False
        self.closed = False
        self.requested: list[RunRef] = []

    async def request(self, run: RunRef) -> EngineRun:
        if not self.up:
            raise Unavailable
        self.requested.append(run)
        return EngineRun(f"engine-{run.id}")

    async def wake(self, run: RunRef) -> EngineRun:
        return await self.request(run)

    async def cancel(self, run: RunRef) -> None:
        """Nothing runs."""

    async def prepare(self, team: str) -> None:
        """Nothing to prepare."""

    async def deploy(self, flow: LocalFlowRef) -> None:
        """Nothing to deploy."""

    async def health(self) -> EngineHealth:
        return EngineHealth(self.name, ready=self.up, detail="up" if self.up else "away")

    async def close(self) -> None:
        self.closed = True


async def _until(persona: Persona, state: str) -> dict[str, object]:
    for _ in range(100):
        engine: dict[str, object] = (await persona.ask(ENGINE))["engine"]
        if engine["state"] == state:
            return engine
        await asyncio.sleep(0.1)
    raise AssertionError(f"the engine did not become {state}: {engine}")


async def test_the_api_answers_before_the_engine_and_says_when_it_is_gone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coe.app.ENGINE_CHECK_SECONDS", 0.1)
    engine = SwitchedEngine()
    port: Engine = engine
    app = create_demo_app(settings, engine=port)
    api = Api(app)
    async with app.router.lifespan_context(app):
        owner = await publish_welcome(api)
        assert (await _until(owner, "STARTING"))["detail"] == "away"
        given = {"flow": "sales/welcome", "input": {"name": "Jane"}}
        started = await owner.do("startRun", "StartRunInput", "run { id state }", **given)
        assert started["run"]["state"] == "REQUESTED"
        for _ in range(50):
            if (await _until(owner, "STARTING"))["queued"] == 1:
                break
            await asyncio.sleep(0.1)
        async with api.client() as client:
            ready = await client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["engine"]["state"] == "STARTING"
        engine.up = True
        await _until(owner, "UP")
        for _ in range(400):
            if engine.requested:
                break
            await asyncio.sleep(0.1)
        assert [run.flow for run in engine.requested] == ["sales/welcome@1.0.0"]
        engine.up = False
        await _until(owner, "GONE")
    assert engine.closed


async def test_without_an_engine_runs_are_taken_and_wait(settings: Settings) -> None:
    app = create_demo_app(settings)
    api = Api(app)
    async with app.router.lifespan_context(app):
        engine = (await api.persona("auditor").ask(ENGINE))["engine"]
        assert engine["name"] == "none"
        assert engine["state"] == "STARTING"
        assert "COE_PREFECT_URL" in engine["detail"]


@asynccontextmanager
async def _serving(settings: Settings):
    app = create_demo_app(settings)
    async with listening(app) as url:
        yield url, app.state.services


async def test_over_a_real_socket_and_stopped_in_order(settings: Settings) -> None:
    async with (
        _serving(settings) as (url, services),
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        assert isinstance(services, Services)
        assert (await client.get("/healthz")).json() == {"status": "alive"}
        body = (await client.get("/readyz")).json()
        assert (body["status"], body["database"]) == ("ready", "up")
        assert body["outbox"]["state"] == "ok"
        assert body["schema"]["state"] == "ok"
        headers = {"Authorization": "Bearer demo-auditor"}
        query = {"query": "{ me { subject } }"}
        answer = await client.post("/graphql", json=query, headers=headers)
        assert answer.json() == {"data": {"me": {"subject": "auditor"}}}
        tasks = list(services.tasks)
        assert {task.get_name() for task in tasks} >= {"engine check", "audit sealer", "runs"}
        async with services.platform.database.session() as session:
            await session.execute(text("ALTER TABLE schema_revisions RENAME TO gone"))
            await session.commit()
        unready = await client.get("/readyz")
        assert unready.status_code == 503
        assert unready.json()["schema"]["state"] == "problem"
    assert all(task.done() for task in tasks)
    assert services.tasks == []


async def test_a_loop_that_fails_begins_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coe.processes.background.RESTART_SECONDS", 0.0)
    app = create_demo_app(settings)
    services: Services = app.state.services
    calls = asyncio.Semaphore(0)

    async def failing() -> None:
        calls.release()
        raise RuntimeError("Jane Doe")

    monkeypatch.setattr(services.sealer, "run_forever", failing)
    async with app.router.lifespan_context(app):
        for _ in range(3):
            await asyncio.wait_for(calls.acquire(), 5)


async def test_a_probe_reveals_no_internals(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_demo_app(settings)
    services: Services = app.state.services
    assert services.sealer is not None
    monkeypatch.setattr(services.sealer, "run_forever", asyncio.Event().wait)
    services.sealer.problem = "/srv/coe/checkpoints has a checkpoint of 12 events"
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as anyone,
    ):
        answer = await anyone.get("/readyz")
    assert answer.json()["auditSealer"] == "down"
    assert "/srv" not in answer.text
