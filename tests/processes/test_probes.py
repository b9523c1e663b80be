"""The probes of a process: on their own port, for any host, alive while the database is not."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
import urllib.error
import urllib.request
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from starlette.responses import PlainTextResponse

from coe.db import Database
from coe.demo.api import create_demo_app
from coe.installation.status import Check, Health
from coe.processes import pulse
from coe.processes.probes import ProbePortRefused, Probes
from coe.settings import Settings
from coe.worker import run_central_worker
from tests.factories.api import Api
from tests.factories.ports import free_port

KUBELET = {"Host": "10.20.30.40:9700"}
"""How a kubelet asks: by the address of the pod, which no setting names."""


@pytest.fixture
def probed(settings: Settings) -> Settings:
    """The settings of a process with probes."""
    return settings.model_copy(update={"probe_port": free_port(), "loops": False})


async def ask(settings: Settings, path: str) -> tuple[int, dict[str, Any]]:
    """Ask as a kubelet does."""
    address = f"http://127.0.0.1:{settings.probe_port}"
    async with httpx.AsyncClient(base_url=address, headers=KUBELET, trust_env=False) as client:
        answer = await client.get(path)
    return answer.status_code, answer.json()


async def test_a_kubelet_is_answered_on_the_port_of_the_probes_alone(probed: Settings) -> None:
    app = create_demo_app(probed)
    async with app.router.lifespan_context(app):
        assert await ask(probed, "/startupz") == (200, {"status": "started", "role": "api"})
        assert await ask(probed, "/livez") == (200, {"status": "alive", "role": "api"})
        status, ready = await ask(probed, "/readyz")
        assert (status, ready["status"], ready["problems"]) == (200, "ready", [])
        assert {"database", "schema", "policy", "keys", "engine"} <= set(ready["parts"])
        async with Api(app).client() as client:
            for path in ("/graphql", "/readyz", "/healthz"):
                assert (await client.get(path, headers=KUBELET)).status_code == 421
            assert (await client.get("/readyz")).status_code == 200
        app.state.process.probes.draining = True
        status, ready = await ask(probed, "/readyz")
        assert (status, [each["part"] for each in ready["problems"]]) == (503, ["process"])
        assert (await ask(probed, "/livez"))[0] == 200, "an ending process is not killed for it"
    with pytest.raises(httpx.ConnectError):
        await ask(probed, "/livez")


NEWER = (
    "INSERT INTO schema_revisions (revision, kind, works_with) VALUES ('9999', 'contract', '9999')"
)


@pytest.mark.parametrize(
    ("wrong", "part", "help"),
    [
        (NEWER, "schema", "run the version"),
        ("DROP TABLE schema_revisions", "schema", "coe migrate"),
        ("DELETE FROM policy_state", "policy", "coe content load"),
    ],
    ids=["a newer schema", "no schema", "no policy"],
)
async def test_a_process_that_cannot_work_is_not_ready_and_says_what_mends_it(
    probed: Settings, wrong: str, part: str, help: str
) -> None:
    database = Database(probed.database_url)
    async with database.session() as session:
        await session.execute(text(wrong))
        await session.commit()
    await database.close()
    app = create_demo_app(probed)
    async with app.router.lifespan_context(app):
        status, ready = await ask(probed, "/readyz")
        assert status == 503
        [problem] = ready["problems"]
        assert problem["part"] == part
        assert help in problem["help"]
        assert (await ask(probed, "/livez"))[0] == 200


async def test_a_process_without_its_database_is_alive_and_not_ready(
    probed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = {"database_url": f"postgresql://coe@127.0.0.1:{free_port()}/coe"}
    settings = probed.model_copy(update={**away, "prefect_url": "http://127.0.0.1:9/api"})
    worker = asyncio.create_task(run_central_worker(settings))
    async with asyncio.timeout(20):
        while True:
            try:
                assert (await ask(settings, "/livez"))[0] == 200
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.02)
    assert (await ask(settings, "/startupz"))[0] == 503
    status, ready = await ask(settings, "/readyz")
    assert status == 503
    assert {each["part"] for each in ready["problems"]} == {
        "process", "keys", "database", "engine"
    }  # fmt: skip
    signal.raise_signal(signal.SIGTERM)
    await worker


async def nothing() -> list[Check]:
    return [Check("part", Health.OK, "is well")]


def ask_at_once(settings: Settings, path: str) -> tuple[int, dict[str, Any]]:
    """Ask from the thread of a stuck loop."""
    try:
        url = f"http://127.0.0.1:{settings.probe_port}{path}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


async def test_a_stuck_event_loop_is_noticed(
    probed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coe.processes.probes.ANSWER_SECONDS", 0.1)
    probes = Probes("api", nothing, started=True)
    async with probes.serving(probed):
        assert (await ask(probed, "/livez"))[0] == 200
        monkeypatch.setattr(pulse, "STUCK_SECONDS", 0.2)
        began = time.monotonic()
        while time.monotonic() - began <= 0.3:
            time.sleep(0.05)  # this loop runs nothing meanwhile
        status, body = ask_at_once(probed, "/livez")
        assert (status, body["status"]) == (503, "stuck")
        status, body = ask_at_once(probed, "/readyz")
        assert (status, body["status"]) == (503, "not ready")
        monkeypatch.setattr(pulse, "STUCK_SECONDS", 30.0)
        assert (await ask(probed, "/livez"))[0] == 200


async def test_others_answer_further_paths_in_the_loop_of_the_process(probed: Settings) -> None:
    probes = Probes("loops", nothing, started=True)
    here = asyncio.get_running_loop()

    async def further() -> PlainTextResponse:
        return PlainTextResponse(f'"{asyncio.get_running_loop() is here}"')

    probes.route("/further", further)
    async with probes.serving(probed):
        assert await ask(probed, "/further") == (200, "True")


async def test_a_port_that_is_taken_is_named(probed: Settings) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of earlier connections
        taken.bind(("127.0.0.1", probed.probe_port or 0))
        taken.listen()
        with pytest.raises(ProbePortRefused, match="COE_PROBE_PORT"):
            async with Probes("api", nothing).serving(probed):
                pass
