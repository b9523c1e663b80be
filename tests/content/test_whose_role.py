"""The promises of the shipped processes on who decides, for flows of several teams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from coe import content
from coe.access.actor import Actor
from coe.catalog.decision_tables.actions import register_decision
from coe.errors import Forbidden, NotFound
from coe.execution.advance import Finished, Parked, advance
from coe.execution.runtime import Runtime
from coe.human_tasks import actions as human_tasks
from coe.human_tasks import queries as task_queries
from coe.identifiers import qualified_role
from coe.language.functions import HUMAN_TASK
from coe.language.load import load
from coe.language.model.calls import CallFunction
from coe.runs import actions as runs
from coe.runs import disclosure
from coe.runs.models import RunState
from coe.runs.task_records import TaskFilter, TaskRecord
from coe.templates.manifest import read_template
from coe.templates.render import Target, render
from coe.templates.trial import examples_of
from coe.work import Platform
from tests.factories.lifecycle import publish_version
from tests.factories.people import FINANCE_LEAD
from tests.factories.policies import shipped
from tests.factories.runs import Leaves, publish, runtime

ROOT = content.root()
TEMPLATES = sorted(path.name for path in (ROOT / "templates").iterdir() if path.is_dir())
LEADS = ["coe-lead", "finance-lead", "fulfilment-lead", "sales-lead", "warehouse-lead"]
DEVELOPERS = [
    "finance-developer",
    "fulfilment-developer",
    "sales-developer",
    "warehouse-developer",
]
PEOPLE = [*DEVELOPERS, *LEADS, "finance-approver"]
AUTHORS = {"sales": "sales-owner", "warehouse": "warehouse-lead", "finance": "finance-developer"}
FORKLIFT = {"what": "A forklift", "kind": "goods", "amount": "27500.00", "costCentre": "7200"}
INCIDENT = {"incident": "INC-17", "severity": "high", "summary": "The ERP answered 503"}


def rendered(name: str, team: str) -> list[str]:
    """The flows that a template gives a team, one for each example of its parameters."""
    folder: Path = ROOT / "templates" / name
    files, problems = read_template(
        {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}
    )
    assert problems == ()
    assert files is not None
    target = Target(team, f"own-{name}", "1.0.0", "Own", AUTHORS[team])
    return [render(files, target, example).text for example in examples_of(files)]


@pytest.fixture
async def running(platform: Platform) -> AsyncIterator[Runtime]:
    async with runtime(platform, Leaves({"decideWhoAgrees": {"level": "finance"}})) as opened:
        async with platform.work(FINANCE_LEAD) as work:
            text = (ROOT / "catalog/decisions/purchase-approval.yaml").read_text()
            table = await register_decision(work, text)
        await publish_version(platform, table.version.ref, author=FINANCE_LEAD)
        yield opened


async def begin(
    running: Runtime, name: str, team: str, value: dict[str, str], *, starter: str | None = None
) -> UUID:
    """Start the team's own flow of a template, as its developer."""
    await publish(running.platform, rendered(name, team)[0], author=AUTHORS[team])
    async with running.platform.work(Actor.of(starter or f"{team}-developer")) as work:
        run = await runs.start_run(work, flow=f"{team}/own-{name}", input=value)
    assert isinstance(await advance(running, run.id), Parked)
    return run.id


async def asked(platform: Platform, run_id: UUID) -> dict[str, TaskRecord]:
    """Who of all people finds the run's open task in the inbox, to claim it."""
    found = {}
    for person in PEOPLE:
        async with platform.read(Actor.of(person)) as read:
            page = await task_queries.inbox(read, TaskFilter(claimable=True))
        for task in page.items:
            if task.run_id == run_id:
                found[person] = task
    return found


async def answer(running: Runtime, task: TaskRecord, by: str, outcome: str, **more) -> None:
    async with running.platform.work(Actor.of(by)) as work:
        await human_tasks.complete_task(
            work, task.id, outcome=outcome, **{"answer": {}, "reason": None, **more}
        )


