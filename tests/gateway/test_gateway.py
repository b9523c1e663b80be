"""The gateway before a real Prefect server: allowed calls, the team's pool, refusals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import uuid

import httpx
import pytest
from sqlalchemy import update
from websockets.exceptions import ConnectionClosed, InvalidStatus

from coe.access.machine_models import WorkerKey
from coe.db import utcnow
from coe.demo.api import create_demo_app
from coe.engines.prefect_http import PrefectHTTP, basic
from coe.engines.prefect_server import PrefectServer
from coe.gateway import sockets
from coe.gateway.rules import HTTP_CALLS
from coe.settings import Settings
from coe.work import Platform
from tests.factories.gateway import CANARY, Gate, Team, event, greet, socket
from tests.factories.metrics import Change
from tests.factories.ports import free_port
from tests.factories.prefect import issue, until


def own(path: str, team: Team) -> str:
    """A path of Prefect's API that names resources of the team."""
    values = {
        "/flow_runs/": team.run["id"],
        "/deployments/": team.run["deployment_id"],
        "/flows/": team.run["flow_id"],
        "/work_queues/": team.run["work_queue_id"],
    }
    filled = path.replace("{name}", team.pool).replace("{work_pool_name}", team.pool)
    for prefix, value in values.items():
        if filled.startswith(prefix):
            filled = filled.replace("{id}", value)
    return re.sub(r"\{[^}]+\}", str(uuid.uuid4()), filled)


async def test_only_allowed_calls_of_all_routes_of_prefect_pass(
    gate: Gate,
    prefect: PrefectServer,
) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=120) as anyone:
        api = (await anyone.get(f"{prefect.url}/openapi.json")).json()
    routes = [
        (method.upper(), path.removeprefix("/api"))
        for path, methods in api["paths"].items()
        for method in methods
    ]
    assert len(routes) > 150
    passed, refused = set(), 0
    async with gate.client(gate.warehouse) as worker:
        for method, path in routes:
            body = {} if method in {"POST", "PATCH", "PUT"} else None
            answer = await worker.request(method, own(path, gate.warehouse), json=body)
            if answer.status_code == 403 and answer.json().get("code") == "FORBIDDEN":
                refused += 1
            else:
                passed.add((method, path))
    listed = {(rule.method, re.sub(r"\{\w+\}", "{}", rule.path)) for rule in HTTP_CALLS}
    listed -= {("POST", "/logs/"), ("POST", "/flow_runs/{}/set_state")}  # an empty body is refused
    assert {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path in passed} == listed
    assert len(await gate.refusals()) == refused
    assert refused == len(routes) - len(passed)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/flow_runs/{id}"),
        ("GET", "/deployments/{id}"),
        ("GET", "/flows/{id}"),
        ("GET", "/work_queues/{id}"),
        ("GET", "/work_pools/{name}"),
        ("POST", "/work_pools/{name}/get_scheduled_flow_runs"),
        ("POST", "/work_pools/{name}/queues/filter"),
        ("POST", "/flow_runs/{id}/set_state"),
        ("PATCH", "/flow_runs/{id}"),
        ("PATCH", "/flow_runs/{id}/labels"),
    ],
)
async def test_resources_of_another_team_are_refused_and_recorded(
    gate: Gate,
    method: str,
    path: str,
) -> None:
    body = {"state": {"type": "COMPLETED"}} if path.endswith("set_state") else {}
    async with gate.client(gate.warehouse) as worker:
        mine = await worker.request(method, own(path, gate.warehouse), json=body)
        theirs = await worker.request(method, own(path, gate.finance), json=body)
    assert mine.status_code not in {401, 403}
    assert theirs.status_code == 403
    [event] = await gate.refusals()
    assert event.action == "engines:worker:refuse"
    assert event.actor == "service:worker/warehouse"
    assert event.resource == "team:warehouse"


async def test_logs_of_another_teams_run_are_refused(gate: Gate) -> None:
    record = {"name": "x", "level": 20, "message": CANARY, "timestamp": "2026-01-01T00:00:00Z"}
    async with gate.client(gate.warehouse) as worker:
        for run, status in ((gate.warehouse.run["id"], 201), (gate.finance.run["id"], 403)):
            answer = await worker.post("/logs/", json=[{**record, "flow_run_id": run}])
            assert answer.status_code == status
        assert (await worker.post("/logs/", json=[record])).status_code == 403


async def test_the_gateway_of_another_team_is_refused(gate: Gate) -> None:
    async with gate.client(gate.warehouse, gateway_team="finance") as worker:
        answer = await worker.get(f"/flow_runs/{gate.finance.run['id']}")
    assert answer.status_code == 403
    _, event = await gate.refusals()  # the first one is of the CSRF token
    assert (event.action, event.resource) == ("access:permission:refuse", "team:finance")


