"""What happens to runs is counted once it is committed, and never if it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from prometheus_client.utils import floatToGoString
from sqlalchemy import update

from coe.db import new_id, utcnow
from coe.db.after_commit import after_commit
from coe.engines.inline import InlineEngine
from coe.engines.prefect_http import PrefectHTTP
from coe.errors import CoeError, Unavailable
from coe.execution.advance import Finished, advance
from coe.execution.dispatch import dispatch_once
from coe.execution.engine import EngineRun, RunRef
from coe.execution.reaper import reap_once
from coe.outbox import OUTBOX
from coe.runs import actions
from coe.runs.counting import count_end
from coe.runs.models import RunState
from coe.runs.tables import NOW, RUNS
from coe.telemetry import metrics
from coe.telemetry.labels import FLOWS
from coe.work import Platform
from tests.factories.metrics import Change
from tests.factories.people import SALES_OWNER
from tests.factories.runs import HTTP, Leaves, central, identity, publish, runtime, start

HIDDEN = {"flow": "hidden"}
"""The flows of these tests are of the class PERSONAL, so their names are not exported."""


async def test_a_run_is_counted_from_its_request_to_its_end(platform: Platform) -> None:
    started = Change("coe_runs_started_total", **HIDDEN)
    ended = Change("coe_run_duration_seconds_count", state="COMPLETED", **HIDDEN)
    steps = Change("coe_steps_total", kind="http", state="COMPLETED")
    facts = Change("coe_journal_facts_total", kind="LEAF_COMPLETED")
    groups = Change("coe_journal_group_size_count")
    commits = Change("coe_journal_commit_seconds_count")
    await publish(platform, central("simple", HTTP.format(name="first")))
    run = await start(platform, "sales/simple")
    assert started.now == 1
    async with runtime(platform, Leaves()) as running:
        assert await advance(running, run.id) == Finished(RunState.COMPLETED)

    assert (ended.now, steps.now, facts.now) == (1, 1, 1)
    assert groups.now == commits.now > 0


async def test_a_cancelled_run_and_one_that_is_rolled_back(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="first")))
    started = Change("coe_runs_started_total", **HIDDEN)
    cancelled = Change("coe_run_duration_seconds_count", state="CANCELLED", **HIDDEN)

    async def start_and_fail() -> None:
        async with platform.work(SALES_OWNER) as work:
            await actions.start_run(work, flow="sales/simple", input={"customer": "c"})
            raise Unavailable

    with pytest.raises(Unavailable):
        await start_and_fail()
    assert started.now == 0
    run = await start(platform, "sales/simple")
    async with platform.work(SALES_OWNER) as work:
        await actions.cancel_run(work, run.id, reason="no longer wanted")
    assert (started.now, cancelled.now) == (1, 1)


async def test_what_waits_for_a_commit_is_done_once(platform: Platform) -> None:
    done: list[str] = []
    async with platform.database.session() as session:
        after_commit(session, lambda: done.append("rolled back"))
        await session.connection()
        await session.rollback()
        after_commit(session, lambda: done.append("committed"))
        async with session.begin_nested():
            pass
        assert done == []
        await session.commit()
        await session.connection()
        await session.commit()
    assert done == ["committed"]


@pytest.mark.parametrize(("days", "bound"), [(89, 90), (59, 60), (0.01, 0.25)])
def test_the_buckets_of_durations_reach_ninety_days(
    days: float, bound: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FLOWS, "most", 10_000)
    run = replace(identity(new_id()), data_class="INTERNAL", flow="sales/long")
    assert metrics.DURATIONS[-1] == timedelta(days=90).total_seconds()
    upper = floatToGoString(timedelta(days=bound).total_seconds())
    labels = {"flow": "sales/long", "state": "FAULTED"}
    within = Change("coe_run_duration_seconds_bucket", le=upper, **labels)
    counted = Change("coe_run_duration_seconds_count", **labels)
    count_end(run, RunState.FAULTED, utcnow() + timedelta(days=days))
    assert (within.now, counted.now) == (1, 1)


async def test_a_lease_that_expires_and_a_start_that_does_not_come(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="first")))
    held, unbegun = (Change("coe_leases_expired_total", what=each) for each in ("held", "unbegun"))
    run = await start(platform, "sales/simple")
    for holder in ("somebody", None):
        async with platform.database.session() as session:
            past = {"holder": holder, "lease_until": utcnow() - timedelta(seconds=1)}
            await session.execute(update(RUNS).where(RUNS.c.id == run.id).values(past))
            await session.commit()
        assert await reap_once(platform) == 1
    assert (held.now, unbegun.now) == (1, 1)


async def test_each_attempt_to_handle_a_message_counts(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="first")))
    counted = {
        outcome: Change("coe_outbox_handled_total", kind="start", outcome=outcome)
        for outcome in ("done", "failed", "kept")
    }
    await start(platform, "sales/simple")
    async with runtime(platform, Leaves()) as running:
        engine = InlineEngine(running)
        answers = engine.request

        async def away(_: RunRef) -> EngineRun:
            raise Unavailable

        engine.request = away  # type: ignore[method-assign]
        await dispatch_once(platform, engine)
        engine.request = answers  # type: ignore[method-assign]
        async with platform.database.session() as session:
            await session.execute(update(OUTBOX).values(due_at=NOW))
            await session.commit()
        await dispatch_once(platform, engine)
        await engine.close()
    assert {outcome: each.now for outcome, each in counted.items()} == {
        "done": 1,
        "failed": 1,
        "kept": 0,
    }


@pytest.mark.parametrize(
    ("path", "answer", "call", "status"),
    [
        ("/flow_runs/0190/set_state", 201, "POST /flow_runs/*/set_state", "201"),
        (
            "/work_pools/coe-team-sales/queues/filter",
            503,
            "POST /work_pools/*/queues/filter",
            "503",
        ),
        ("/deployments/name/sales/pack", None, "POST /deployments/name/*/*", "0"),
    ],
)
async def test_a_call_of_the_engine_counts_by_kind_and_status(
    path: str, answer: int | None, call: str, status: str
) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/csrf-token"):
            return httpx.Response(422)
        if answer is None:
            raise httpx.ConnectError("away")
        return httpx.Response(answer, json={})

    counted = Change("coe_engine_call_seconds_count", call=call, status=status)
    http = PrefectHTTP("http://prefect/api", "a:b", transport=httpx.MockTransport(respond))
    try:
        await http.post(path, {})
    except CoeError:
        assert status != "201"
    await http.close()
    assert counted.now == 1
