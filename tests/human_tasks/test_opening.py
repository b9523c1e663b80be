"""Human tasks that nobody answers, and those of cancelled runs."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from coe.db import utcnow
from coe.errors import Conflict
from coe.execution.advance import Finished, Parked, advance
from coe.execution.due_timers import fire_due
from coe.execution.runtime import Runtime
from coe.human_tasks import queries as task_queries
from coe.json_types import JSON
from coe.leaves.leaf import LeafFault
from coe.machine.commands import RunLeaf
from coe.runs import actions
from coe.runs.models import RunState, TimerKind
from coe.runs.tables import TASKS, TIMERS
from coe.runs.task_records import TaskRecord
from coe.work import Platform
from tests.factories.human_tasks import complete, open_waiting, running
from tests.factories.people import FINANCE_APPROVER, SALES_OWNER
from tests.factories.runs import APPROVAL, HTTP, Leaves, runtime

__all__ = ["running"]


MINUTE = timedelta(minutes=1)
ESCALATES = """        dueIn: PT2M
        escalate:
          - {after: PT3M, to: finance/lead}
          - {after: PT1M, to: process-owner}
"""


async def _next_times(platform: Platform, run_id: UUID, task_id: UUID) -> tuple[timedelta, ...]:
    """How long after the opening of the task its next timer is due, and the task itself."""
    async with platform.database.session() as session:
        created, due = (
            await session.execute(
                select(TASKS.c.created_at, TASKS.c.due_at).where(TASKS.c.id == task_id)
            )
        ).one()
        timers = await session.execute(select(TIMERS.c.due_at).where(TIMERS.c.run_id == run_id))
    times = [*timers.scalars(), due]
    return tuple(timedelta(seconds=round((each - created).total_seconds())) for each in times)


async def _escalated(platform: Platform, task_id: UUID) -> tuple[TaskRecord, list[str]]:
    async with platform.read(SALES_OWNER) as read:
        task = await task_queries.task(read, task_id)
        extras = (await task_queries.task_extras(read, [task_id]))[task_id]
    assert task is not None
    return task, [each.to for each in extras.escalations]


async def test_each_stage_fires_after_the_opening_and_the_last_may_delay_the_timeout(
    running: Runtime,
) -> None:
    platform = running.platform
    run_id, task_id = await open_waiting(running, more=ESCALATES)
    assert await fire_due(platform) == 0
    assert await _next_times(platform, run_id, task_id) == (MINUTE, 2 * MINUTE)
    await _bring_forward(platform, run_id)
    assert await fire_due(platform) == 1
    assert await fire_due(platform) == 0
    task, escalations = await _escalated(platform, task_id)
    assert (task.state, escalations) == ("ESCALATED", ["sales/process-owner"])
    assert task.candidate_roles == ("finance/finance-approver", "sales/process-owner")
    assert await _next_times(platform, run_id, task_id) == (3 * MINUTE, 2 * MINUTE)
    assert isinstance(await advance(running, run_id), Parked)
    await _bring_forward(platform, run_id)
    assert await fire_due(platform) == 1
    task, escalations = await _escalated(platform, task_id)
    assert (task.state, escalations) == ("ESCALATED", ["sales/process-owner", "finance/lead"])
    assert await _next_times(platform, run_id, task_id) == (2 * MINUTE, 2 * MINUTE)
    await _bring_forward(platform, run_id)
    assert await fire_due(platform) == 1
    assert await advance(running, run_id) == Finished(RunState.FAULTED)
    task, _ = await _escalated(platform, task_id)
    assert task.state == "EXPIRED"


async def test_a_retry_does_not_escalate_again_to_who_was_asked_already(
    platform: Platform,
) -> None:
    fails = [True]

    async def book(_: RunLeaf) -> JSON:
        if fails and fails.pop():
            raise LeafFault({"type": "about:erp", "status": 503})
        return {}

    ask = "".join(
        f"        {line}\n" for line in (APPROVAL.rstrip() + "\n" + ESCALATES).splitlines()
    )
    call = "".join(f"              {line}\n" for line in HTTP.format(name="book").splitlines())
    fork = f"  - both:\n      fork:\n        branches:\n{ask}          - booking:\n"
    booking = f"              do:\n                - pause: {{wait: PT30S}}\n{call}"
    async with runtime(platform, Leaves({"book": book})) as running:
        run_id, task_id = await open_waiting(running, tasks=fork + booking)
        await _bring_forward(platform, run_id, TimerKind.TASK)
        await _bring_forward(platform, run_id, TimerKind.MACHINE)
        assert await fire_due(platform) == 2
        assert await advance(running, run_id) == Finished(RunState.FAULTED)
        async with platform.work(SALES_OWNER) as work:
            await actions.retry_run(work, run_id, reason="the ERP is back")
        assert isinstance(await advance(running, run_id), Parked)
        task, escalations = await _escalated(platform, task_id)
        assert (task.state, escalations) == ("ESCALATED", ["sales/process-owner"])
        await _bring_forward(platform, run_id, TimerKind.TASK)
        assert await fire_due(platform) == 1
    _, escalations = await _escalated(platform, task_id)
    assert escalations == ["sales/process-owner", "finance/lead"]


async def test_a_task_that_an_earlier_version_opened_keeps_its_times(running: Runtime) -> None:
    platform = running.platform
    run_id, task_id = await open_waiting(running, more="        dueIn: PT2M\n")
    old = [{"after": 60.0, "to": "sales/process-owner"}]
    async with platform.database.session() as session:
        await session.execute(update(TASKS).values(stages=old))
        await session.commit()
    await _bring_forward(platform, run_id)
    assert await fire_due(platform) == 1
    task, escalations = await _escalated(platform, task_id)
    assert (task.state, escalations) == ("ESCALATED", ["sales/process-owner"])
    assert await _next_times(platform, run_id, task_id) == (3 * MINUTE, 3 * MINUTE)


async def test_a_task_without_a_due_time_never_expires(running: Runtime) -> None:
    platform = running.platform
    stage = "        escalate: [{after: PT1M, to: finance/lead}]\n"
    run_id, task_id = await open_waiting(running, more=stage)
    await _bring_forward(platform, run_id)
    assert await fire_due(platform) == 1
    task, escalations = await _escalated(platform, task_id)
    assert (task.state, task.due_at, escalations) == ("ESCALATED", None, ["finance/lead"])
    async with platform.database.session() as session:
        assert (await session.execute(select(TIMERS))).all() == []


async def test_a_cancelled_run_closes_its_task_and_its_timer(running: Runtime) -> None:
    platform = running.platform
    run_id, task_id = await open_waiting(running, more=ESCALATES)
    async with platform.work(SALES_OWNER) as work:
        await actions.cancel_run(work, run_id, reason="no longer wanted")
    assert await advance(running, run_id) == Finished(RunState.CANCELLED)
    with pytest.raises(Conflict):
        await complete(platform, task_id, FINANCE_APPROVER)
    async with platform.database.session() as session:
        assert (await session.execute(select(TIMERS))).all() == []


async def _bring_forward(
    platform: Platform, run_id: UUID, kind: TimerKind = TimerKind.TASK
) -> None:
    """Make the run's timers of a kind due now."""
    mine = (TIMERS.c.run_id == run_id) & (TIMERS.c.kind == kind)
    past = utcnow() - timedelta(seconds=1)
    async with platform.database.session() as session:
        await session.execute(update(TIMERS).where(mine).values(due_at=past))
        await session.commit()