@pytest.mark.parametrize(
    "header", ["", "Basic !", "Bearer coe_x", "Bearer demo-warehouse-developer"]
)
async def test_a_call_without_a_workers_token_is_refused(gate: Gate, header: str) -> None:
    counted = [
        Change("coe_gateway_calls_total", call="GET /admin/version", status=status)
        for status in ("401", "403")
    ]
    async with httpx.AsyncClient(trust_env=False) as stranger:
        answer = await stranger.get(
            f"{gate.url}/gateway/warehouse/api/admin/version",
            headers={"Authorization": header},
        )
    assert answer.status_code in {401, 403}
    assert sum(each.now for each in counted) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/flow_runs/{own}/../../deployments/{theirs}",
        "/flow_runs/{own}%2F..%2F{theirs}",
        "/work_pools/team-warehouse/../team-finance",
        "/flow_runs/{own}/",
        "//flow_runs/{own}",
        "/flow_runs/{OWN}",
    ],
)
async def test_a_disguised_path_is_refused(gate: Gate, path: str) -> None:
    own_id = gate.warehouse.run["id"]
    disguised = path.replace("{own}", own_id).replace("{OWN}", own_id.upper())
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gate.url.rpartition(":")[2]))
    target = f"/gateway/warehouse/api{disguised.replace('{theirs}', gate.finance.run['id'])}"
    auth = basic(f"warehouse:{gate.warehouse.token}")
    head = (f"GET {target} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: {auth}")
    writer.write("\r\n".join((*head, "Connection: close", "", "")).encode())
    status = (await reader.read()).split(b" ", 2)[1]
    writer.close()
    assert status == b"403"


async def test_the_message_of_an_exception_does_not_reach_prefect(
    gate: Gate, http: PrefectHTTP
) -> None:
    run = gate.warehouse.run["id"]
    async with gate.client(gate.warehouse) as worker:
        for kind in ("PENDING", "RUNNING", "FAILED"):
            state = {"type": kind, "message": f"ValueError: {CANARY}"}
            answer = await worker.post(f"/flow_runs/{run}/set_state", json={"state": state})
            assert answer.json()["status"] == "ACCEPT"
        parameters = {"parameters": {"run_id": CANARY}}
        assert (await worker.patch(f"/flow_runs/{run}", json=parameters)).status_code == 403
    assert CANARY not in json.dumps(await http.get(f"/flow_runs/{run}"))


async def test_no_field_of_a_state_a_log_or_a_label_carries_data(
    gate: Gate, http: PrefectHTTP
) -> None:
    run = gate.warehouse.run["id"]
    details = {"pause_key": CANARY, "cache_key": CANARY}
    state = {"type": "RUNNING", "name": CANARY, "data": CANARY, "state_details": details}
    record = {"level": 20, "timestamp": "2026-01-01T00:00:00Z", "flow_run_id": run}
    async with gate.client(gate.warehouse) as worker:
        body = {"state": {"type": "PENDING"}}
        await worker.post(f"/flow_runs/{run}/set_state", json=body)
        answer = await worker.post(f"/flow_runs/{run}/set_state", json={"state": state})
        assert answer.json()["status"] == "ACCEPT"
        assert answer.json()["state"]["name"] == "Running"
        records = [{**record, "name": CANARY, "message": CANARY}]
        assert (await worker.post("/logs/", json=records)).status_code == 201
        labels = {"prefect.worker.name": "w-1"}
        path = f"/flow_runs/{run}/labels"
        assert (await worker.patch(path, json=labels)).status_code == 204
        assert (await worker.patch(path, json={"customer": CANARY})).status_code == 403
    found = [
        await http.get(f"/flow_runs/{run}"),
        await http.get(f"/flow_run_states/?flow_run_id={run}"),
        await http.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}}),
    ]
    assert CANARY not in json.dumps(found)


async def test_a_large_body_is_refused(gate: Gate) -> None:
    async with gate.client(gate.warehouse) as worker:
        answer = await worker.post("/logs/", content=b"[" + b" " * 2_000_000 + b"]")
    assert answer.status_code == 413


async def test_without_prefect_a_worker_is_asked_to_try_again(
    settings: Settings,
    platform: Platform,
) -> None:
    token = await issue(platform, "service:worker/warehouse")
    gone = settings.model_copy(
        update={"prefect_url": f"http://127.0.0.1:{free_port()}/api", "loops": False},
    )
    app = create_demo_app(gone)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as worker,
    ):
        answer = await worker.get(
            "/gateway/warehouse/api/admin/version",
            headers={"Authorization": f"Bearer {token}"},
        )
    assert answer.status_code == 503


# ------------------------------------------------------------------------------- WebSockets


