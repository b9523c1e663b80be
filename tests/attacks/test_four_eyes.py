"""Attempts to have several people approve different things."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import select

from coe.access.actor import Actor
from coe.errors import CoeError, Conflict, Forbidden, Invalid
from coe.execution.advance import Finished, Parked, advance
from coe.execution.runtime import Runtime
from coe.json_types import JSON
from coe.language.expressions.evaluator import Expressions
from coe.machine.approvals import answer_digest
from coe.machine.facts import FactKind
from coe.runs import disclosure
from coe.runs.models import RunState
from coe.runs.queries import run as read_run
from coe.runs.tables import APPROVALS, RUNS
from coe.schedules.event_triggers import settle
from coe.testing.cases import SimulationCase
from coe.testing.people import approvers
from coe.testing.run_definition import simulate
from tests.factories.events import paid, send
from tests.factories.human_tasks import complete, open_waiting, output_of, running, task_of
from tests.factories.people import FINANCE_APPROVER, FINANCE_LEAD, SALES_DEVELOPER, SALES_OWNER
from tests.factories.schedules import flow, publish_scheduled
from tests.machine.scenarios import definition

__all__ = ["running"]

PAYOUT = """
  - ask:
      call: humanTask:1@default
      with:
        title: Pay out
        candidates: {roles: [finance/finance-approver, finance/lead]}
        outcomes: [approved, rejected]
        approvals: 2
        form: {type: object, properties: {amount: {type: number}}}
