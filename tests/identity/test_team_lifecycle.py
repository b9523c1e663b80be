"""A team starts in steps that several people do, and ends when all of it is settled."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, func, select, update
from sqlmodel import col

from coe.access.actor import Actor
from coe.access.membership_changes import (
    GivenMembership,
    is_person,
    lock_policy,
    put_membership,
)
from coe.access.models import Membership, PolicyRule, Team
from coe.audit.events import Tag
from coe.audit.models import AuditEvent
from coe.catalog.actions import register_flow
from coe.catalog.models import Lifecycle
from coe.catalog.systems import register_system
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.errors import Conflict, Forbidden, Invalid
from coe.execution.advance import Parked, advance
from coe.execution.dispatch import dispatch_once
from coe.execution.engine import Engine
from coe.identity.team_lifecycle import offboarding
from coe.identity.team_lifecycle.offboarding import end_team, ending_of, retire_team
from coe.identity.team_lifecycle.onboarding import FirstFlow, Onboarded, Onboarding, onboard_team
from coe.identity.team_lifecycle.steps import TeamStep, TeamStepState
from coe.identity.teams import proposals, requests
from coe.identity.teams.models import AccessRequest, MembershipProposal
from coe.outbox import OUTBOX, OutboxKind
from coe.runs.models import RunState
from coe.runs.tables import INTERVENTIONS, RUNS, TASKS
from coe.runs.task_models import HumanTaskState
from coe.work import Platform
from tests.factories.lifecycle import publish_version
from tests.factories.people import COE_LEAD, OUTSIDER, SALES_OWNER
from tests.factories.policies import sign_policy
from tests.factories.runs import APPROVAL, Leaves, central, publish, runtime, start
from tests.factories.templates import published

REVIEWER = Actor.of("coe-reviewer")
ROSA = Actor.of("rosa")
INES = Actor.of("ines")
FLOW = FirstFlow("coe/greeting", "greets", {"words": "Hello"})


def states(steps: tuple[TeamStep, ...]) -> dict[str, TeamStepState]:
    return {each.key: each.state for each in steps}


async def onboard(platform: Platform, actor: Actor, **given: object) -> Onboarded:
    async with platform.work(actor) as work:
        return await onboard_team(work, Onboarding("returns", **given), reason="new")  # type: ignore[arg-type]  # fields of it


@pytest.fixture
async def template(platform: Platform) -> None:
    """The template of the first flow, published."""
    await published(platform)


async def test_several_people_start_a_team_step_by_step(platform: Platform, template: None) -> None:
    first = {"name": "Returns", "lead": "rosa", "flow": FLOW}
    begun = await onboard(platform, COE_LEAD, **first)
    found = states(begun.steps)
    assert {key for key, state in found.items() if state is TeamStepState.NOW} == {
        "pool",
        "service",
        "team",
    }
    assert (found["lead"], begun.code) == (TeamStepState.WAITING, None)
    approval = next(each.command for each in begun.steps if each.key == "lead")
    again = await onboard(platform, COE_LEAD, **first)
    assert states(again.steps) == {
        **found,
        "team": TeamStepState.DONE,
        "service": TeamStepState.DONE,
        "pool": TeamStepState.WAITING,
    }, "the same proposal waits, and nothing is made twice"
    async with platform.work(REVIEWER) as work:
        (waiting,) = (await proposals.list_proposals(work, team="returns")).items
        assert approval == f"coe team approve {waiting.id}"
        await proposals.approve(work, waiting.id)

    led = await onboard(platform, ROSA, developers=["ines"], flow=FLOW)
    found = states(led.steps)
    assert led.code is not None
    assert (found["builder"], found["code"], found["flow"]) == (
        TeamStepState.NOW,
        TeamStepState.NOW,
        TeamStepState.OPEN,
    )
    built = await onboard(platform, INES, flow=FLOW)
    assert states(built.steps)["flow"] is TeamStepState.NOW
    for actor in (INES, ROSA, COE_LEAD):
        last = await onboard(platform, actor, developers=["ines"], flow=FLOW)
        assert last.code is None, "a code is good already"
        assert TeamStepState.NOW not in states(last.steps).values(), actor
    assert states(last.steps)["live"] is TeamStepState.OPEN


async def test_what_is_left_out_is_said(platform: Platform) -> None:
    begun = await onboard(platform, COE_LEAD, name="Returns", enrols=False)
    found = states(begun.steps)
    assert {found["code"], found["flow"]} == {TeamStepState.LEFT_OUT}
    assert found["lead"] is TeamStepState.OPEN


async def test_a_team_is_started_by_who_may_and_with_a_name(platform: Platform) -> None:
    with pytest.raises(Forbidden):
        await onboard(platform, Actor.of("sales-lead"), name="Returns")
    with pytest.raises(Invalid) as refused:
        await onboard(platform, COE_LEAD)
    assert [each.path for each in refused.value.problems] == ["/name"]
    begun = await onboard(platform, COE_LEAD, name="Returns", lead="rosa")
    assert begun.team == "returns"
    seen = await onboard(platform, OUTSIDER, lead="outsider", developers=["outsider"], flow=FLOW)
    assert TeamStepState.NOW not in states(seen.steps).values(), "a stranger does nothing"


async def test_people_of_a_directory_are_not_taken_in_by_hand(platform: Platform) -> None:
    await onboard(platform, COE_LEAD, name="Returns")
    async with platform.database.session() as session:
        by = update(Team).where(Team.slug == "returns").values(members_source="scim")  # type: ignore[arg-type]  # a column
        await session.execute(by)
        await session.commit()
    again = await onboard(platform, COE_LEAD, lead="rosa", developers=["ines"])
    assert states(again.steps)["lead"] is TeamStepState.OPEN


class Pools:
    """An engine that notes for whom it was asked to prepare."""

    def __init__(self) -> None:
        self.prepared: list[str] = []

    async def prepare(self, team: str) -> None:
        self.prepared.append(team)


async def test_the_engine_makes_the_pool_of_a_new_team(platform: Platform) -> None:
    await onboard(platform, COE_LEAD, name="Returns")
    engine = Pools()
    assert await dispatch_once(platform, engine) == 1  # type: ignore[arg-type]  # the part that is called
    assert engine.prepared == ["returns"]
    async with platform.database.session() as session:
        kinds = (await session.scalars(select(OUTBOX.c.kind))).all()
    assert OutboxKind.POOL not in kinds
    assert hasattr(Engine, "prepare")


async def test_only_who_lets_work_in_asks_for_the_pool_again(platform: Platform) -> None:
    await onboard(platform, COE_LEAD, name="Returns")
    pools = select(func.count()).where(OUTBOX.c.kind == OutboxKind.POOL.value)
    async with platform.database.session() as session:
        await session.execute(delete(OUTBOX))
        await session.commit()
    for actor, asked in ((OUTSIDER, 0), (COE_LEAD, 1), (COE_LEAD, 1)):
        await onboard(platform, actor, enrols=False)
        async with platform.database.session() as session:
            assert await session.scalar(pools) == asked, actor


async def ending(
    platform: Platform, actor: Actor, team: str = "sales", **given: bool
) -> tuple[bool, dict[str, TeamStep]]:
    async with platform.work(actor) as work:
        found = await end_team(work, team, reason="finance does it now", **given)
    return found.is_retired, {each.key: each for each in found.steps}


async def test_each_settles_their_part_and_then_the_team_is_retired(platform: Platform) -> None:
    await publish(platform, central("asks", APPROVAL))
    run = await start(platform, "sales/asks")
    async with platform.work(COE_LEAD) as work:
        shown = {each.key: each for each in await ending_of(work, "sales")}
    assert shown["runs"].names == (str(run.id),)
    assert shown["entries"].names == ("sales/asks",)
    assert shown["entries"].who == "sales/process-owner or coe/reviewer"
    assert shown["members"].state is TeamStepState.LATER

    lead = Actor.of("sales-lead")
    retired, steps = await ending(platform, lead, retire_flows=True, cancel_runs=True)
    assert not retired
    assert steps["runs"].state is TeamStepState.NOW
    assert steps["entries"].state is TeamStepState.OPEN, "a lead retires no flows"
    retired, steps = await ending(platform, SALES_OWNER, retire_flows=True)
    assert not retired, "who retires the flows does not retire the team"
    assert steps["entries"].state is TeamStepState.NOW
    async with platform.database.session() as session:
        state = await session.scalar(select(RUNS.c.state).where(RUNS.c.id == run.id))
    assert state is RunState.CANCELLED
    retired, steps = await ending(platform, COE_LEAD)
    assert retired
    assert steps["members"].state is TeamStepState.NOW
    async with platform.read(SALES_OWNER) as read:
        assert read.policy.roles(SALES_OWNER.subject) == frozenset()
    with pytest.raises(Conflict, match="is retired"):
        await ending(platform, COE_LEAD)


async def test_what_others_call_stays_and_is_named(platform: Platform) -> None:
    shared = central("asks", APPROVAL).replace("dataClass: PERSONAL", "dataClass: INTERNAL")
    await publish(platform, shared)
    asked = "{namespace: sales, name: asks, version: 1.0.0, input: {customer: x}}"
    calls = f"  - ask:\n      run: {{workflow: {asked}}}\n"
    caller = central("caller", calls, namespace="finance")
    await publish(platform, caller, author="finance-developer")
    retired, steps = await ending(platform, SALES_OWNER, retire_flows=True)
    assert not retired
    assert steps["callers"].names == ("finance/caller calls sales/asks",)
    assert steps["callers"].who == "finance/process-owner"
    assert steps["entries"].names == ("sales/asks",)

    hidden = caller.replace("name: caller", "name: secret").replace("sales-owner", "finance-lead")
    await publish(platform, hidden, author="finance-developer")
    _, steps = await ending(platform, SALES_OWNER)
    assert steps["callers"].names == ("finance/caller calls sales/asks",)
    assert steps["callers"].title.endswith(": 2, of which you may not read 1")
    assert steps["callers"].who == "finance/process-owner, coe/lead, who may read the others"
    _, steps = await ending(platform, COE_LEAD)
    assert "finance/secret calls sales/asks" in steps["callers"].names
    async with platform.work(COE_LEAD) as work:
        with pytest.raises(Conflict, match="finance/secret calls sales/asks"):
            await retire_team(work, "sales", reason="finance does it now")


async def deny(platform: Platform, permission: str) -> None:
    """Refuse a permission on personal entries and runs to process owners."""
    async with platform.database.session() as session:
        await lock_policy(session)
        line = ["process-owner", "*", permission, "PERSONAL", "deny"]
        session.add(PolicyRule(ptype="p", fields=line, source="test"))
        await session.flush()
        await sign_policy(session)
        await session.commit()


async def lifecycles(platform: Platform) -> dict[str, Lifecycle]:
    async with platform.database.session() as session:
        found = await session.execute(
            select(VERSIONS.c.name, VERSIONS.c.lifecycle).where(VERSIONS.c.team == "sales")
        )
    return {row.name: row.lifecycle for row in found}


def internal(name: str) -> str:
    return central(name, APPROVAL).replace("dataClass: PERSONAL", "dataClass: INTERNAL")


async def test_a_refused_run_keeps_no_other_from_being_cancelled(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offboarding, "MAX_CANCELLED", 1)  # what is refused does not use it up
    await publish(platform, central("personal", APPROVAL))
    await publish(platform, internal("asks"))
    refused = await start(platform, "sales/personal")
    changed = await start(platform, "sales/asks")
    good = await start(platform, "sales/asks")
    await deny(platform, "run:cancel")
    async with platform.database.session() as session:
        await session.execute(update(RUNS).where(RUNS.c.id == changed.id).values(code=b"none"))
        await session.commit()
    retired, steps = await ending(platform, SALES_OWNER, cancel_runs=True)
    assert not retired
    assert steps["runs"].state is TeamStepState.OPEN
    assert steps["runs"].names == (str(refused.id), str(changed.id))
    async with platform.database.session() as session:
        state = await session.scalar(select(RUNS.c.state).where(RUNS.c.id == good.id))
    assert state is RunState.CANCELLED


async def test_a_run_that_is_stopping_is_not_cancelled_again(platform: Platform) -> None:
    await publish(platform, central("asks", APPROVAL))
    run = await start(platform, "sales/asks")
    async with platform.database.session() as session:  # as one that a holder has begun
        await session.execute(update(RUNS).values(journal_length=1))
        await session.commit()
    for _ in range(2):
        _, steps = await ending(platform, SALES_OWNER, cancel_runs=True)
        assert steps["runs"].state is TeamStepState.WAITING
        assert steps["runs"].title == "open runs: 1, 1 of them stopping"
    async with platform.database.session() as session:
        kept = select(func.count()).select_from(INTERVENTIONS)
        told = select(func.count(col(AuditEvent.id))).where(
            col(AuditEvent.action) == Tag.RUNS_RUN_CANCEL.value,
            col(AuditEvent.resource) == f"run:{run.id}",
        )
        assert [await session.scalar(each) for each in (kept, told)] == [1, 1]


@pytest.mark.parametrize("permission", ["flow:deprecate", "flow:alias", "flow:retire"])
async def test_a_flow_is_retired_whole_or_not_at_all(platform: Platform, permission: str) -> None:
    await publish(platform, central("asked", APPROVAL))
    await publish(platform, internal("zoned"))
    await deny(platform, permission)
    retired, steps = await ending(platform, SALES_OWNER, retire_flows=True)
    assert not retired
    assert (steps["entries"].state, steps["entries"].names) == (
        TeamStepState.OPEN,
        ("sales/asked",),
    )
    assert await lifecycles(platform) == {
        "asked": Lifecycle.PUBLISHED,
        "zoned": Lifecycle.RETIRED,
    }
    assert (await start(platform, "sales/asked")).state is RunState.REQUESTED, "its alias is live"


async def test_a_flow_that_fails_midway_is_as_it_was(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(platform, central("asked", APPROVAL))
    await publish(platform, internal("zoned"))
    await deny(platform, "flow:retire")

    async def may(*_: object) -> bool:
        return True

    monkeypatch.setattr(offboarding, "may_retire_entry", may)
    await ending(platform, SALES_OWNER, retire_flows=True)
    assert await lifecycles(platform) == {
        "asked": Lifecycle.PUBLISHED,
        "zoned": Lifecycle.RETIRED,
    }


async def test_a_flow_whose_row_was_changed_keeps_no_other(platform: Platform) -> None:
    await publish(platform, internal("asked"))
    await publish(platform, internal("zoned"))
    async with platform.database.session() as session:
        changed = update(ENTRIES).where(ENTRIES.c.name == "asked").values(code=b"none")
        await session.execute(changed)
        await session.commit()
    await ending(platform, SALES_OWNER, retire_flows=True)
    assert await lifecycles(platform) == {
        "asked": Lifecycle.PUBLISHED,
        "zoned": Lifecycle.RETIRED,
    }


async def test_a_team_with_a_system_is_retired(platform: Platform) -> None:
    system = """
