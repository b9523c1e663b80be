"""Who cancelled or retried a run, and why, stays with the run."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import select

from coe.access.actor import Actor
from coe.errors import Invalid
from coe.json_types import JSON
from coe.runs import actions, local_runs
from coe.runs.interventions import interventions_of_runs
from coe.runs.queries import children_of_runs
from coe.runs.tables import INTERVENTIONS
from coe.work import MAX_REASON_LENGTH, Platform
from tests.factories.people import FINANCE_LEAD, WAREHOUSE_DEVELOPER, WAREHOUSE_WORKER
from tests.factories.runs import CANARY, central, engine, local, publish, read_run, start, until

LEAD = Actor.of("warehouse-lead")


async def _requested(platform: Platform) -> UUID:
    await publish(platform, local("pack"), "warehouse-developer")
    async with platform.work(WAREHOUSE_DEVELOPER) as work:
        return (await actions.start_run(work, flow="warehouse/pack", input={"order": 7})).id


async def _kept(platform: Platform, run_id: UUID, actor: Actor = LEAD) -> list[tuple[str, ...]]:
    async with platform.read(actor) as read:
        found = (await interventions_of_runs(read, [run_id])).get(run_id, ())
    return [(each.kind.value, each.by, each.reason) for each in found]


@pytest.mark.parametrize("reason", ["", "  \n", "x" * (MAX_REASON_LENGTH + 1)])
async def test_a_reason_must_say_something(platform: Platform, reason: str) -> None:
    run_id = await _requested(platform)
    for verb in (actions.cancel_run, actions.retry_run):
        with pytest.raises(Invalid) as refused:
            async with platform.work(LEAD) as work:
                await verb(work, run_id, reason=reason)
        assert [problem.path for problem in refused.value.problems] == ["/reason"]
    assert (await read_run(platform, run_id)).state == "REQUESTED"


async def test_the_run_shows_who_intervened_and_why(platform: Platform) -> None:
    run_id = await _requested(platform)
    async with platform.work(WAREHOUSE_WORKER) as work:
        attempt = (await local_runs.claim_run(work, run_id)).attempt
    error: dict[str, JSON] = {"type": "about:erp", "status": 503}
    async with platform.work(WAREHOUSE_WORKER) as work:
        await local_runs.report_run(work, run_id, attempt=attempt, error=error)
    async with platform.work(WAREHOUSE_DEVELOPER) as work:
        await actions.retry_run(work, run_id, reason="the WMS is back")
    async with platform.work(LEAD) as work:
        await actions.cancel_run(work, run_id, reason=f"{CANARY} called it off")
    assert await _kept(platform, run_id) == [
        ("RETRY", "warehouse-developer", "the WMS is back"),
        ("CANCEL", "warehouse-lead", f"{CANARY} called it off"),
    ]
    assert await _kept(platform, run_id, FINANCE_LEAD) == []
    async with platform.database.session() as session:
        stored = (await session.execute(select(INTERVENTIONS.c.reason_sealed))).scalars().all()
    assert all(CANARY.encode() not in sealed for sealed in stored)


async def test_a_run_that_its_caller_cancelled_says_so(platform: Platform) -> None:
    await publish(platform, local("pack"), "warehouse-developer")
    call = """  - pack:
      call: localFlow:1@default
      with: {ref: warehouse/pack, input: {order: 7}, timeout: PT1S}
"""
    await publish(platform, central("ships", call))
    async with engine(platform):
        run = await start(platform, "sales/ships")
        await until(platform, run.id, "FAULTED")
        async with platform.read(Actor.of("coe-lead")) as read:
            [child] = (await children_of_runs(read, [run.id]))[run.id]
        await until(platform, child.id, "CANCELLED")
    [(kind, by, reason)] = await _kept(platform, child.id)
    assert (kind, by) == ("CANCEL", f"run:{run.id}")
    assert "no longer needs it" in reason
