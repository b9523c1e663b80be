"""The inbox of human tasks, and recorded reads."""

from __future__ import annotations

from sqlalchemy import select, update

from coe.access.actor import Actor
from coe.execution.runtime import Runtime
from coe.human_tasks import queries as task_queries
from coe.runs import disclosure
from coe.runs.tables import TASKS
from coe.runs.task_models import HumanTaskState
from coe.runs.task_records import TaskFilter
from coe.work import Platform
from tests.factories.audit import AUDIT
from tests.factories.human_tasks import complete, open_waiting, running
from tests.factories.people import FINANCE_APPROVER, FINANCE_LEAD, OUTSIDER, SALES_OWNER
from tests.factories.runs import CANARY

__all__ = ["running"]

SALES_LEAD = Actor.of("sales-lead")
TWO_APPROVALS = """  - decide:
      call: humanTask:1@default
      with:
        title: Decide
        candidates: {roles: ["finance/finance-approver"]}
        outcomes: [approved, refused]
        approvals: 2
"""


async def test_the_inbox_shows_claimable_tasks(running: Runtime) -> None:
    platform = running.platform
    run_id, task_id = await open_waiting(running)
    async with platform.read(FINANCE_APPROVER) as read:
        [mine] = (await task_queries.inbox(read, TaskFilter(claimable=True))).items
        assert (mine.id, mine.title) == (task_id, f"Approve the order of {CANARY}")
        [step] = (await task_queries.tasks_by_step(read, [(run_id, mine.key)])).values()
        assert step == mine
        assert (await task_queries.inbox(read, TaskFilter(assigned_to_me=True))).total == 0
        assert (await task_queries.inbox(read, TaskFilter(overdue=True))).total == 0
        assert (await task_queries.inbox(read, TaskFilter(overdue=False))).total == 1
    async with platform.read(SALES_OWNER) as read:
        assert (await task_queries.inbox(read)).total == 1
        assert (await task_queries.inbox(read, TaskFilter(claimable=True))).total == 0
    async with platform.read(OUTSIDER) as read:
        assert (await task_queries.inbox(read)).total == 0


async def claimable(platform: Platform, actor: Actor) -> int:
    async with platform.read(actor) as read:
        return (await task_queries.inbox(read, TaskFilter(claimable=True))).total


async def test_who_has_approved_a_task_is_not_shown_it_as_claimable(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await open_waiting(running, tasks=TWO_APPROVALS)
    await complete(platform, task_id, FINANCE_LEAD)
    assert await claimable(platform, FINANCE_LEAD) == 0
    assert await claimable(platform, FINANCE_APPROVER) == 1


async def test_who_started_a_run_is_not_shown_its_tasks_as_claimable(running: Runtime) -> None:
    platform = running.platform
    await open_waiting(running, tasks=TWO_APPROVALS.replace("finance/finance-approver", "*/lead"))
    leads = {lead: await claimable(platform, lead) for lead in (SALES_LEAD, FINANCE_LEAD)}
    assert leads == {SALES_LEAD: 1, FINANCE_LEAD: 1}
    async with platform.database.session() as session:
        await session.execute(update(TASKS).values(requester=SALES_LEAD.subject))
        await session.commit()
    assert await claimable(platform, SALES_LEAD) == 0
    assert await claimable(platform, FINANCE_LEAD) == 1


async def test_the_inbox_shows_decided_tasks_on_request(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await open_waiting(running)
    await complete(platform, task_id, FINANCE_APPROVER)
    async with platform.read(FINANCE_APPROVER) as read:
        assert (await task_queries.inbox(read)).items == ()
        decided = TaskFilter(states=(HumanTaskState.COMPLETED,))
        assert [each.id for each in (await task_queries.inbox(read, decided)).items] == [task_id]


async def test_reading_its_context_is_recorded(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await open_waiting(running)
    async with platform.work(FINANCE_APPROVER) as work:
        data = await disclosure.read_task_data(work, [task_id])
    assert data[task_id].context == {"customer": CANARY}
    async with platform.database.session() as session:
        readers = await session.scalars(
            select(AUDIT.c.actor).where(AUDIT.c.action == "runs:human_task:read_data")
        )
        assert list(readers) == ["finance-approver"]