async def cannot(platform: Platform, task: TaskRecord, people: list[str]) -> None:
    """These people neither see the task nor what it is about, and cannot answer it."""
    for person in people:
        async with platform.work(Actor.of(person)) as work:
            assert await task_queries.task(work, task.id) is None, person
            assert await disclosure.read_task_data(work, [task.id]) == {}, person
        with pytest.raises(NotFound):
            async with platform.work(Actor.of(person)) as work:
                await human_tasks.complete_task(
                    work, task.id, outcome=task.outcomes[0], answer={}, reason=None
                )


@pytest.mark.parametrize("team", ["sales", "warehouse"])
async def test_the_team_s_lead_and_then_finance_decide_on_a_purchase(
    running: Runtime, team: str
) -> None:
    platform = running.platform
    run_id = await begin(running, "purchase-approval", team, FORKLIFT)
    found = await asked(platform, run_id)
    assert list(found) == [f"{team}-lead"]
    task = found[f"{team}-lead"]
    assert task.candidate_roles == (f"{team}/lead",)
    others = [each for each in LEADS if each != f"{team}-lead"]
    await cannot(platform, task, [*others, "finance-approver"])
    await answer(running, task, f"{team}-lead", "approved")
    assert isinstance(await advance(running, run_id), Parked)
    found = await asked(platform, run_id)
    assert sorted(found) == ["finance-approver", "finance-lead"]
    await answer(running, found["finance-approver"], "finance-approver", "approved")
    assert await advance(running, run_id) == Finished(RunState.COMPLETED)


async def test_finance_s_lead_does_not_decide_on_a_purchase_of_finance_twice(
    running: Runtime,
) -> None:
    platform = running.platform
    run_id = await begin(running, "purchase-approval", "finance", FORKLIFT)
    found = await asked(platform, run_id)
    assert list(found) == ["finance-lead"]
    await answer(running, found["finance-lead"], "finance-lead", "approved")
    assert isinstance(await advance(running, run_id), Parked)
    found = await asked(platform, run_id)
    assert list(found) == ["finance-approver"]
    with pytest.raises(Forbidden) as refused:
        await answer(running, found["finance-approver"], "finance-lead", "approved")
    assert "relation:excluded" in str(refused.value.extensions["rule"])
    await answer(running, found["finance-approver"], "finance-approver", "approved")
    assert await advance(running, run_id) == Finished(RunState.COMPLETED)


@pytest.mark.parametrize("team", ["sales", "warehouse"])
async def test_a_developer_writes_the_review_of_an_incident_and_the_team_s_lead_signs_it_off(
    running: Runtime, team: str
) -> None:
    platform = running.platform
    owner = {"sales": "sales-owner", "warehouse": "warehouse-lead"}[team]
    run_id = await begin(running, "incident-review", team, INCIDENT, starter=owner)
    found = await asked(platform, run_id)
    assert list(found) == [f"{team}-developer"]
    await cannot(platform, found[f"{team}-developer"], ["finance-developer", "coe-lead"])
    review = {"review": "A full disk."}
    task = found[f"{team}-developer"]
    await answer(running, task, f"{team}-developer", "written", answer=review)
    assert isinstance(await advance(running, run_id), Parked)
    leads = {"sales": ["sales-lead"], "warehouse": []}  # the lead of the warehouse started the run
    found = await asked(platform, run_id)
    assert list(found) == leads[team]
    async with platform.read(Actor.of(f"{team}-lead")) as read:
        page = await task_queries.inbox(read, TaskFilter())
    assert [each.candidate_roles for each in page.items] == [(f"{team}/lead",)]


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("team", ["sales", "warehouse", "finance"])
def test_somebody_holds_every_role_that_a_flow_of_the_team_asks(name: str, team: str) -> None:
    policy = shipped()
    for text in rendered(name, team):
        definition = load(text).definition
        assert definition is not None
        tasks = [
            task.with_
            for task in definition.walk()
            if isinstance(task, CallFunction) and task.call == HUMAN_TASK.call
        ]
        assert tasks
        for given in tasks:
            escalated = [stage["to"] for stage in given.get("escalate", [])]
            for role in (*given["candidates"]["roles"], *escalated):
                assert policy.memberships.holders(qualified_role(role, team)), (role, team)
