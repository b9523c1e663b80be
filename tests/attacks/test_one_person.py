"""What somebody tries as two: as herself, and as a service whose token she made."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import select, update

from coe.access.actor import Actor
from coe.catalog import actions as catalog
from coe.errors import Conflict, Forbidden, Invalid
from coe.execution.advance import Parked, advance
from coe.execution.runtime import Runtime
from coe.human_tasks import actions as human_tasks
from coe.review.drafts import register_flow
from coe.runs import actions
from coe.runs.queries import run as read_run
from coe.runs.tables import RUNS, TASKS
from coe.schedules.event_triggers import settle
from coe.work import Platform
from tests.conftest import ROOT
from tests.factories.catalog import central as flow_of_returns
from tests.factories.events import paid, send
from tests.factories.human_tasks import complete, running, task_of
from tests.factories.people import (
    COE_LEAD,
    COE_REVIEWER,
    FINANCE_APPROVER,
    FINANCE_LEAD,
    SALES_DEVELOPER,
    SALES_OWNER,
)
from tests.factories.runs import APPROVAL, CANARY, central, publish
from tests.factories.schedules import flow, publish_scheduled, started

__all__ = ["running"]

EXCLUDING = APPROVAL.replace("exclude: [requester]", "exclude: [sales-lead]")
TWO = APPROVAL + "        approvals: 2\n"


def made_by(actor: Actor, maker: Actor) -> Actor:
    """The actor with a credential that the other made."""
    return replace(actor, maker=maker.subject)


async def waiting(running: Runtime, starter: Actor, task: str = APPROVAL) -> UUID:
    """A task of a run that somebody started."""
    await publish(running.platform, central("asks", task))
    async with running.platform.work(starter) as work:
        run = await actions.start_run(work, flow="sales/asks", input={"customer": CANARY})
    assert isinstance(await advance(running, run.id), Parked)
    return await task_of(running.platform, run.id)


@pytest.mark.parametrize(
    ("starter", "approver"),
    [
        (made_by(SALES_OWNER, FINANCE_APPROVER), FINANCE_APPROVER),
        (SALES_OWNER, made_by(FINANCE_APPROVER, SALES_OWNER)),
        (made_by(SALES_OWNER, COE_LEAD), made_by(FINANCE_APPROVER, COE_LEAD)),
    ],
    ids=["the maker approves", "what was made approves", "two that one person made"],
)
async def test_a_run_is_started_as_the_one_and_approved_as_the_other(
    running: Runtime, starter: Actor, approver: Actor
) -> None:
    task_id = await waiting(running, starter, EXCLUDING)  # the policy alone keeps them apart
    with pytest.raises(Forbidden):
        await complete(running.platform, task_id, approver)
    async with running.platform.work(approver) as work:
        with pytest.raises(Forbidden):
            await human_tasks.claim_task(work, task_id)
    await complete(running.platform, task_id, FINANCE_LEAD)


async def test_the_maker_is_excluded_and_what_was_made_answers(running: Runtime) -> None:
    task_id = await waiting(running, SALES_OWNER, EXCLUDING)
    as_lead = made_by(FINANCE_APPROVER, Actor.of("sales-lead"))
    with pytest.raises(Forbidden):
        await complete(running.platform, task_id, as_lead)
    await complete(running.platform, task_id, FINANCE_APPROVER)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (made_by(FINANCE_APPROVER, FINANCE_LEAD), FINANCE_LEAD),
        (FINANCE_LEAD, made_by(FINANCE_APPROVER, FINANCE_LEAD)),
    ],
)
async def test_one_person_gives_both_approvals(
    running: Runtime, first: Actor, second: Actor
) -> None:
    task_id = await waiting(running, SALES_OWNER, TWO)
    await complete(running.platform, task_id, first)
    with pytest.raises(Forbidden):
        await complete(running.platform, task_id, second)


async def test_an_event_starts_a_run_that_its_senders_maker_approves(
    running: Runtime,
) -> None:
    """Of a set of events the last sender alone was the requester."""
    platform = running.platform
    both = """{on: {all: [{with: {type: one}}, {with: {type: two}}]}}"""
    await publish_scheduled(platform, flow(both))
    shop = Actor.of("service:web-shop", maker="sales-lead")
    for kind, sender in (("one", shop), ("two", SALES_OWNER)):
        [sent] = await send(platform, paid(type=kind), actor=sender)
        await settle(platform, sent.id)
    [run] = await started(platform)
    async with platform.database.session() as session:
        found = select(RUNS.c.requester_persons).where(RUNS.c.id == run.id)
        assert await session.scalar(found) == ["sales-lead", "sales-owner", "service:web-shop"]


@pytest.mark.parametrize(
    ("author", "reviewer"),
    [
        (made_by(SALES_DEVELOPER, COE_REVIEWER), COE_REVIEWER),
        (SALES_DEVELOPER, made_by(COE_REVIEWER, SALES_DEVELOPER)),
    ],
)
async def test_a_version_is_written_as_the_one_and_reviewed_as_the_other(
    platform: Platform, author: Actor, reviewer: Actor
) -> None:
    async with platform.work(author) as work:
        saved = await register_flow(work, flow_of_returns())
    async with platform.work(author) as work:
        await catalog.submit_for_review(work, saved.version.ref)
    async with platform.work(reviewer) as work:
        with pytest.raises(Forbidden):
            await catalog.review(work, saved.version.ref, approve=True, comment="mine")
    async with platform.work(COE_LEAD) as work:
        await catalog.review(work, saved.version.ref, approve=True, comment="fine")
    async with platform.work(made_by(COE_REVIEWER, COE_LEAD)) as work:
        with pytest.raises((Conflict, Forbidden)):
            await catalog.review(work, saved.version.ref, approve=True, comment="again")


async def test_the_maker_reads_what_only_the_service_may(running: Runtime) -> None:
    """The relation that she has through the service may refuse, and never allow."""
    stranger = Actor.of("warehouse-developer")
    task_id = await waiting(running, made_by(SALES_OWNER, stranger))
    async with running.platform.database.session() as session:
        run_id = await session.scalar(select(TASKS.c.run_id).where(TASKS.c.id == task_id))
    async with running.platform.read(stranger) as read:
        assert await read_run(read, run_id) is None
    async with running.platform.read(SALES_OWNER) as read:
        assert await read_run(read, run_id) is not None


async def test_a_task_is_delegated_to_the_maker(running: Runtime) -> None:
    task_id = await waiting(running, made_by(SALES_OWNER, FINANCE_APPROVER))
    async with running.platform.database.session() as session:
        await session.execute(update(TASKS).values(assignee=FINANCE_LEAD.subject))
        await session.commit()
    async with running.platform.work(FINANCE_LEAD) as work:
        with pytest.raises(Invalid):
            await human_tasks.delegate_task(work, task_id, to="finance-approver", comment="you")


GIVES = {
    "coe/access/asking.py": "who is in a team learns how to ask for access",
    "coe/access/people.py": "the account of a person",
    "coe/access/persons.py": "the mechanism itself",
    "coe/access/policy.py": "whose roles count",
    "coe/catalog/owners.py": "the owner of an entry reads it, and pauses its flow",
    "coe/catalog/scope.py": "the owner, author and publisher of an entry read it",
    "coe/catalog/versions/saving.py": "who is named as an editor",
    "coe/governance/access.py": "whoever asks about oneself",
    "coe/governance/resources.py": "one's own tokens, account and proposals, as in the verbs",
    "coe/governance/subjects.py": "whoever asks about oneself",
    "coe/governance/tokens.py": "a token for oneself has no other maker",
    "coe/human_tasks/actions.py": "who has claimed a task goes on with it",
    "coe/human_tasks/queries.py": "one's own tasks in the inbox",
    "coe/idempotency.py": "answers belong to a subject",
    "coe/identity/signin/actions.py": "one's own sessions",
    "coe/identity/teams/people.py": "one's own account in the list",
    "coe/identity/teams/proposals.py": "one's own proposals are listed and withdrawn",
    "coe/identity/teams/requests.py": "one's own requests are listed and withdrawn",
    "coe/runs/visibility.py": "relations that let somebody read",
}
"""Where a subject alone is compared, because the comparison gives something and refuses nothing."""


def _compared() -> Iterator[str]:
    """The modules that compare the subject of an actor with something."""
    for file in sorted((ROOT / "coe").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        compares = (each for each in ast.walk(tree) if isinstance(each, ast.Compare))
        if any(_is_subject(part) for each in compares for part in (each.left, *each.comparators)):
            yield str(file.relative_to(ROOT))


def _is_subject(node: ast.expr) -> bool:
    return any(
        isinstance(part, ast.Attribute)
        and part.attr == "subject"
        and "actor" in ast.unparse(part.value)
        for part in ast.walk(node)
    )


def test_a_rule_compares_a_subject_without_its_maker() -> None:
    """Every rule that keeps people apart is one of `coe.access.persons`."""
    unexplained = set(_compared()) - set(GIVES)
    assert not unexplained, "compare persons (coe.access.persons), or say what it gives"
