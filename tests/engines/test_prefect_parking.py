"""Parking a flow run that is woken in the same moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from coe.db import new_id, utcnow
from coe.engines import central_flow as central
from coe.engines.prefect_engine import PrefectEngine
from coe.engines.prefect_flow_executor import FlowExecutor
from coe.engines.prefect_http import PrefectHTTP
from coe.engines.prefect_server import PrefectServer
from coe.execution.advance import Parked
from coe.execution.engine import RunRef
from coe.execution.runtime import Runtime


@pytest.mark.parametrize("until", [None, utcnow() + timedelta(hours=1)])
async def test_a_wake_up_that_comes_before_the_parking_is_kept(
    prefect: PrefectServer,
    http: PrefectHTTP,
    monkeypatch: pytest.MonkeyPatch,
    until: datetime | None,
) -> None:
    engine = PrefectEngine(http, central_pool=f"parking-{new_id().hex}")
    run_id = new_id()
    run = RunRef(run_id, "sales/order@1.0.0", "sales", local=False)
    made = await engine.request(run)
    woken = RunRef(run_id, run.flow, run.team, local=False, engine_run_id=made.id)

    async def advance(*_: object, **__: object) -> Parked:
        await engine.wake(woken)
        return Parked(until)

    monkeypatch.setattr(central, "advance", advance)
    with temporary_settings(
        {PREFECT_API_URL: prefect.api_url, PREFECT_API_AUTH_STRING: prefect.auth},
    ):
        executor = FlowExecutor(central.central_flow(cast("Runtime", object())))
        flow_run = FlowRun.model_validate(await http.get(f"/flow_runs/{made.id}"))
        await executor.start(flow_run, "")
    state = (await http.get(f"/flow_runs/{made.id}"))["state"]
    assert state["name"] == "AwaitingRetry"
    assert datetime.fromisoformat(state["state_details"]["scheduled_time"]) <= utcnow()
