"""Whose role a candidate role is, and who is excluded because they answered an earlier task."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import select, update

from coe.access.actor import Actor
from coe.errors import Forbidden, Invalid, NotFound
from coe.execution.advance import Finished, Parked, advance
from coe.execution.runtime import Runtime
from coe.governance import access
from coe.human_tasks import actions as human_tasks
from coe.human_tasks import queries as task_queries
from coe.runs import disclosure
from coe.runs.models import RunState
from coe.runs.tables import TASKS
from coe.runs.task_records import TaskFilter, TaskRecord
from coe.work import Platform
from tests.factories.human_tasks import running, task_of
from tests.factories.people import FINANCE_APPROVER, FINANCE_LEAD, SALES_OWNER
from tests.factories.runs import Leaves, central, engine, publish, start

__all__ = ["running"]

SALES_LEAD = Actor.of("sales-lead")
WAREHOUSE_LEAD = Actor.of("warehouse-lead")
EXCLUDED = "p, relation:excluded, *, human_task:complete, *, deny"


def ask(name: str, roles: str, more: str = "", *, indent: int = 2) -> str:
    text = f"""- {name}:
    call: humanTask:1@default
    with: {{title: {name}, context: {{salary: 5000}}, candidates: {{roles: {roles}}}{more}}}
