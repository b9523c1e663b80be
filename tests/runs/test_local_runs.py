"""Local runs: called by a central run, reported by a team's worker, never done twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from coe.access.actor import Actor
from coe.db import utcnow
from coe.engines.inline import InlineLocalRun, LocalFlowError
from coe.errors import Conflict, Forbidden, Invalid, NotFound
from coe.execution.reaper import reap_once
from coe.json_types import JSON
from coe.machine.commands import StepState
from coe.outbox import OUTBOX, OutboxKind
from coe.runs import actions, disclosure, local_runs, queries
from coe.work import Platform
from tests.factories.people import AUDITOR, SALES_OWNER, WAREHOUSE_WORKER
from tests.factories.runs import (
    CANARY,
    Leaves,
    central,
    column,
    engine,
    lapse,
    local,
    publish,
    start,
    until,
)

CALL = """  - pack:
      call: localFlow:1@default
      with:
        ref: warehouse/pick-and-pack
        input:
          order: ${ .customer }
"""


async def _publish_both(platform: Platform) -> None:
    await publish(platform, local("pick-and-pack"), "warehouse-developer")
    await publish(platform, central("ships", CALL))


async def _local_run(platform: Platform) -> UUID:
    await publish(platform, local("pick-and-pack"), "warehouse-developer")
    async with platform.work(Actor.of("warehouse-developer")) as work:
        run = await actions.start_run(work, flow="warehouse/pick-and-pack", input={"order": 7})
    return run.id


async def test_a_token_that_may_only_report_gets_no_input(platform: Platform) -> None:
    run_id = await _local_run(platform)
    reporter = replace(WAREHOUSE_WORKER, scopes=frozenset({"run:report"}))
    with pytest.raises(Forbidden):
        async with platform.work(reporter) as work:
            await local_runs.claim_run(work, run_id)
    both = replace(WAREHOUSE_WORKER, scopes=frozenset({"run:report", "run:read_data"}))
    async with platform.work(both) as work:
        assert (await local_runs.claim_run(work, run_id)).input == {"order": 7}


async def test_a_central_run_calls_a_local_flow_and_waits_for_its_output(
    platform: Platform,
) -> None:
    await _publish_both(platform)
    done: Counter[str] = Counter()

    async def pack(run: InlineLocalRun) -> JSON:
        async def reserve() -> JSON:
            done[run.key("reserve")] += 1
            return {"shelf": "A1", "for": run.input}

        reserved = await run.step("reserve", reserve)
        assert isinstance(reserved, dict)
        return {"parcel": reserved["shelf"]}

    async with engine(platform, Leaves(), {"warehouse/pick-and-pack": pack}):
        run = await start(platform, "sales/ships")
        ended = await until(platform, run.id, "COMPLETED", "FAULTED")
    assert ended.state == "COMPLETED", ended.error
    async with platform.work(SALES_OWNER) as work:
        data = await disclosure.read_run_data(work, [run.id])
        [step] = (await queries.steps_of_runs(work, [run.id]))[run.id]
        child = (await queries.children_by_step(work, [(run.id, step.key)]))[run.id, step.key]
        child_steps = await queries.steps_of_runs(work, [child.id])
    assert data[run.id].output == {"parcel": "A1"}
    assert (child.flow, child.state, child.local) == ("warehouse/pick-and-pack", "COMPLETED", True)
    assert child.correlation_id == run.correlation_id
    assert [(each.name, each.state) for each in child_steps[child.id]] == [("reserve", "COMPLETED")]
    assert list(done.values()) == [1]


async def test_a_local_fault_is_a_fault_of_the_step_that_called_it(platform: Platform) -> None:
    await _publish_both(platform)

    async def pack(run: InlineLocalRun) -> JSON:
        raise LocalFlowError({"type": "about:empty-shelf", "status": 409, "detail": CANARY})

    async with engine(platform, Leaves(), {"warehouse/pick-and-pack": pack}):
        run = await start(platform, "sales/ships")
        ended = await until(platform, run.id, "COMPLETED", "FAULTED")
    assert ended.error is not None
    assert (ended.state, ended.error.type, ended.error.status) == (
        "FAULTED",
        "about:empty-shelf",
        409,
    )
    assert ended.error.detail is None


async def test_completed_steps_are_handed_back_and_never_run_again(platform: Platform) -> None:
    run_id = await _local_run(platform)
    async with platform.work(WAREHOUSE_WORKER) as work:
        first = await local_runs.claim_run(work, run_id)
    assert (first.input, first.done) == ({"order": 7}, {})
    async with platform.work(WAREHOUSE_WORKER) as work:
        await local_runs.report_step(
            work,
            run_id,
            attempt=first.attempt,
            name="reserve",
            state=StepState.COMPLETED,
            output={"shelf": "B2"},
        )
    await lapse(platform)
    async with platform.work(WAREHOUSE_WORKER) as work:
        second = await local_runs.claim_run(work, run_id)
    assert second.attempt > first.attempt
    assert second.done == {"reserve": {"shelf": "B2"}}


async def test_a_superseded_attempt_is_refused(platform: Platform) -> None:
    run_id = await _local_run(platform)
    async with platform.work(WAREHOUSE_WORKER) as work:
        first = await local_runs.claim_run(work, run_id)
    await lapse(platform)
    async with platform.work(WAREHOUSE_WORKER) as work:
        second = await local_runs.claim_run(work, run_id)
    for report in (
        lambda work: local_runs.heartbeat_run(work, run_id, attempt=first.attempt),
        lambda work: local_runs.report_run(work, run_id, attempt=first.attempt, output={}),
        lambda work: local_runs.report_step(
            work, run_id, attempt=first.attempt, name="x", state=StepState.RUNNING
        ),
    ):
        with pytest.raises(Conflict):
            async with platform.work(WAREHOUSE_WORKER) as work:
                await report(work)
    async with platform.work(WAREHOUSE_WORKER) as work:
        run = await local_runs.report_run(
            work, run_id, attempt=second.attempt, output={"parcel": 1}
        )
    assert run.state == "COMPLETED"


async def test_a_step_is_reported_in_one_of_three_states(platform: Platform) -> None:
    run_id = await _local_run(platform)
    async with platform.work(WAREHOUSE_WORKER) as work:
        attempt = (await local_runs.claim_run(work, run_id)).attempt
        with pytest.raises(Invalid) as refused:
            await local_runs.report_step(
                work, run_id, attempt=attempt, name="pack", state=StepState.WAITING
            )
    assert [problem.path for problem in refused.value.problems] == ["/state"]


async def test_the_same_report_twice_is_fine_and_another_is_not(platform: Platform) -> None:
    run_id = await _local_run(platform)
    async with platform.work(WAREHOUSE_WORKER) as work:
        attempt = (await local_runs.claim_run(work, run_id)).attempt
    for _ in range(2):
        async with platform.work(WAREHOUSE_WORKER) as work:
            await local_runs.report_step(
                work, run_id, attempt=attempt, name="pack", state=StepState.COMPLETED, output=1
            )
        async with platform.work(WAREHOUSE_WORKER) as work:
            run = await local_runs.report_run(work, run_id, attempt=attempt, output={"parcel": 1})
        assert run.state == "COMPLETED"
    with pytest.raises(Conflict):
        async with platform.work(WAREHOUSE_WORKER) as work:
            await local_runs.report_run(work, run_id, attempt=attempt, error={"type": "about:no"})


async def test_a_live_worker_keeps_its_run(platform: Platform) -> None:
    run_id = await _local_run(platform)
    async with platform.work(WAREHOUSE_WORKER) as work:
        claim = await local_runs.claim_run(work, run_id)
    with pytest.raises(Conflict):
        async with platform.work(WAREHOUSE_WORKER) as work:
            await local_runs.claim_run(work, run_id)
    assert await reap_once(platform) == 0
    async with platform.work(WAREHOUSE_WORKER) as work:
        await local_runs.heartbeat_run(work, run_id, attempt=claim.attempt)


async def test_another_teams_worker_finds_nothing(platform: Platform) -> None:
    run_id = await _local_run(platform)
    with pytest.raises(NotFound):
        async with platform.work(Actor.of("service:worker/finance")) as work:
            await local_runs.claim_run(work, run_id)
    with pytest.raises(NotFound):
        async with platform.work(SALES_OWNER) as work:
            await local_runs.report_run(work, run_id, attempt=0, output={})


async def test_an_output_that_does_not_fit_its_schema_is_a_fault(platform: Platform) -> None:
    run_id = await _local_run(platform)
    async with platform.work(WAREHOUSE_WORKER) as work:
        attempt = (await local_runs.claim_run(work, run_id)).attempt
    async with platform.work(WAREHOUSE_WORKER) as work:
        run = await local_runs.report_run(work, run_id, attempt=attempt, output={"wrong": CANARY})
    assert run.state == "FAULTED"
    assert run.error is not None
    assert run.error.type.endswith("/validation")


async def test_a_worker_that_died_is_noticed_and_the_flow_continues(platform: Platform) -> None:
    run_id = await _local_run(platform)
    done: Counter[str] = Counter()

    async def pack(run: InlineLocalRun) -> JSON:
        async def count(name: str) -> JSON:
            done[name] += 1
            return name

        await run.step("reserve", lambda: count("reserve"))
        return {"parcel": await run.step("label", lambda: count("label"))}

    async with platform.work(WAREHOUSE_WORKER) as work:
        dead = await local_runs.claim_run(work, run_id)
    async with platform.work(WAREHOUSE_WORKER) as work:
        await local_runs.report_step(
            work,
            run_id,
            attempt=dead.attempt,
            name="reserve",
            state=StepState.COMPLETED,
            output="reserve",
        )
    async with engine(platform, Leaves(), {"warehouse/pick-and-pack": pack}):
        await lapse(platform)
        run = await until(platform, run_id, "COMPLETED", "FAULTED")
    assert run.state == "COMPLETED"
    assert done == {"label": 1}


async def test_what_a_team_writes_does_not_come_to_lie_in_clear(platform: Platform) -> None:
    run_id = await _local_run(platform)
    async with platform.work(WAREHOUSE_WORKER) as work:
        attempt = (await local_runs.claim_run(work, run_id)).attempt
    with pytest.raises(Invalid):
        async with platform.work(WAREHOUSE_WORKER) as work:
            await local_runs.report_step(
                work, run_id, attempt=attempt, name=f"for {CANARY}", state=StepState.RUNNING
            )
    error: dict[str, JSON] = {
        "type": f"error:{CANARY}",
        "status": 409,
        "title": CANARY,
        "instance": f"/orders/{CANARY}",
    }
    async with platform.work(WAREHOUSE_WORKER) as work:
        run = await local_runs.report_run(work, run_id, attempt=attempt, error=error)
    assert run.error is not None
    assert (run.error.type, run.error.status, run.error.instance) == ("about:blank", 409, None)
    async with platform.work(AUDITOR) as work:
        assert await disclosure.read_run_data(work, [run_id]) == {}
    async with platform.work(WAREHOUSE_WORKER) as work:
        whole = (await disclosure.read_run_data(work, [run_id]))[run_id].error
    assert whole is not None
    assert (whole.type, whole.title) == (f"error:{CANARY}", CANARY)


async def test_a_late_report_of_the_faulted_attempt_does_not_end_the_retry(
    platform: Platform,
) -> None:
    run_id = await _local_run(platform)
    async with platform.work(WAREHOUSE_WORKER) as work:
        attempt = (await local_runs.claim_run(work, run_id)).attempt
    error: dict[str, JSON] = {"type": "about:erp", "status": 503}
    async with platform.work(WAREHOUSE_WORKER) as work:
        await local_runs.report_run(work, run_id, attempt=attempt, error=error)
    async with platform.work(Actor.of("coe-lead")) as work:
        await actions.retry_run(work, run_id, reason="again")
    with pytest.raises(Conflict):
        async with platform.work(WAREHOUSE_WORKER) as work:
            await local_runs.report_run(work, run_id, attempt=attempt, error=error)
    async with platform.work(WAREHOUSE_WORKER) as work:
        assert (await local_runs.claim_run(work, run_id)).attempt > attempt


async def test_a_claim_whose_answer_was_lost_is_answered_again(platform: Platform) -> None:
    run_id = await _local_run(platform)
    attempts = []
    for _ in range(3):
        async with platform.work(WAREHOUSE_WORKER) as work:
            claim = await local_runs.claim_run(work, run_id, token="of-this-execution")
        attempts.append(claim.attempt)
    assert len(set(attempts)) == 1
    with pytest.raises(Conflict):
        async with platform.work(WAREHOUSE_WORKER) as work:
            await local_runs.claim_run(work, run_id, token="of-another-one")
    await lapse(platform)
    async with platform.work(WAREHOUSE_WORKER) as work:
        other = await local_runs.claim_run(work, run_id, token="of-another-one")
    assert other.attempt > attempts[0]
    with pytest.raises(Conflict):
        async with platform.work(WAREHOUSE_WORKER) as work:
            await local_runs.claim_run(work, run_id, token="of-this-execution")
    with pytest.raises(Invalid) as refused:
        async with platform.work(WAREHOUSE_WORKER) as work:
            await local_runs.claim_run(work, run_id, token="x y")
    assert [problem.path for problem in refused.value.problems] == ["/token"]


async def test_a_released_run_is_taken_at_once_and_its_steps_stay(platform: Platform) -> None:
    run_id = await _local_run(platform)
    async with platform.work(WAREHOUSE_WORKER) as work:
        first = await local_runs.claim_run(work, run_id)
    done = {"attempt": first.attempt, "name": "pack", "state": StepState.COMPLETED, "output": 1}
    async with platform.work(WAREHOUSE_WORKER) as work:
        await local_runs.report_step(work, run_id, **done)
    async with platform.work(WAREHOUSE_WORKER) as work:
        await local_runs.release_run(work, run_id, attempt=first.attempt)
    async with platform.database.session() as session:
        kinds = await session.scalars(select(OUTBOX.c.kind).where(OUTBOX.c.subject == run_id))
        assert OutboxKind.WAKE in kinds.all()
    for again in (local_runs.release_run, local_runs.heartbeat_run, local_runs.report_run):
        with pytest.raises(Conflict):
            async with platform.work(WAREHOUSE_WORKER) as work:
                await again(work, run_id, attempt=first.attempt)
    async with platform.work(WAREHOUSE_WORKER) as work:
        second = await local_runs.claim_run(work, run_id)
    assert second.attempt > first.attempt
    assert second.done == {"pack": 1}


async def test_leases_are_by_the_clock_of_the_database(platform: Platform) -> None:
    run_id = await _local_run(platform)
    wrong = replace(platform, clock=lambda: utcnow() + timedelta(hours=1))
    async with platform.work(WAREHOUSE_WORKER) as work:
        await local_runs.claim_run(work, run_id)
    with pytest.raises(Conflict):
        async with wrong.work(WAREHOUSE_WORKER) as work:
            await local_runs.claim_run(work, run_id)
    await lapse(platform)
    async with wrong.work(WAREHOUSE_WORKER) as work:
        await local_runs.claim_run(work, run_id)
    until = await column(platform, run_id, "lease_until")
    assert isinstance(until, datetime)
    assert until < utcnow() + timedelta(minutes=1)
