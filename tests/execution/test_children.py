"""Runs that a run calls: once a step, checked, cancelled and taken up again with it."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select

from coe.engines.inline import InlineEngine
from coe.errors import Conflict
from coe.execution.advance import Finished, Parked, advance
from coe.execution.dispatch import dispatch_once
from coe.json_types import JSON
from coe.leaves.leaf import LeafFault
from coe.machine.commands import RunLeaf
from coe.outbox import OUTBOX
from coe.runs import actions, disclosure, local_runs, queries
from coe.runs.models import RunState
from coe.runs.records import RunRecord
from coe.runs.tables import RUNS
from coe.work import Platform
from tests.execution.test_crashes import Crash, CrashingJournal
from tests.factories.audit import AUDIT
from tests.factories.people import OUTSIDER, SALES_OWNER, WAREHOUSE_WORKER
from tests.factories.runs import (
    CANARY,
    HTTP,
    Leaves,
    central,
    engine,
    lapse,
    local,
    publish,
    runtime,
    start,
    until,
)

INNER = """  - inner:
      run:
        workflow: {{namespace: sales, name: inner, version: 1.0.0, input: {input}}}
"""
CALL = INNER.format(input="'${ {customer: .customer} }'")


async def _children(platform: Platform, run_id: UUID) -> tuple[RunRecord, ...]:
    async with platform.read(SALES_OWNER) as read:
        return (await queries.children_of_runs(read, [run_id])).get(run_id, ())


async def test_a_process_calls_a_process(platform: Platform) -> None:
    await publish(platform, central("inner", HTTP.format(name="credit")))
    await publish(platform, central("outer", CALL + HTTP.format(name="book")))
    leaves = Leaves({"credit": {"score": 5}, "book": {"booked": True}})
    async with engine(platform, leaves):
        run = await start(platform, "sales/outer", correlation_id="order-1")
        assert (await until(platform, run.id, "COMPLETED", "FAULTED")).state == "COMPLETED"
    [child] = await _children(platform, run.id)
    assert (child.state, child.correlation_id, child.local) == ("COMPLETED", "order-1", False)
    assert leaves.calls == {"credit": 1, "book": 1}
    async with platform.database.session() as session:
        started = await session.execute(
            select(AUDIT.c.actor, AUDIT.c.resource, AUDIT.c.rule).where(
                AUDIT.c.action == "runs:run:start"
            )
        )
        found = {row.resource: (row.actor, row.rule) for row in started}
    assert found["flow:sales/inner@1.0.0"] == (
        f"run:{run.id}",
        "p, kind:run, *, run:start, *, allow",
    )


async def test_the_requester_of_a_run_may_read_its_children(platform: Platform) -> None:
    await publish(platform, local("pick-and-pack"), "warehouse-developer")
    call = """  - pack:
      call: localFlow:1@default
      with: {ref: warehouse/pick-and-pack, input: {order: 1}, timeout: PT1M}