async def test_a_socket_opens_with_the_teams_token_for_the_teams_pool_only(gate: Gate) -> None:
    channel = f"/work_pools/{gate.warehouse.pool}/workers/connect"
    auth = f"warehouse:{gate.warehouse.token}"
    opened = Change("coe_gateway_sockets", call="/work_pools/{pool}/workers/connect")
    async with socket(gate, gate.warehouse, channel) as ours:
        assert await greet(ours, auth) == "auth_success"
        assert opened.now == 1
    theirs = f"/work_pools/{gate.finance.pool}/workers/connect"
    for path, token, reason in (
        (theirs, auth, "authorization_failed"),
        ("/logs/out", auth, "authorization_failed"),
        (channel, f"finance:{gate.finance.token}", "authorization_failed"),
        (channel, "warehouse:coe_guess", "authentication_failed"),
        (channel, "", "authentication_failed"),
    ):
        async with socket(gate, gate.warehouse, path) as refused:
            assert await greet(refused, token) == reason
    actions = sorted(event.action for event in await gate.refusals())
    assert actions == ["access:permission:refuse", "engines:worker:refuse", "engines:worker:refuse"]


async def test_a_socket_ends_with_the_key_of_its_worker(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "RECHECK_SECONDS", 0.1)
    channel = f"/work_pools/{gate.warehouse.pool}/workers/connect"
    async with socket(gate, gate.warehouse, channel) as worker:
        assert await greet(worker, f"warehouse:{gate.warehouse.token}") == "auth_success"
        async with gate.platform.database.session() as session:
            await session.execute(update(WorkerKey).values(revoked_at=utcnow()))
            await session.commit()
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(worker.recv(), 20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.reason == "authentication_failed"


async def test_sockets_of_a_process_that_ends_go_away_and_it_takes_no_more(gate: Gate) -> None:
    channel = f"/work_pools/{gate.warehouse.pool}/workers/connect"
    async with socket(gate, gate.warehouse, channel) as worker:
        assert await greet(worker, f"warehouse:{gate.warehouse.token}") == "auth_success"
        await gate.app.state.process.drain()
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(worker.recv(), 20)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "going_away")
    with pytest.raises(InvalidStatus):
        async with socket(gate, gate.warehouse, channel):
            pass
    async with httpx.AsyncClient(base_url=gate.url, trust_env=False) as client:
        last = await client.get("/readyz")
    assert (last.status_code, last.json()["ending"]) == (503, True)
    assert last.headers["Connection"] == "close", "the next request goes elsewhere"


@pytest.mark.parametrize("message", [b"\x00", '{"related": 5}', "7", "no JSON"])
async def test_a_strange_message_closes_its_socket_only(gate: Gate, message: str | bytes) -> None:
    async with socket(gate, gate.warehouse, "/events/in") as worker:
        assert await greet(worker, f"warehouse:{gate.warehouse.token}") == "auth_success"
        if message == '{"related": 5}':
            strange = event(gate.warehouse) | {"related": 5}
            message = json.dumps(strange)
        await worker.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            await worker.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code in {1003, 1008}


async def test_events_of_the_teams_runs_pass_without_their_messages(
    gate: Gate,
    http: PrefectHTTP,
) -> None:
    async with socket(gate, gate.warehouse, "/events/in") as worker:
        assert await greet(worker, f"warehouse:{gate.warehouse.token}") == "auth_success"
        await worker.send(json.dumps(event(gate.warehouse)))

        async def recorded() -> bool:
            run = {"id": {"any_": [gate.warehouse.run["id"]]}}
            found = await http.post("/task_runs/filter", {"flow_runs": run})
            assert CANARY not in json.dumps(found)
            return bool(found)

        await until(recorded)
        await worker.send(json.dumps(event(gate.finance)))
        with pytest.raises(ConnectionClosed):
            await worker.recv()
    [refused] = await gate.refusals()
    assert refused.action == "engines:worker:refuse"


@pytest.mark.parametrize(
    "fields",
    [
        {"flow_run_id": str(uuid.uuid4())},
        {"id": str(uuid.uuid4())},
    ],
)
async def test_an_event_cannot_name_another_run_in_its_payload(
    gate: Gate,
    fields: dict[str, str],
) -> None:
    async with socket(gate, gate.warehouse, "/events/in") as worker:
        await greet(worker, f"warehouse:{gate.warehouse.token}")
        await worker.send(json.dumps(event(gate.warehouse, **fields)))
        with pytest.raises(ConnectionClosed):
            await worker.recv()


async def test_a_worker_receives_events_of_its_team_only(gate: Gate, http: PrefectHTTP) -> None:
    async with socket(gate, gate.warehouse, "/events/out") as worker:
        await greet(worker, f"warehouse:{gate.warehouse.token}")
        prefix = {
            "event": {"prefix": ["prefect.flow-run."]},
            "occurred": {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"},
        }
        await worker.send(json.dumps({"type": "filter", "filter": prefix, "backfill": False}))
        received = None
        for _ in range(60):  # Prefect does not say when it has taken the filter
            for team in (gate.finance, gate.warehouse):
                body = {"state": {"type": "PENDING"}, "force": True}
                await http.post(f"/flow_runs/{team.run['id']}/set_state", body)
            with contextlib.suppress(TimeoutError):
                received = json.loads(await asyncio.wait_for(worker.recv(), 1))["event"]
                break
    assert received is not None
    assert received["resource"]["prefect.resource.id"].endswith(gate.warehouse.run["id"])