"""
SMALL: dict[str, JSON] = {"amount": 10.00}
LARGE: dict[str, JSON] = {"amount": 999_999.00}


async def waiting(running: Runtime) -> tuple[UUID, UUID]:
    return await open_waiting(running, tasks=PAYOUT)


async def test_approving_one_amount_and_then_another(running: Runtime) -> None:
    platform = running.platform
    run_id, task = await waiting(running)
    await complete(platform, task, FINANCE_APPROVER, answer=SMALL)
    after = await complete(platform, task, FINANCE_LEAD, answer=LARGE)
    assert after.state == "OPEN"
    assert isinstance(await advance(running, run_id), Parked)
    async with platform.database.session() as session:
        rows = await session.execute(
            select(APPROVALS.c.by, APPROVALS.c.voided_by).order_by(APPROVALS.c.at, APPROVALS.c.id)
        )
        found = [(row.by, row.voided_by) for row in rows]
    assert found == [("finance-approver", "finance-lead"), ("finance-lead", None)]
    await complete(platform, task, FINANCE_APPROVER, answer=LARGE)
    assert await advance(running, run_id) == Finished(RunState.COMPLETED)
    output = await output_of(platform, run_id)
    assert isinstance(output, dict)
    assert output["answer"] == LARGE


@pytest.mark.parametrize("answer", [None, {}, {"amount": 10, "to": "me"}, {"amount": 10.01}])
async def test_approving_what_only_resembles(running: Runtime, answer: object) -> None:
    _, task = await waiting(running)
    await complete(running.platform, task, FINANCE_APPROVER, answer=SMALL)
    try:
        after = await complete(running.platform, task, FINANCE_LEAD, answer=answer)
    except Invalid:
        return
    assert after.state == "OPEN"


async def test_changing_the_answer_while_another_person_agrees(running: Runtime) -> None:
    platform = running.platform
    _, task = await waiting(running)
    await complete(platform, task, FINANCE_APPROVER, answer=SMALL)
    seen = answer_digest("approved", SMALL)
    with pytest.raises(Invalid):
        await complete(platform, task, FINANCE_LEAD, answer=LARGE, agrees_to=seen)
    await complete(platform, task, FINANCE_LEAD, answer=LARGE)
    with pytest.raises(Conflict):  # what was seen counts no more
        await complete(platform, task, FINANCE_APPROVER, answer=SMALL, agrees_to=seen)


async def test_approving_twice_by_way_of_a_void_approval(running: Runtime) -> None:
    platform = running.platform
    run_id, task = await waiting(running)
    await complete(platform, task, FINANCE_APPROVER, answer=SMALL)
    with pytest.raises(Forbidden):
        await complete(platform, task, FINANCE_APPROVER, answer=SMALL)
    await complete(platform, task, FINANCE_LEAD, answer=LARGE)
    again = await complete(platform, task, FINANCE_APPROVER, answer=SMALL)  # voids the large one
    assert again.state == "OPEN"
    with pytest.raises(Forbidden):
        await complete(platform, task, FINANCE_APPROVER, answer=SMALL)
    assert isinstance(await advance(running, run_id), Parked)


async def test_two_answers_at_once(running: Runtime) -> None:
    platform = running.platform
    run_id, task = await waiting(running)

    async def answer(actor: Actor, amount: JSON) -> str:
        try:
            return (await complete(platform, task, actor, answer=amount)).state.value
        except CoeError as error:
            return type(error).__name__

    states = await asyncio.gather(answer(FINANCE_APPROVER, SMALL), answer(FINANCE_LEAD, LARGE))
    assert set(states) == {"OPEN"}
    assert isinstance(await advance(running, run_id), Parked)


async def test_counting_the_approval_of_another_outcome(running: Runtime) -> None:
    """A refusal decides at once, and takes no approval of something else with it."""
    platform = running.platform
    run_id, task = await waiting(running)
    await complete(platform, task, FINANCE_APPROVER, answer=LARGE)
    await complete(platform, task, FINANCE_LEAD, "rejected", answer=LARGE)
    assert await advance(running, run_id) == Finished(RunState.COMPLETED)
    output = await output_of(platform, run_id)
    assert isinstance(output, dict)
    assert (output["outcome"], output["by"]) == ("rejected", "finance-lead")


async def test_hiding_from_a_second_approver_what_the_first_approved(running: Runtime) -> None:
    platform = running.platform
    _, task = await waiting(running)
    await complete(platform, task, FINANCE_APPROVER, answer=SMALL, reason="as agreed")
    async with platform.database.session() as session:
        approval = (await session.execute(select(APPROVALS.c.id))).scalar_one()
    async with platform.work(FINANCE_LEAD) as work:
        shown = (await disclosure.read_approval_data(work, [approval]))[approval]
    assert (shown.answer, shown.comment) == (SMALL, "as agreed")
    done = await complete(platform, task, FINANCE_LEAD, answer=shown.answer, agrees_to=shown.digest)
    assert done.state == "COMPLETED"


@pytest.mark.parametrize(
    ("second", "state"), [(LARGE, "WAITING"), ({"amount": 10}, "COMPLETED")], ids=["other", "same"]
)
async def test_two_amounts_pass_in_a_test_of_the_flow(second: JSON, state: str) -> None:
    """The simulation waits where the platform waits."""
    task = {
        "title": "Pay",
        "candidates": {"roles": ["lead"]},
        "outcomes": ["approved", "rejected"],
        "approvals": 2,
    }
    asks = definition({"do": [{"ask": {"call": "humanTask:1@default", "with": task}}]})
    answers: JSON = [{"by": "ann", "answer": SMALL}, {"by": "bob", "answer": second}]
    case = SimulationCase(stubs={"ask": {"answers": answers}})
    async with Expressions(workers=1) as expressions:
        trace = await simulate(asks, case, expressions.evaluate)
    answered = [fact for fact in trace.journal if fact.kind is FactKind.TASK_ANSWERED]
    assert ("COMPLETED" if answered else "WAITING") == state
    bys = [approvers(fact.data) for fact in answered]
    assert bys == ([["ann", "bob"]] if state == "COMPLETED" else [])


SET = """
  on:
    all:
      - with: {type: order.placed}
      - with: {type: order.paid}"""
ASK = """
  - ask:
      call: humanTask:1@default
      with:
        title: Pay out
        candidates: {roles: [developer, process-owner, lead]}
        exclude: []
        outcomes: [approved, rejected]
"""


@pytest.mark.parametrize("sender", [SALES_DEVELOPER, SALES_OWNER], ids=["first", "last"])
async def test_approving_a_run_that_ones_event_of_a_set_started(
    running: Runtime, sender: Actor
) -> None:
    platform = running.platform
    text = flow(SET)
    await publish_scheduled(platform, text[: text.index("do:")] + "do:" + ASK)
    for kind, actor in (("order.placed", SALES_DEVELOPER), ("order.paid", SALES_OWNER)):
        [sent] = await send(platform, paid(type=kind, id=kind), actor=actor)
        await settle(platform, sent.id)
    async with platform.database.session() as session:
        run_id = (await session.execute(select(RUNS.c.id))).scalar_one()
    assert isinstance(await advance(running, run_id), Parked)
    async with platform.read(SALES_OWNER) as read:
        run = await read_run(read, run_id)
    assert run is not None
    assert run.requesters == ("sales-developer", "sales-owner")
    with pytest.raises(Forbidden, match="requester"):
        await complete(platform, await task_of(platform, run_id), sender)