"""
    await publish(platform, central("ships", call))
    run = await start(platform, "sales/ships")
    async with runtime(platform, Leaves()) as running:
        await advance(running, run.id)
    [child] = await _children(platform, run.id)
    async with platform.work(SALES_OWNER) as work:
        assert await queries.run(work, child.id) is not None
        assert await disclosure.read_run_data(work, [child.id]) == {}
    async with platform.read(OUTSIDER) as read:
        assert await queries.run(read, child.id) is None


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_crash_while_starting_a_child_starts_one(
    platform: Platform,
    after: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    await publish(platform, central("inner", HTTP.format(name="credit")))
    await publish(platform, central("outer", CALL))
    leaves = Leaves({"credit": {"score": 5}})
    run = await start(platform, "sales/outer")
    async with runtime(platform, leaves) as dying:
        dying.journal = CrashingJournal(platform.database, 1, after=after)  # type: ignore[misc]  # the seam
        with pytest.raises(Crash):
            await advance(dying, run.id)
    await lapse(platform)
    async with engine(platform, leaves):
        assert (await until(platform, run.id, "COMPLETED")).state == "COMPLETED"
    assert len(await _children(platform, run.id)) == 1
    assert leaves.calls == {"credit": 1}


async def test_what_cannot_be_started_is_a_fault_of_the_step(platform: Platform) -> None:
    await publish(platform, central("inner", HTTP.format(name="credit")))
    bad = INNER.format(input="'${ {amount: .customer} }'")
    await publish(platform, central("outer", bad))
    run = await start(platform, "sales/outer")
    async with runtime(platform, Leaves()) as running:
        assert await advance(running, run.id) == Finished(RunState.FAULTED)
    async with platform.work(SALES_OWNER) as work:
        error = (await disclosure.read_run_data(work, [run.id]))[run.id].error
    assert error is not None
    assert error.type.endswith("/validation")
    assert error.detail is not None
    assert "/input/amount" in error.detail
    assert CANARY not in error.detail
    async with platform.database.session() as session:
        assert await session.scalar(select(func.count()).select_from(RUNS)) == 1


async def test_a_retry_takes_up_the_neighbours_that_the_fault_stopped(platform: Platform) -> None:
    both = """  - both:
      fork:
        branches:
          - sub:
              run:
                workflow: {namespace: sales, name: inner, version: 1.0.0}
          - other:
              call: http
              with: {method: get, endpoint: https://erp.example.com/other}
              timeout: {after: PT1H}
"""
    await publish(platform, central("inner", HTTP.format(name="credit")))
    await publish(platform, central("outer", both))
    fails = [True]

    async def other(leaf: RunLeaf) -> JSON:
        if fails and fails.pop():
            raise LeafFault({"type": "about:erp", "status": 503})
        return "other"

    leaves = Leaves({"credit": "credit", "other": other})
    run = await start(platform, "sales/outer")
    async with runtime(platform, leaves) as running:
        assert await advance(running, run.id) == Finished(RunState.FAULTED)
    async with engine(platform, leaves) as inline:
        await until(platform, (await _children(platform, run.id))[0].id, "CANCELLED")
        await dispatch_once(platform, inline)
        async with platform.work(SALES_OWNER) as work:
            await actions.retry_run(work, run.id, reason="again")
        assert (await until(platform, run.id, "COMPLETED", "FAULTED")).state == "COMPLETED"
    async with platform.work(SALES_OWNER) as work:
        data = (await disclosure.read_run_data(work, [run.id]))[run.id]
    assert data.output == ["credit", "other"]


async def test_a_child_is_not_retried_by_itself(platform: Platform) -> None:
    await publish(platform, central("inner", HTTP.format(name="credit")))
    await publish(platform, central("outer", CALL))

    async def credit(leaf: RunLeaf) -> JSON:
        raise LeafFault({"type": "about:erp", "status": 503})

    async with engine(platform, Leaves({"credit": credit})):
        run = await start(platform, "sales/outer")
        await until(platform, run.id, "FAULTED")
    [child] = await _children(platform, run.id)
    assert child.state == "FAULTED"
    with pytest.raises(Conflict):
        async with platform.work(SALES_OWNER) as work:
            await actions.retry_run(work, child.id, reason="by itself")


PACKS = """  - both:
      fork:
        branches:
          - pack:
              call: localFlow:1@default
              with: {ref: warehouse/pick-and-pack, input: {order: 1}}
              timeout: {after: PT1H}
          - other:
              call: http
              with: {method: get, endpoint: https://erp.example.com/other}
              timeout: {after: PT1H}
"""


async def _faulted_beside_a_child(platform: Platform) -> tuple[UUID, UUID, Leaves]:
    """A run that faulted, the child that it was waiting for, and leaves that will not fail again.

    The child is claimed by its worker, as attempt 1.
    """
    await publish(platform, local("pick-and-pack"), "warehouse-developer")
    await publish(platform, central("outer", PACKS))
    fails = [True]

    async def other(leaf: RunLeaf) -> JSON:
        if fails and fails.pop():
            raise LeafFault({"type": "about:erp", "status": 503})
        return "other"

    leaves = Leaves({"other": other})
    run = await start(platform, "sales/outer")
    async with runtime(platform, leaves) as running:
        assert await advance(running, run.id) == Finished(RunState.FAULTED)
    [child] = await _children(platform, run.id)
    async with platform.work(WAREHOUSE_WORKER) as work:
        assert (await local_runs.claim_run(work, child.id)).attempt == 1
    return run.id, child.id, leaves


async def test_the_end_of_a_child_during_a_retry_of_its_run_arrives(platform: Platform) -> None:
    run_id, child_id, leaves = await _faulted_beside_a_child(platform)
    async with runtime(platform, leaves) as running:
        async with platform.work(WAREHOUSE_WORKER) as work:
            await local_runs.report_run(work, child_id, attempt=1, output={"parcel": 1})
            async with platform.work(SALES_OWNER) as retrying:
                await actions.retry_run(retrying, run_id, reason="again")
            going = asyncio.create_task(advance(running, run_id))
            await asyncio.sleep(0.5)
        assert await going == Finished(RunState.COMPLETED)


async def test_a_cancellation_from_before_the_retry_is_no_fault_of_the_child(
    platform: Platform,
) -> None:
    run_id, child_id, leaves = await _faulted_beside_a_child(platform)
    async with platform.work(SALES_OWNER) as work:
        await actions.retry_run(work, run_id, reason="again")
    async with runtime(platform, leaves) as running:
        inline = InlineEngine(running)
        async with platform.database.session() as session:
            await session.execute(delete(OUTBOX).where(OUTBOX.c.kind != "cancel"))
            await session.commit()
        assert await dispatch_once(platform, inline) == 1
        [child] = await _children(platform, run_id)
        assert child.state == "CANCELLED"
        assert isinstance(await advance(running, run_id), Parked)
    async with platform.work(WAREHOUSE_WORKER) as work:
        attempt = (await local_runs.claim_run(work, child_id)).attempt
    async with platform.work(WAREHOUSE_WORKER) as work:
        await local_runs.report_run(work, child_id, attempt=attempt, output={"parcel": 1})
    async with runtime(platform, leaves) as running:
        assert await advance(running, run_id) == Finished(RunState.COMPLETED)
