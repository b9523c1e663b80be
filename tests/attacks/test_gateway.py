"""A team's worker, whose code and token somebody has taken, before the gateway to Prefect."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from coe.engines.prefect_http import PrefectHTTP
from coe.errors import NotFound
from coe.gateway.body_redaction import redact_event
from coe.language.request_arguments import has_dot_segments
from tests.factories.gateway import CANARY, Gate, Team, event, greet, socket
from tests.factories.prefect import until

Document = dict[str, Any]


async def refusal(gate: Gate, team: Team, *events: Document) -> str:
    """Send events as the team's worker, and return the reason for which the gateway closes."""
    async with socket(gate, team, "/events/in") as worker:
        assert await greet(worker, f"{team.name}:{team.token}") == "auth_success"
        for each in events:
            await worker.send(json.dumps(each))
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(worker.recv(), 60)
    return closed.value.rcvd.reason if closed.value.rcvd else ""


async def task_run(http: PrefectHTTP, identifier: str) -> Document | None:
    """A task run as Prefect has it."""
    try:
        return dict(await http.get(f"/task_runs/{identifier}"))
    except NotFound:
        return None


async def recorded(gate: Gate, http: PrefectHTTP, team: Team, *before: Document) -> str:
    """Send events, then one of a task run; its id, once Prefect has recorded it."""
    sent = event(team)
    identifier = str(sent["resource"]["prefect.resource.id"]).rpartition(".")[2]

    async def known() -> bool:
        return await task_run(http, identifier) is not None

    async with socket(gate, team, "/events/in") as worker:
        assert await greet(worker, f"{team.name}:{team.token}") == "auth_success"
        for each in (*before, sent):
            await worker.send(json.dumps(each))
        await until(known)
    return identifier


async def test_an_event_about_a_task_run_of_another_team(gate: Gate, http: PrefectHTTP) -> None:
    theirs = await recorded(gate, http, gate.finance)
    before = await task_run(http, theirs)
    forged = event(gate.warehouse)
    forged["resource"]["prefect.resource.id"] = f"prefect.task-run.{theirs}"
    assert await refusal(gate, gate.warehouse, forged) == "authorization_failed"
    assert await task_run(http, theirs) == before
    [refused] = await gate.refusals()
    assert (refused.action, refused.team) == ("engines:worker:refuse", "warehouse")


@pytest.mark.parametrize(
    "kind", ["flow-run", "flow", "deployment", "work-queue", "task-run", "work-pool"]
)
async def test_an_event_that_names_a_thing_of_another_team_beside_its_own(
    gate: Gate, http: PrefectHTTP, kind: str
) -> None:
    run = gate.finance.run
    pool = await http.get(f"/work_pools/{gate.finance.pool}")
    identifiers = {
        "flow-run": run["id"],
        "flow": run["flow_id"],
        "deployment": run["deployment_id"],
        "work-queue": run["work_queue_id"],
        "work-pool": pool["id"],
    }
    identifier = identifiers.get(kind) or await recorded(gate, http, gate.finance)
    forged = event(gate.warehouse)
    named = {"prefect.resource.id": f"prefect.{kind}.{identifier}", "prefect.resource.role": kind}
    forged["related"].append(named)
    assert await refusal(gate, gate.warehouse, forged) == "authorization_failed"


async def test_an_event_about_a_task_run_without_its_flow_run(
    gate: Gate, http: PrefectHTTP
) -> None:
    pool = await http.get(f"/work_pools/{gate.warehouse.pool}")
    forged = event(gate.warehouse)
    of_pool = {"prefect.resource.id": f"prefect.work-pool.{pool['id']}"}
    forged["related"] = [{**of_pool, "prefect.resource.role": "work-pool"}]
    assert await refusal(gate, gate.warehouse, forged) == "authorization_failed"


async def test_a_log_of_a_task_run_of_another_team(gate: Gate, http: PrefectHTTP) -> None:
    entry = {
        "flow_run_id": gate.warehouse.run["id"],
        "task_run_id": await recorded(gate, http, gate.finance),
        "level": 20,
        "timestamp": "2026-01-01T00:00:00Z",
    }
    async with gate.client(gate.warehouse) as worker:
        assert (await worker.post("/logs/", json=[entry])).status_code == 403
        entry["task_run_id"] = "../" + gate.finance.run["id"]
        assert (await worker.post("/logs/", json=[entry])).status_code == 403
        assert (await worker.post("/logs/", json=[entry, "x"])).status_code == 403


_NEEDED = {"prefect.resource.id", "prefect.resource.role", "event", "id", "occurred"}
"""Texts without whose form an event is refused."""


def _one_by_one(document: Document) -> list[Callable[[], Document]]:
    """Copies of a document, each with the canary in one other text."""
    places: list[tuple[str | int, ...]] = []

    def walk(value: Any, path: tuple[str | int, ...]) -> None:
        if isinstance(value, dict):
            for name, each in value.items():
                walk(each, (*path, name))
        elif isinstance(value, list):
            for index, each in enumerate(value):
                walk(each, (*path, index))
        elif isinstance(value, str) and path[-1] not in _NEEDED:
            places.append(path)

    walk(document, ())

    def changed(path: tuple[str | int, ...]) -> Document:
        copy = json.loads(json.dumps(document))
        place = copy
        for each in path[:-1]:
            place = place[each]
        place[path[-1]] = CANARY
        return dict(copy)

    return [partial(changed, path) for path in places]


