"""The verbs on human tasks: who may answer, what is checked, what follows."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import select

from coe.errors import Conflict, Forbidden, Invalid, NotFound
from coe.execution.advance import Finished, Parked, advance
from coe.execution.runtime import Runtime
from coe.human_tasks import actions as human_tasks
from coe.human_tasks import queries as task_queries
from coe.outbox import OUTBOX
from coe.runs import disclosure, leases
from coe.runs.models import RunState
from tests.factories.audit import AUDIT
from tests.factories.human_tasks import complete, open_waiting, output_of, running, task_of
from tests.factories.people import FINANCE_APPROVER, FINANCE_LEAD, OUTSIDER, SALES_OWNER
from tests.factories.runs import APPROVAL, CANARY, central, publish, start

__all__ = ["running"]


async def test_the_answer_is_the_output_of_the_step(running: Runtime) -> None:
    platform = running.platform
    run_id, task_id = await open_waiting(running)
    async with platform.work(FINANCE_APPROVER) as work:
        claimed = await human_tasks.claim_task(work, task_id)
    assert (claimed.state, claimed.assignee) == ("CLAIMED", "finance-approver")
    done = await complete(platform, task_id, FINANCE_APPROVER, reason="a good customer")
    assert (done.state, done.outcome, done.completed_by) == (
        "COMPLETED",
        "approved",
        "finance-approver",
    )
    assert await advance(running, run_id) == Finished(RunState.COMPLETED)
    output = await output_of(platform, run_id)
    assert isinstance(output, dict)
    assert {name: output[name] for name in ("outcome", "answer", "reason", "by")} == {
        "outcome": "approved",
        "answer": {"limit": 3},
        "reason": "a good customer",
        "by": "finance-approver",
    }


async def test_the_requester_is_refused_with_the_deciding_line(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await open_waiting(running)
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
    _, task_id = await open_waiting(running)
    with pytest.raises(NotFound):
        async with running.platform.work(OUTSIDER) as work:
            await human_tasks.claim_task(work, task_id)
    async with running.platform.work(OUTSIDER) as work:
        assert await task_queries.task(work, task_id) is None
        assert await disclosure.read_task_data(work, [task_id]) == {}


async def test_an_answer_that_does_not_fit_gives_located_problems(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await open_waiting(running)
    with pytest.raises(Invalid) as refused:
        await complete(platform, task_id, FINANCE_APPROVER, "maybe", answer={"limit": CANARY})
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
    _, task_id = await open_waiting(running)
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
    _, task_id = await open_waiting(running)
    async with platform.work(FINANCE_APPROVER) as work:
        await human_tasks.claim_task(work, task_id)
    for to in ("sales-owner", "warehouse-developer", "nobody"):
        with pytest.raises(Invalid):
            async with platform.work(FINANCE_APPROVER) as work:
                await human_tasks.delegate_task(work, task_id, to=to, comment="please")
    async with platform.work(FINANCE_APPROVER) as work:
        with pytest.raises(Invalid):
            await human_tasks.delegate_task(work, task_id, to="finance-lead", comment="\n")
        task = await human_tasks.delegate_task(
            work, task_id, to="finance-lead", comment="I am away"
        )
    assert task.assignee == "finance-lead"
    await complete(platform, task_id, FINANCE_LEAD)


async def test_the_requester_cannot_delegate_the_decision(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await open_waiting(running)
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
    run_id, task_id = await open_waiting(running, more="        approvals: 2\n")
    first = await complete(platform, task_id, FINANCE_APPROVER)
    assert (first.state, first.assignee, first.approvals_needed) == ("OPEN", None, 2)
    assert isinstance(await advance(running, run_id), Parked)
    with pytest.raises(Forbidden):
        await complete(platform, task_id, FINANCE_APPROVER)
    second = await complete(platform, task_id, FINANCE_LEAD)
    assert second.state == "COMPLETED"
    async with platform.read(FINANCE_LEAD) as read:
        extras = (await task_queries.task_extras(read, [task_id]))[task_id]
    assert [(each.by, each.decision) for each in extras.approvals] == [
        ("finance-approver", "approved"),
        ("finance-lead", "approved"),
    ]
    assert await advance(running, run_id) == Finished(RunState.COMPLETED)


async def test_one_refusal_decides_where_two_approvals_are_needed(running: Runtime) -> None:
    run_id, task_id = await open_waiting(running, more="        approvals: 2\n")
    done = await complete(running.platform, task_id, FINANCE_APPROVER, "rejected")
    assert (done.state, done.outcome) == ("COMPLETED", "rejected")
    assert await advance(running, run_id) == Finished(RunState.COMPLETED)


async def test_a_closed_task_accepts_no_second_answer(running: Runtime) -> None:
    _, task_id = await open_waiting(running)
    await complete(running.platform, task_id, FINANCE_APPROVER)
    with pytest.raises((Conflict, Forbidden)):
        await complete(running.platform, task_id, FINANCE_LEAD, "rejected")


async def test_a_task_is_not_delegated_to_an_approver(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await open_waiting(running, more="        approvals: 2\n")
    await complete(platform, task_id, FINANCE_APPROVER)
    async with platform.work(FINANCE_LEAD) as work:
        await human_tasks.claim_task(work, task_id)
        with pytest.raises(Invalid):
            await human_tasks.delegate_task(
                work, task_id, to=FINANCE_APPROVER.subject, comment="once more"
            )


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
            answered.append(await task_of(platform, run.id))
            await complete(platform, answered[0], FINANCE_APPROVER)
        return await park(session, lease)

    monkeypatch.setattr(leases, "park", answered_just_before)
    assert await advance(running, run.id) == Finished(RunState.COMPLETED)
    assert answered


async def test_an_answer_to_a_parked_run_queues_its_wake_up(running: Runtime) -> None:
    run_id, task_id = await open_waiting(running)
    await complete(running.platform, task_id, FINANCE_APPROVER)
    async with running.platform.database.session() as session:
        kinds = await session.execute(select(OUTBOX.c.kind).where(OUTBOX.c.subject == run_id))
        assert "wake" in set(kinds.scalars())