kind: System
namespace: sales
name: crm
version: 1.0.0
title: CRM
summary: Customers.
"""
    async with platform.work(SALES_OWNER) as work:
        await register_system(work, system)
    retired, steps = await ending(platform, COE_LEAD)
    assert retired
    assert steps["entries"].state is TeamStepState.DONE
    assert (steps["systems"].names, steps["systems"].who) == (
        ("sales/crm",),
        "who takes them over",
    )


async def test_tasks_of_others_that_only_its_members_answer_go_to_their_lead(
    platform: Platform,
) -> None:
    async with runtime(platform, Leaves()) as running:
        await publish(platform, central("asks", APPROVAL))
        run = await start(platform, "sales/asks")
        assert isinstance(await advance(running, run.id), Parked)
    async with platform.database.session() as session:
        await lock_policy(session)
        of_finance = select(Membership).where(col(Membership.team) == "finance")
        for row in (await session.scalars(of_finance)).all():
            if is_person(row.subject):  # they stay with the company, so that nobody leaves
                given = GivenMembership("warehouse", row.subject, row.display_name, ("operator",))
                await put_membership(session, "api", given)
        await sign_policy(session)
        await session.commit()
    async with platform.work(COE_LEAD) as work:
        found = await end_team(work, "finance", reason="merged", retire_flows=True)
    assert found.is_retired
    async with platform.database.session() as session:
        task = (await session.execute(select(TASKS).where(TASKS.c.run_id == run.id))).one()
    assert "sales/lead" in task.candidate_roles
    assert task.state == HumanTaskState.ESCALATED


async def test_a_stranger_sees_and_settles_nothing(platform: Platform) -> None:
    async with platform.work(OUTSIDER) as work:
        with pytest.raises(Forbidden):
            await ending_of(work, "sales")
    with pytest.raises(Forbidden):
        await ending(platform, OUTSIDER, retire_flows=True, cancel_runs=True)


async def test_a_retired_flow_is_published_again_with_its_alias(platform: Platform) -> None:
    first = await publish(platform, central("asks", APPROVAL))
    await ending(platform, SALES_OWNER, retire_flows=True)
    later = central("asks", APPROVAL).replace("version: 1.0.0", "version: 1.1.0")
    async with platform.work(SALES_OWNER) as work:
        saved = await register_flow(work, later)
    await publish_version(platform, saved.version.ref, author=SALES_OWNER)
    assert first != saved.version.ref
    assert (await start(platform, "sales/asks")).state is not None


async def test_what_waits_for_a_decision_ends_with_the_team(platform: Platform) -> None:
    await onboard(platform, COE_LEAD, name="Returns", lead="rosa", enrols=False)
    async with platform.work(OUTSIDER) as work:
        await requests.request_access(work, "returns", role="operator", reason="to help")
    retired, _ = await ending(platform, COE_LEAD, team="returns")
    assert retired
    async with platform.database.session() as session:
        for model in (MembershipProposal, AccessRequest):
            rows = await session.execute(
                select(col(model.state)).where(col(model.team) == "returns")
            )
            assert list(rows.scalars()) == ["REFUSED"], model
