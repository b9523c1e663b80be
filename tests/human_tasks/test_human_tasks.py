"""Human tasks: who may answer, what is checked, how they end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from coe.audit.models import AuditEvent
from coe.db import utcnow
from coe.errors import Conflict, Forbidden, Invalid, NotFound
from coe.execution.advance import Finished, Parked, advance
from coe.execution.due_timers import fire_due
from coe.execution.runtime import Runtime
from coe.human_tasks import actions as human_tasks
from coe.human_tasks import queries as task_queries
from coe.json_types import JSON
from coe.runs import actions, disclosure, leases
from coe.runs.models import RunState
from coe.runs.records import RunData
from coe.runs.tables import OUTBOX, TASKS, TIMERS
from coe.runs.task_models import HumanTaskState
from coe.runs.task_records import TaskFilter, TaskRecord
from coe.work import Platform
from tests.factories.people import FINANCE_APPROVER, FINANCE_LEAD, OUTSIDER, SALES_OWNER
from tests.factories.runs import APPROVAL, CANARY, Leaves, central, publish, runtime, start

AUDIT = AuditEvent.metadata.tables["audit_events"]


@pytest.fixture
async def running(platform: Platform) -> AsyncIterator[Runtime]:
    async with runtime(platform, Leaves()) as opened:
        yield opened


async def _open(running: Runtime, *, more: str = "", tasks: str | None = None) -> tuple[UUID, UUID]:
    """Start a run that waits for its task; return both ids."""
    platform = running.platform
    await publish(platform, central("asks", tasks or APPROVAL.rstrip() + "\n" + more))
    run = await start(platform, "sales/asks")
    assert isinstance(await advance(running, run.id), Parked)
    return run.id, await _task_of(platform, run.id)


async def _task_of(platform: Platform, run_id: UUID) -> UUID:
    async with platform.database.session() as session:
        return (
            await session.execute(select(TASKS.c.id).where(TASKS.c.run_id == run_id))
        ).scalar_one()


async def _complete(
    platform: Platform, task_id: UUID, actor, outcome: str = "approved", **more
) -> TaskRecord:
    async with platform.work(actor) as work:
        return await human_tasks.complete_task(
            work, task_id, outcome=outcome, **{"answer": {"limit": 3}, **more}
        )


async def _output(platform: Platform, run_id: UUID) -> JSON:
    async with platform.work(SALES_OWNER) as work:
        data: RunData = (await disclosure.read_run_data(work, [run_id]))[run_id]
    return data.output


async def test_the_answer_is_the_output_of_the_step(running: Runtime) -> None:
    platform = running.platform
    run_id, task_id = await _open(running)
    async with platform.work(FINANCE_APPROVER) as work:
        claimed = await human_tasks.claim_task(work, task_id)
    assert (claimed.state, claimed.assignee) == ("CLAIMED", "finance-approver")
    done = await _complete(platform, task_id, FINANCE_APPROVER, reason="a good customer")
    assert (done.state, done.outcome, done.completed_by) == (
        "COMPLETED",
        "approved",
        "finance-approver",
    )
    assert await advance(running, run_id) == Finished(RunState.COMPLETED)
    output = await _output(platform, run_id)
    assert isinstance(output, dict)
    assert {name: output[name] for name in ("outcome", "answer", "reason", "by")} == {
        "outcome": "approved",
        "answer": {"limit": 3},
        "reason": "a good customer",
        "by": "finance-approver",
    }


async def test_the_requester_is_refused_with_the_deciding_line(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await _open(running)
    for verb in (
        lambda work: human_tasks.claim_task(work, task_id),
        lambda work: human_tasks.complete_task(work, task_id, outcome="approved", answer={}),
    ):
        with pytest.raises(Forbidden) as refused:
            async with platform.work(SALES_OWNER) as work:
                await verb(work)
        assert "deny" in str(refused.value.extensions["rule"])
    async with platform.database.session() as session:
        events = await session.execute(
            select(AUDIT.c.actor, AUDIT.c.rule, AUDIT.c.resource).where(AUDIT.c.outcome == "DENIED")
        )
        found = events.all()
    assert [(each.actor, each.resource) for each in found] == [
        ("sales-owner", f"human_task:{task_id}")
    ] * 2
    assert all("deny" in each.rule for each in found)


async def test_a_task_that_may_not_be_read_is_not_found(running: Runtime) -> None:
    _, task_id = await _open(running)
    with pytest.raises(NotFound):
        async with running.platform.work(OUTSIDER) as work:
            await human_tasks.claim_task(work, task_id)
    async with running.platform.work(OUTSIDER) as work:
        assert await task_queries.task(work, task_id) is None
        assert await disclosure.read_task_data(work, [task_id]) == {}


async def test_an_answer_that_does_not_fit_gives_located_problems(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await _open(running)
    with pytest.raises(Invalid) as refused:
        await _complete(platform, task_id, FINANCE_APPROVER, "maybe", answer={"limit": CANARY})
    problems = refused.value.problems
    assert [(each.code, each.path) for each in problems] == [
        ("INPUT_OUTCOME", "/outcome"),
        ("INPUT_TYPE", "/answer/limit"),
    ]
    assert CANARY not in "".join(each.message for each in problems)
    async with platform.read(FINANCE_APPROVER) as read:
        task = await task_queries.task(read, task_id)
    assert task is not None
    assert task.state == "OPEN"


async def test_a_claimed_task_is_closed_to_others(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await _open(running)
    async with platform.work(FINANCE_APPROVER) as work:
        await human_tasks.claim_task(work, task_id)
    for verb in (
        lambda work: human_tasks.claim_task(work, task_id),
        lambda work: human_tasks.complete_task(
            work, task_id, outcome="approved", answer={"limit": 1}
        ),
    ):
        with pytest.raises(Conflict):
            async with platform.work(FINANCE_LEAD) as work:
                await verb(work)
    async with platform.work(FINANCE_APPROVER) as work:
        released = await human_tasks.release_task(work, task_id)
    assert (released.state, released.assignee) == ("OPEN", None)
    async with platform.work(FINANCE_LEAD) as work:
        assert (await human_tasks.claim_task(work, task_id)).assignee == "finance-lead"


async def test_a_task_is_delegated_to_a_candidate_only(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await _open(running)
    async with platform.work(FINANCE_APPROVER) as work:
        await human_tasks.claim_task(work, task_id)
    for to in ("sales-owner", "warehouse-developer", "nobody"):
        with pytest.raises(Invalid):
            async with platform.work(FINANCE_APPROVER) as work:
                await human_tasks.delegate_task(work, task_id, to=to, comment="please")
    async with platform.work(FINANCE_APPROVER) as work:
        task = await human_tasks.delegate_task(
            work, task_id, to="finance-lead", comment="I am away"
        )
    assert task.assignee == "finance-lead"
    await _complete(platform, task_id, FINANCE_LEAD)


async def test_the_requester_cannot_delegate_the_decision(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await _open(running)
    async with platform.work(FINANCE_APPROVER) as work:
        await human_tasks.claim_task(work, task_id)
    with pytest.raises(Forbidden):
        async with platform.work(SALES_OWNER) as work:
            await human_tasks.delegate_task(work, task_id, to="finance-lead", comment="rather you")
    with pytest.raises(Forbidden):
        async with platform.work(SALES_OWNER) as work:
            await human_tasks.release_task(work, task_id)


async def test_two_approvals_come_from_two_persons(running: Runtime) -> None:
    platform = running.platform
    run_id, task_id = await _open(running, more="        approvals: 2\n")
    first = await _complete(platform, task_id, FINANCE_APPROVER)
    assert (first.state, first.assignee, first.approvals_needed) == ("OPEN", None, 2)
    assert isinstance(await advance(running, run_id), Parked)
    with pytest.raises(Forbidden):
        await _complete(platform, task_id, FINANCE_APPROVER)
    second = await _complete(platform, task_id, FINANCE_LEAD)
    assert second.state == "COMPLETED"
    async with platform.read(FINANCE_LEAD) as read:
        extras = (await task_queries.task_extras(read, [task_id]))[task_id]
    assert [(each.by, each.decision) for each in extras.approvals] == [
        ("finance-approver", "approved"),
        ("finance-lead", "approved"),
    ]
    assert await advance(running, run_id) == Finished(RunState.COMPLETED)


async def test_one_refusal_decides_where_two_approvals_are_needed(running: Runtime) -> None:
    run_id, task_id = await _open(running, more="        approvals: 2\n")
    done = await _complete(running.platform, task_id, FINANCE_APPROVER, "rejected")
    assert (done.state, done.outcome) == ("COMPLETED", "rejected")
    assert await advance(running, run_id) == Finished(RunState.COMPLETED)


async def test_a_closed_task_accepts_no_second_answer(running: Runtime) -> None:
    _, task_id = await _open(running)
    await _complete(running.platform, task_id, FINANCE_APPROVER)
    with pytest.raises((Conflict, Forbidden)):
        await _complete(running.platform, task_id, FINANCE_LEAD, "rejected")


async def test_the_inbox_shows_claimable_tasks(running: Runtime) -> None:
    platform = running.platform
    run_id, task_id = await _open(running)
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


async def test_the_inbox_shows_decided_tasks_on_request(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await _open(running)
    await _complete(platform, task_id, FINANCE_APPROVER)
    async with platform.read(FINANCE_APPROVER) as read:
        assert (await task_queries.inbox(read)).items == ()
        decided = TaskFilter(states=(HumanTaskState.COMPLETED,))
        assert [each.id for each in (await task_queries.inbox(read, decided)).items] == [task_id]


async def test_reading_its_context_is_recorded(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await _open(running)
    async with platform.work(FINANCE_APPROVER) as work:
        data = await disclosure.read_task_data(work, [task_id])
    assert data[task_id].context == {"customer": CANARY}
    async with platform.database.session() as session:
        readers = await session.scalars(
            select(AUDIT.c.actor).where(AUDIT.c.action == "runs:human_task:read_data")
        )
        assert list(readers) == ["finance-approver"]


async def test_a_task_is_not_delegated_to_an_approver(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await _open(running, more="        approvals: 2\n")
    await _complete(platform, task_id, FINANCE_APPROVER)
    async with platform.work(FINANCE_LEAD) as work:
        await human_tasks.claim_task(work, task_id)
        with pytest.raises(Invalid):
            await human_tasks.delegate_task(
                work, task_id, to=FINANCE_APPROVER.subject, comment="once more"
            )


ESCALATES = """        dueIn: {hours: 1}
        escalate:
          - {after: {hours: 2}, to: sales/process-owner}