"""
    return "".join(" " * indent + line + "\n" for line in text.splitlines())


FINANCE = "[finance/finance-approver]"
LEAD_OF_FINANCE = "[finance/lead]"


async def waiting(running: Runtime, tasks: str) -> UUID:
    await publish(running.platform, central("asks", tasks))
    run = await start(running.platform, "sales/asks")
    assert isinstance(await advance(running, run.id), Parked)
    return run.id


async def tasks_of(platform: Platform, run_id: UUID | None = None) -> dict[str, TaskRecord]:
    """The open tasks of a run, or of all runs, by their titles."""
    async with platform.database.session() as session:
        which = TASKS.c.run_id == run_id if run_id else TASKS.c.id.is_not(None)
        found = await session.execute(
            select(TASKS.c.id).where(which, TASKS.c.state.in_(["OPEN", "CLAIMED", "ESCALATED"]))
        )
        ids = list(found.scalars())
    async with platform.read(SALES_OWNER) as read:
        return {each.title: each for each in (await task_queries.tasks_by_id(read, ids)).values()}


async def answer(platform: Platform, task: TaskRecord, actor: Actor) -> None:
    async with platform.work(actor) as work:
        await human_tasks.complete_task(work, task.id, outcome=task.outcomes[0], answer={})


async def answered(running: Runtime, run_id: UUID, name: str, actor: Actor) -> None:
    """Answer the task, and let the run go on."""
    await answer(running.platform, (await tasks_of(running.platform, run_id))[name], actor)
    await advance(running, run_id)


async def refused(platform: Platform, task: TaskRecord, actor: Actor) -> None:
    """The actor is excluded at every door, and whoever asks why is told so."""
    with pytest.raises(Forbidden) as forbidden:
        await answer(platform, task, actor)
    assert forbidden.value.extensions["rule"] == EXCLUDED
    with pytest.raises(Forbidden):
        async with platform.work(actor) as work:
            await human_tasks.claim_task(work, task.id)
    async with platform.read(actor) as read:
        page = await task_queries.inbox(read, TaskFilter(claimable=True))
    assert task.id not in [each.id for each in page.items]
    async with platform.work(SALES_OWNER) as work:
        decision = await access.explain_access(
            work, actor.subject, "human_task:complete", f"human_task:{task.id}"
        )
    assert (decision.allowed, decision.rule) == (False, EXCLUDED)


# ---------------------------------------------------------------- whose role
async def sees(platform: Platform, task_id: UUID, actor: Actor) -> bool:
    """Whether the actor sees the task and its context; one goes with the other."""
    async with platform.work(actor) as work:
        seen = await task_queries.task(work, task_id) is not None
        assert (task_id in await disclosure.read_task_data(work, [task_id])) is seen
    return seen


LEADS = (SALES_LEAD, FINANCE_LEAD, WAREHOUSE_LEAD)


async def test_a_role_is_that_of_the_flow_s_team_or_of_the_team_named(running: Runtime) -> None:
    platform = running.platform
    roles = {"own": "[lead]", "other": "[finance/lead]", "every": "['*/lead']"}
    who = {"own": LEADS[:1], "other": LEADS[1:2], "every": LEADS}
    branches = "".join(ask(name, each, indent=10) for name, each in roles.items())
    run_id = await waiting(running, f"  - all:\n      fork:\n        branches:\n{branches}")
    for name, task in (await tasks_of(platform, run_id)).items():
        for actor in LEADS:
            assert await sees(platform, task.id, actor) is (actor in who[name]), (name, actor)
        await only(platform, task, who[name])


async def only(platform: Platform, task: TaskRecord, who: tuple[Actor, ...]) -> None:
    """Nobody else can claim the task, or is one to whom it can be delegated."""
    for actor in set(LEADS) - set(who):
        with pytest.raises(NotFound):
            async with platform.work(actor) as work:
                await human_tasks.claim_task(work, task.id)
    async with platform.work(who[0]) as work:
        await human_tasks.claim_task(work, task.id)
        for to in {"coe-reviewer", *(each.subject for each in LEADS)}:
            delegating = human_tasks.delegate_task(work, task.id, to=to, comment="please")
            if to in {each.subject for each in who}:
                await delegating
                await human_tasks.delegate_task(work, task.id, to=who[0].subject, comment="no")
            else:
                with pytest.raises(Invalid):
                    await delegating


async def test_a_task_of_an_earlier_version_of_the_platform_asks_the_flow_s_team(
    running: Runtime,
) -> None:
    platform = running.platform
    run_id = await waiting(running, ask("look", "[finance/lead]"))
    task_id = await task_of(platform, run_id)
    async with platform.database.session() as session:
        await session.execute(update(TASKS).values(candidate_roles=["lead"], question=None))
        await session.commit()
    assert await sees(platform, task_id, SALES_LEAD)
    assert not await sees(platform, task_id, FINANCE_LEAD)
    assert (await tasks_of(platform, run_id))["look"].candidate_roles == ("sales/lead",)
    async with platform.work(SALES_OWNER) as work:
        for actor in (SALES_LEAD, FINANCE_LEAD):
            decision = await access.explain_access(
                work, actor.subject, "human_task:claim", f"human_task:{task_id}"
            )
            assert decision.allowed is (actor is SALES_LEAD)
    await answered(running, run_id, "look", SALES_LEAD)


# ---------------------------------------------------------------- exclude: [approvers]
async def test_who_answered_an_earlier_task_does_not_answer_the_next(running: Runtime) -> None:
    platform = running.platform
    more = ", exclude: [requester, approvers]"
    run_id = await waiting(running, ask("first", FINANCE) + ask("second", FINANCE, more))
    await answered(running, run_id, "first", FINANCE_LEAD)
    second = (await tasks_of(platform, run_id))["second"]
    assert second.exclude == ("requester", "approvers")
    await refused(platform, second, FINANCE_LEAD)
    async with platform.work(FINANCE_APPROVER) as work:
        await human_tasks.claim_task(work, second.id)
        with pytest.raises(Invalid):
            await human_tasks.delegate_task(work, second.id, to="finance-lead", comment="please")
    await answer(platform, second, FINANCE_APPROVER)
    assert await advance(running, run_id) == Finished(RunState.COMPLETED)


async def test_each_of_several_approvers_is_excluded_from_the_next(running: Runtime) -> None:
    platform = running.platform
    first = ask("first", FINANCE, ", approvals: 2")
    run_id = await waiting(running, first + ask("second", FINANCE, ", exclude: [approvers]"))
    await answer(platform, (await tasks_of(platform, run_id))["first"], FINANCE_APPROVER)
    await answered(running, run_id, "first", FINANCE_LEAD)
    second = (await tasks_of(platform, run_id))["second"]
    for actor in (FINANCE_APPROVER, FINANCE_LEAD):
        await refused(platform, second, actor)


async def test_a_task_with_approvals_excludes_earlier_approvers_by_default(
    running: Runtime,
) -> None:
    platform = running.platform
    tasks = [("free", ""), ("none", ", approvals: 1, exclude: []"), ("counted", ", approvals: 1")]
    run_id = await waiting(running, "".join(ask(name, FINANCE, more) for name, more in tasks))
    await answered(running, run_id, "free", FINANCE_LEAD)
    await answered(running, run_id, "none", FINANCE_LEAD)
    await refused(platform, (await tasks_of(platform, run_id))["counted"], FINANCE_LEAD)


async def test_a_task_that_is_asked_again_is_no_other_task(running: Runtime) -> None:
    platform = running.platform
    items = """  - each:
      for: {in: '${ [1, 2] }'}
      do:
"""
    task = ask("decide", FINANCE, ", approvals: 1", indent=8)
    run_id = await waiting(running, items + task)
    await answered(running, run_id, "decide", FINANCE_LEAD)
    await answered(running, run_id, "decide", FINANCE_LEAD)
    assert await tasks_of(platform) == {}


async def test_a_chain_in_a_loop_asks_different_people(running: Runtime) -> None:
    platform = running.platform
    chain = """  - chain:
      for: {each: role, in: '${ ["finance/finance-approver", "finance/lead"] }'}
      do:
"""
    task = ask("decide", "['${ $role }']", ", exclude: [approvers]", indent=8)
    run_id = await waiting(running, chain + task)
    await answered(running, run_id, "decide", FINANCE_LEAD)
    await refused(platform, (await tasks_of(platform, run_id))["decide"], FINANCE_LEAD)


async def test_two_calls_of_a_declared_function_are_two_tasks(running: Runtime) -> None:
    platform = running.platform
    declared = central("asks", "  - first: {call: review}\n  - second: {call: review}\n")
    function = ask("review", FINANCE, ", exclude: [approvers]", indent=4).replace("- ", "  ", 1)
    await publish(platform, declared.replace("do:\n", f"use:\n  functions:\n{function}do:\n", 1))
    run = await start(platform, "sales/asks")
    await advance(running, run.id)
    await answered(running, run.id, "review", FINANCE_LEAD)
    await refused(platform, (await tasks_of(platform, run.id))["review"], FINANCE_LEAD)


async def test_two_tasks_are_not_answered_at_once_by_one_person(running: Runtime) -> None:
    platform = running.platform
    more = ", exclude: [approvers]"
    branches = ask("left", FINANCE, more, indent=10) + ask("right", FINANCE, more, indent=10)
    run_id = await waiting(running, f"  - both:\n      fork:\n        branches:\n{branches}")
    tasks = await tasks_of(platform, run_id)
    done = await asyncio.gather(
        *(answer(platform, task, FINANCE_LEAD) for task in tasks.values()), return_exceptions=True
    )
    assert {type(each) for each in done} == {Forbidden, type(None)}


# ---------------------------------------------------------------- called flows
async def opened(platform: Platform, name: str) -> TaskRecord:
    async with asyncio.timeout(20):
        while name not in (found := await tasks_of(platform)):
            await asyncio.sleep(0.03)
    return found[name]


async def test_a_process_that_is_cut_into_flows_excludes_as_one(platform: Platform) -> None:
    more = ", exclude: [approvers]"
    call = """  - part:
      run: {workflow: {namespace: sales, name: part, version: 1.0.0, input: {customer: A}}}
"""
    await publish(platform, central("part", ask("inner", FINANCE, more)))
    whole = ask("before", FINANCE) + call + ask("after", FINANCE, more)
    await publish(platform, central("whole", whole))
    async with engine(platform, Leaves()):
        await start(platform, "sales/whole")
        await answer(platform, await opened(platform, "before"), FINANCE_LEAD)
        inner = await opened(platform, "inner")
        await refused(platform, inner, FINANCE_LEAD)
        await answer(platform, inner, FINANCE_APPROVER)
        after = await opened(platform, "after")
    for actor in (FINANCE_LEAD, FINANCE_APPROVER):
        await refused(platform, after, actor)
