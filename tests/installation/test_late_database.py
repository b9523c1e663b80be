"""A process that starts before its database compares its keys once that answers, then serves."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import httpx
import pytest

from coe.app import create_app
from coe.errors import Unavailable
from coe.installation import keys
from coe.installation.keys import KeysRefused, write_keys
from coe.settings import Settings
from coe.work import Platform
from coe.worker import run_central_worker
from tests.installation.test_keys import PREFECT, filled

__all__ = ["filled"]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


def take_mac_of_another(settings: Settings) -> None:
    write_keys(settings.data_dir / "other", settings.log_origin)
    (settings.data_dir / "other" / "mac").replace(settings.mac_key_path)


def probe(app: object) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]  # an ASGI application
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")


async def test_the_api_serves_once_its_keys_are_compared(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, asked = True, 0

    async def compare(settings: Settings) -> None:
        nonlocal asked
        asked += 1
        if away:
            raise Unavailable
        await keys.compare_keys(settings)

    monkeypatch.setattr("coe.processes.http_process.compare_keys", compare)
    monkeypatch.setattr("coe.processes.http_process.RESTART_SECONDS", 0.01)
    app = create_app(platform.settings, keys_compared=False)
    services = app.state.services
    async with app.router.lifespan_context(app), probe(app) as client:
        await until(lambda: asked > 1)
        refused = await client.post("/graphql", json={"query": "{ __typename }"})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert refused.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
        assert (await client.get("/healthz")).status_code == 200
        unready = await client.get("/readyz")
        assert (unready.status_code, unready.json()["database"]) == (503, "up")
        assert "audit sealer" not in {each.get_name() for each in services.tasks}
        away = False
        await until(lambda: services.serves)
        assert (await client.get("/readyz")).json()["keys"] == "up"
        served = await client.post("/graphql", json={"query": "{ __typename }"})
        assert served.status_code != 503
        assert "audit sealer" in {each.get_name() for each in services.tasks}


async def test_the_api_stops_when_its_keys_are_of_another_installation(
    filled: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    take_mac_of_another(filled)
    raised: list[int] = []
    monkeypatch.setattr("coe.processes.http_process.signal.raise_signal", raised.append)
    app = create_app(filled, keys_compared=False)
    async with app.router.lifespan_context(app), probe(app) as client:
        await until(lambda: bool(raised))
        assert raised == [signal.SIGTERM]
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/")).status_code == 503
    assert "COE_MAC_KEY_FILE" in caplog.text


async def test_the_central_worker_ends_when_its_keys_are_of_another_installation(
    filled: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unanswered(_: Settings) -> bool:
        return False

    take_mac_of_another(filled)
    monkeypatch.setattr("coe.worker.require_keys", unanswered)
    with pytest.raises(KeysRefused, match="COE_MAC_KEY_FILE"):
        await run_central_worker(filled.model_copy(update=PREFECT))
