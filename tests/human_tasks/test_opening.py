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
from coe.runs import actions
from coe.runs.models import RunState
from coe.runs.tables import TASKS, TIMERS
from coe.work import Platform
from tests.factories.human_tasks import complete, open_waiting, running
from tests.factories.people import FINANCE_APPROVER, SALES_OWNER

__all__ = ["running"]


ESCALATES = """        dueIn: {hours: 1}
        escalate:
          - {after: {hours: 2}, to: sales/process-owner}
"""


async def test_an_unanswered_task_escalates_and_expires(running: Runtime) -> None:
    platform = running.platform
    run_id, task_id = await open_waiting(running, more=ESCALATES)
    assert await fire_due(platform) == 0
    await _bring_forward(platform, run_id)
    assert await fire_due(platform) == 1
    assert await fire_due(platform) == 0
    async with platform.read(SALES_OWNER) as read:
        task = await task_queries.task(read, task_id)
        extras = (await task_queries.task_extras(read, [task_id]))[task_id]
    assert task is not None
    assert task.state == "ESCALATED"
    assert task.candidate_roles == ("finance/finance-approver", "sales/process-owner")
    assert [each.to for each in extras.escalations] == ["sales/process-owner"]
    assert isinstance(await advance(running, run_id), Parked)
    await _bring_forward(platform, run_id)
    assert await fire_due(platform) == 1
    assert await advance(running, run_id) == Finished(RunState.FAULTED)
    async with platform.read(SALES_OWNER) as read:
        task = await task_queries.task(read, task_id)
    assert task is not None
    assert task.state == "EXPIRED"


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


async def _bring_forward(platform: Platform, run_id: UUID) -> None:
    """Make the run's timers due now."""
    past = utcnow() - timedelta(seconds=1)
    async with platform.database.session() as session:
        await session.execute(update(TIMERS).where(TIMERS.c.run_id == run_id).values(due_at=past))
        await session.execute(update(TASKS).where(TASKS.c.run_id == run_id).values(due_at=past))
        await session.commit()
