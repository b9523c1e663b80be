"""The port on a real Prefect server; states are set as workers would."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from coe.engines import prefect_engine
from coe.engines.prefect_engine import PrefectEngine, team_pool
from coe.engines.prefect_http import PrefectHTTP
from coe.errors import NotFound
from coe.execution.engine import LocalFlowRef, RunRef, StartedRun
from coe.runs.models import RunState
from tests.factories.ports import free_port


@pytest.fixture
async def engine(http: PrefectHTTP) -> AsyncIterator[PrefectEngine]:
    return PrefectEngine(http, central_pool="central-api")


def central(**more: Any) -> RunRef:
    return RunRef(uuid.uuid4(), "sales/order-to-cash@1.0.0", "sales", local=False, **more)


async def state(http: PrefectHTTP, flow_run: str) -> tuple[str, str]:
    found = (await http.get(f"/flow_runs/{flow_run}"))["state"]
    return found["type"], found["name"]


async def put(http: PrefectHTTP, flow_run: str, kind: str, **more: Any) -> None:
    body = {"state": {"type": kind, **more}, "force": True}
    await http.post(f"/flow_runs/{flow_run}/set_state", body)


async def test_a_request_gives_prefect_the_run_id_and_nothing_else(
    engine: PrefectEngine,
    http: PrefectHTTP,
) -> None:
    run = central(trace_id="0af7651916cd43dd8448eb211c80319c")
    made = await engine.request(run)
    found = await http.get(f"/flow_runs/{made.id}")
    assert found["parameters"] == {"run_id": str(run.id)}
    assert found["work_pool_name"] == "central-api"
    assert found["state"]["type"] == "SCHEDULED"
    assert found["labels"]["__OTEL_TRACEPARENT"].startswith(f"00-{run.trace_id}-")
    assert made.url is not None
    assert made.url.endswith(f"/runs/flow-run/{made.id}")


async def test_the_central_workers_that_ask_for_runs_are_known(
    engine: PrefectEngine, http: PrefectHTTP
) -> None:
    assert await engine.central_workers() == {}
    await engine.ensure_central()
    await http.post("/work_pools/central-api/workers/heartbeat", {"name": "central-1"})
    assert list(await engine.central_workers()) == ["central-1"]


async def test_the_same_request_twice_is_one_flow_run_and_an_attempt_a_new_one(
    engine: PrefectEngine,
) -> None:
    run = central()
    first = await engine.request(run)
    assert (await engine.request(run)).id == first.id
    again = RunRef(run.id, run.flow, run.team, local=False, attempt=1)
    assert (await engine.request(again)).id != first.id


async def test_a_request_with_more_than_the_run_id_is_refused_by_prefect(
    engine: PrefectEngine,
    http: PrefectHTTP,
) -> None:
    await engine.ensure_central()
    deployment = await http.get("/deployments/name/process-run/central")
    body = {"parameters": {"run_id": str(uuid.uuid4()), "customer": "Ms Zwicknagel"}}
    answer = await http.send("POST", f"/deployments/{deployment['id']}/create_flow_run", body)
    assert answer.status_code == 409


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("PAUSED", {"name": "Suspended", "state_details": {"pause_reschedule": True}}),
        ("SCHEDULED", {"state_details": {"scheduled_time": "2099-01-01T00:00:00Z"}}),
        ("RUNNING", {}),
        ("CRASHED", {}),
        ("COMPLETED", {}),
        ("CANCELLING", {}),
    ],
)
async def test_a_run_is_woken_from_every_state(
    engine: PrefectEngine,
    http: PrefectHTTP,
    kind: str,
    more: dict[str, Any],
) -> None:
    run = central()
    made = await engine.request(run)
    await put(http, made.id, "RUNNING")
    await put(http, made.id, kind, **more)
    woken = await engine.wake(RunRef(run.id, run.flow, "sales", local=False, engine_run_id=made.id))
    assert woken.id == made.id
    due = await http.post(
        "/work_pools/central-api/get_scheduled_flow_runs",
        {"scheduled_before": "2090-01-01T00:00:00Z"},
    )
    assert [each["flow_run"]["id"] for each in due] == [made.id]


async def test_a_claimed_run_is_left_alone_until_its_worker_must_be_dead(
    engine: PrefectEngine,
    http: PrefectHTTP,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = central()
    made = await engine.request(run)
    ref = RunRef(run.id, run.flow, "sales", local=False, engine_run_id=made.id)
    await put(http, made.id, "PENDING")
    await engine.wake(ref)
    assert (await state(http, made.id))[0] == "PENDING"
    monkeypatch.setattr(prefect_engine, "STALE_PENDING", timedelta(0))
    await engine.wake(ref)
    assert await state(http, made.id) == ("SCHEDULED", "AwaitingRetry")


async def test_a_run_that_prefect_has_lost_is_requested_again(engine: PrefectEngine) -> None:
    run = central(engine_run_id=str(uuid.uuid4()))
    woken = await engine.wake(run)
    assert woken.id != run.engine_run_id
    assert (await engine.wake(central())).id


async def test_cancelling_ends_what_runs_and_forgives_what_is_not_there(
    engine: PrefectEngine,
    http: PrefectHTTP,
) -> None:
    run = central()
    made = await engine.request(run)
    await put(http, made.id, "RUNNING")
    ref = RunRef(run.id, run.flow, "sales", local=False, engine_run_id=made.id)
    await engine.cancel(ref)
    await engine.cancel(ref)
    assert (await state(http, made.id))[0] == "CANCELLED"
    await engine.cancel(central())
    await engine.cancel(central(engine_run_id=str(uuid.uuid4())))


async def test_a_local_flow_runs_in_its_teams_pool_at_its_exact_version(
    engine: PrefectEngine,
    http: PrefectHTTP,
) -> None:
    name = f"warehouse/pick-{uuid.uuid4().hex[:8]}"  # the server is shared with other tests
    run = RunRef(uuid.uuid4(), f"{name}@1.0.0", "warehouse", local=True)
    with pytest.raises(NotFound):
        await engine.request(run)
    flow = LocalFlowRef(
        uuid.uuid4(),
        name,
        "1.0.0",
        "warehouse",
        "flows/teams/warehouse/pick_and_pack.py:pick_and_pack",
    )
    await engine.deploy(flow)
    await engine.deploy(flow)
    made = await engine.request(run)
    found = await http.get(f"/flow_runs/{made.id}")
    assert found["work_pool_name"] == team_pool("warehouse")
    deployment = await http.get(f"/deployments/{found['deployment_id']}")
    assert deployment["name"] == "1.0.0"
    assert deployment["entrypoint"] == flow.entrypoint


async def test_a_new_team_has_its_pool_before_its_first_flow(
    engine: PrefectEngine, http: PrefectHTTP
) -> None:
    for _ in range(2):
        await engine.prepare("returns")
    assert (await http.get(f"/work_pools/{team_pool('returns')}"))["type"] == "coe"


async def test_a_deployment_that_the_server_forgot_is_made_again(
    engine: PrefectEngine,
    http: PrefectHTTP,
) -> None:
    await engine.request(central())
    await http.call("DELETE", "/work_pools/central-api")
    deployment = await http.get("/deployments/name/process-run/central")
    await http.call("DELETE", f"/deployments/{deployment['id']}")
    assert (await engine.request(central())).id


async def test_health_is_reported_and_never_raises(engine: PrefectEngine) -> None:
    assert (await engine.health()).ready
    gone = PrefectEngine(
        PrefectHTTP(f"http://127.0.0.1:{free_port()}/api", "a:b"), central_pool="x"
    )
    assert not (await gone.health()).ready
    await gone.close()


async def test_a_sweep_finds_what_workers_left_and_settles_it(
    engine: PrefectEngine, http: PrefectHTTP
) -> None:
    runs = [central() for _ in range(4)]
    left, pending, done, waiting = [(await engine.request(run)).id for run in runs]
    await put(http, left, "RUNNING")
    await put(http, pending, "PENDING")
    await put(http, done, "COMPLETED")
    soon = timedelta(seconds=-5)
    found = {each.id: each for each in await engine.started_runs(older_than=soon)}
    assert {left, pending} <= set(found)
    assert not {done, waiting} & set(found)
    assert found[left].run_id == runs[0].id
    old = await engine.started_runs(older_than=timedelta(minutes=5))
    assert left not in {each.id for each in old}
    await engine.settle(found[left], RunState.FAULTED)
    await engine.settle(found[pending], None)
    assert [(await state(http, each))[0] for each in (left, pending)] == ["FAILED", "CRASHED"]
    await engine.settle(StartedRun(str(uuid.uuid4()), runs[0].id), RunState.COMPLETED)
    await engine.settle(StartedRun(done, runs[2].id), RunState.CANCELLED)
    assert (await state(http, done))[0] == "COMPLETED"