async def test_data_of_a_run_in_any_text_of_an_event(gate: Gate, http: PrefectHTTP) -> None:
    """Each of them in turn, and all of them: what Prefect keeps has none."""
    full = event(gate.warehouse, task_inputs={"x": [{"input_type": "constant", "type": CANARY}]})
    full["resource"]["prefect.resource.name"] = CANARY
    full["payload"]["task_run"] |= {
        "cache_key": CANARY,
        "labels": {"customer": CANARY},
        "tags": [CANARY],
        "task_version": CANARY,
    }
    full["payload"]["intended"] = {"from": "PENDING", "to": "RUNNING"}
    full["payload"]["validated_state"]["data"] = {"customer": CANARY}
    full["payload"]["validated_state"]["state_details"] = {"cache_key": CANARY}
    sent = [each() for each in _one_by_one(full)]
    for each in sent:
        each["id"] = str(uuid.uuid4())
        each["resource"]["prefect.resource.id"] = f"prefect.task-run.{uuid.uuid4()}"
    sent = [each for each in sent if each["payload"]["validated_state"]["type"] != CANARY]
    assert len(sent) > 12
    await recorded(gate, http, gate.warehouse, *sent)
    run = gate.warehouse.run["id"]
    kept = [
        await http.post("/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}}),
        await http.post(
            "/events/filter", {"filter": {"any_resource": {"id_prefix": ["prefect."]}}}
        ),
    ]
    assert CANARY not in json.dumps(kept)


@pytest.mark.parametrize(
    "path",
    [
        ("id",),
        ("occurred",),
        ("event",),
        ("resource", "prefect.resource.id"),
        ("payload", "validated_state", "type"),
        ("payload", "task_run", "task_key"),
    ],
    ids=lambda path: path[-1],
)
def test_an_event_that_prefect_could_not_record(path: tuple[str, ...]) -> None:
    """One such event would stop those that come with it, also of other teams."""
    team = Team("warehouse", "", {"id": str(uuid.uuid4())})
    broken = event(team)
    assert redact_event(broken) is not None
    place = broken
    for each in path[:-1]:
        place = place[each]
    del place[path[-1]]
    assert redact_event(broken) is None


async def test_an_event_of_a_name_of_its_own_is_not_passed_on(
    gate: Gate, http: PrefectHTTP
) -> None:
    named = event(gate.warehouse, name=f"customer.{CANARY}")
    await recorded(gate, http, gate.warehouse, named)
    found = await http.post("/events/filter", {"filter": {"event": {"prefix": ["customer."]}}})
    assert found["events"] == []


async def test_data_of_a_run_in_what_a_flow_run_keeps(gate: Gate, http: PrefectHTTP) -> None:
    run = gate.warehouse.run["id"]
    policy = {"max_retries": 1, "pause_keys": [CANARY], "retry_type": CANARY}
    fields = {"flow_version": CANARY, "infrastructure_pid": CANARY, "empirical_policy": policy}
    labels = {"prefect.worker.name": CANARY, "prefect.work-pool.name": CANARY}
    details = {"traceparent": CANARY, "transition_id": CANARY, "scheduled_time": CANARY}
    state = {"type": "PENDING", "timestamp": CANARY, "state_details": details}
    async with gate.client(gate.warehouse) as worker:
        assert (await worker.patch(f"/flow_runs/{run}", json=fields)).status_code == 204
        assert (await worker.patch(f"/flow_runs/{run}/labels", json=labels)).status_code == 204
        body = {"state": state, "note": CANARY}
        answer = await worker.post(f"/flow_runs/{run}/set_state", json=body)
        assert answer.json()["status"] == "ACCEPT"
    assert CANARY not in json.dumps(await http.get(f"/flow_runs/{run}"))


async def test_data_of_a_run_as_the_name_of_a_worker(gate: Gate) -> None:
    channel = f"/work_pools/{gate.warehouse.pool}/workers/connect"
    async with socket(gate, gate.warehouse, channel) as worker:
        assert await greet(worker, f"warehouse:{gate.warehouse.token}") == "auth_success"
        frame = {"type": "worker.hello.v1", "payload": {"worker_name": f'{{"name": "{CANARY}"}}'}}
        await worker.send(json.dumps(frame))
        await worker.wait_closed()
    [refused] = await gate.refusals()
    assert refused.action == "engines:worker:refuse"


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "%2e%2e",
        "..%2fadmin",
        "..%2Fadmin",
        "%2e%2e%2fadmin",
        "a%2f..%2fadmin",
        "..;",
        "..;a=b/admin",
        "a/..;/admin",
        "%2e%2e;x",
        "..%3badmin",
        "..%5cadmin",
        "..\\admin",
        "%252e%252e/admin",
        "%25252e%25252e%25252fadmin",
        "..%20",
        ".%00./../admin",
        ".;/admin",
        "%2525252525252e",
    ],
)
def test_a_value_in_a_path_that_climbs(path: str) -> None:
    assert has_dot_segments(f"https://erp.example/orders/{path}")


@pytest.mark.parametrize(
    "path",
    ["a..b", "a%2Fb", "...", "1.2", ".well-known", "a;v=1", "50%25", "..%2", "x%2e", "%2e.x"],
)
def test_a_value_in_a_path_that_does_not_climb(path: str) -> None:
    assert not has_dot_segments(f"https://erp.example/orders/{path}?next=../x#..")