"""


async def test_an_unanswered_task_escalates_and_expires(running: Runtime) -> None:
    platform = running.platform
    run_id, task_id = await _open(running, more=ESCALATES)
    assert await fire_due(platform) == 0
    await _bring_forward(platform, run_id)
    assert await fire_due(platform) == 1
    assert await fire_due(platform) == 0
    async with platform.read(SALES_OWNER) as read:
        task = await task_queries.task(read, task_id)
        extras = (await task_queries.task_extras(read, [task_id]))[task_id]
    assert task is not None
    assert task.state == "ESCALATED"
    assert task.candidate_roles == ("finance-approver", "sales/process-owner")
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
    run_id, task_id = await _open(running, more=ESCALATES)
    async with platform.work(SALES_OWNER) as work:
        await actions.cancel_run(work, run_id, reason="no longer wanted")
    assert await advance(running, run_id) == Finished(RunState.CANCELLED)
    with pytest.raises(Conflict):
        await _complete(platform, task_id, FINANCE_APPROVER)
    async with platform.database.session() as session:
        assert (await session.execute(select(TIMERS))).all() == []


async def test_an_answer_while_the_run_parks_is_not_missed(
    running: Runtime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    platform = running.platform
    await publish(platform, central("asks", APPROVAL))
    run = await start(platform, "sales/asks")
    park = leases.park
    answered: list[UUID] = []

    async def answered_just_before(session, lease):
        if not answered:
            answered.append(await _task_of(platform, run.id))
            await _complete(platform, answered[0], FINANCE_APPROVER)
        return await park(session, lease)

    monkeypatch.setattr(leases, "park", answered_just_before)
    assert await advance(running, run.id) == Finished(RunState.COMPLETED)
    assert answered


async def test_an_answer_to_a_parked_run_queues_its_wake_up(running: Runtime) -> None:
    run_id, task_id = await _open(running)
    await _complete(running.platform, task_id, FINANCE_APPROVER)
    async with running.platform.database.session() as session:
        kinds = await session.execute(select(OUTBOX.c.kind).where(OUTBOX.c.subject == run_id))
        assert "wake" in set(kinds.scalars())


async def _bring_forward(platform: Platform, run_id: UUID) -> None:
    """Make the run's timers due now."""
    past = utcnow() - timedelta(seconds=1)
    async with platform.database.session() as session:
        await session.execute(update(TIMERS).where(TIMERS.c.run_id == run_id).values(due_at=past))
        await session.execute(update(TASKS).where(TASKS.c.run_id == run_id).values(due_at=past))
        await session.commit()
