"""What somebody tries to become a member, a lead, or somebody else's approver."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from coe.access.actor import Actor
from coe.access.membership_changes import MembersSource
from coe.access.models import Team
from coe.access.people import find_person
from coe.access.permissions import Permission
from coe.db import utcnow
from coe.errors import CoeError, Conflict, Forbidden, Invalid, NotFound
from coe.identity.teams import actions, proposals, requests
from coe.identity.teams.actions import NewMember, NewTeam
from coe.identity.teams.endings import DISPATCH, end_what_is_over
from coe.identity.teams.models import ProposalState, RequestState
from coe.identity.teams.people import offboard_person
from coe.work import Platform
from tests.factories.audit_events import details_of, events_of
from tests.factories.people import COE_LEAD, COE_REVIEWER, OUTSIDER, SALES_OWNER

LEAD = Actor.of("returns-lead")
SECOND = Actor.of("returns-second")
FRIEND = Actor.of("rosa")
WHY = "because"


async def do(platform: Platform, actor: Actor, verb: Any, *given: Any, **more: Any) -> Any:
    async with platform.work(actor) as work:
        return await verb(work, *given, **more)


async def add(platform: Platform, actor: Actor, subject: str, *roles: str, **more: Any) -> Any:
    new = NewMember(subject, roles, **more)
    return await do(platform, actor, actions.add_member, "returns", new, reason=WHY)


async def roles(platform: Platform, subject: str) -> set[str]:
    async with platform.read(OUTSIDER) as read:
        return {role for role, team in read.policy.roles(subject) if team == "returns"}


LATER = utcnow() + timedelta(days=9)


@pytest.fixture
async def returns(platform: Platform) -> Platform:
    """A team of the API with one lead and a developer."""
    await do(platform, COE_LEAD, actions.create_team, NewTeam("returns", "Returns"))
    made = await add(platform, COE_LEAD, LEAD.subject, "lead")
    assert made.proposal is not None, "a new lead waits for a second person"
    assert await roles(platform, LEAD.subject) == set()
    await do(platform, COE_REVIEWER, proposals.approve, made.proposal)
    assert await roles(platform, LEAD.subject) == {"lead"}
    assert (await add(platform, LEAD, FRIEND.subject, "developer")).proposal is None
    return platform


@pytest.mark.parametrize("role", ["lead", "process-owner"])
async def test_making_a_friend_a_lead_alone(returns: Platform, role: str) -> None:
    made = await do(
        returns,
        LEAD,
        actions.change_member,
        "returns",
        NewMember(FRIEND.subject, ["developer", role]),
        reason=WHY,
    )
    assert await roles(returns, FRIEND.subject) == {"developer"}
    for actor in (LEAD, FRIEND):
        with pytest.raises(Forbidden if actor is LEAD else (Forbidden, NotFound)):
            await do(returns, actor, proposals.approve, made.proposal)
    assert await roles(returns, FRIEND.subject) == {"developer"}
    await do(returns, COE_LEAD, proposals.approve, made.proposal)
    assert await roles(returns, FRIEND.subject) == {"developer", role}
    with pytest.raises(Conflict):
        await do(returns, COE_LEAD, proposals.approve, made.proposal)


async def test_approving_one_s_own_proposal_through_a_service(returns: Platform) -> None:
    made = await add(returns, LEAD, SECOND.subject, "lead")
    for maker in (LEAD.subject, SECOND.subject):
        bot = Actor.of("service:returns-bot", maker=maker)
        with pytest.raises((Forbidden, NotFound)):
            await do(returns, bot, proposals.approve, made.proposal)
    assert await roles(returns, SECOND.subject) == set()


async def test_giving_a_role_to_oneself(returns: Platform) -> None:
    given = NewMember(LEAD.subject, ["lead", "process-owner"])
    for actor in (LEAD, Actor.of("service:returns-bot", maker=LEAD.subject)):
        with pytest.raises(Forbidden):
            await do(returns, actor, actions.change_member, "returns", given, reason=WHY)
    with pytest.raises(Forbidden):
        await do(returns, LEAD, actions.remove_member, "returns", LEAD.subject, reason=WHY)


@pytest.mark.parametrize(
    ("subject", "given"),
    [
        ("service:worker/sales", ["worker"]),
        ("service:web-shop", ["developer"]),
        ("service:central", ["developer"]),
        ("service:returns-bot", ["worker"]),
        ("rosalie", ["worker"]),
        ("Sales-Owner", ["developer"]),
        ("ROSA", ["developer"]),
        ("rosalie", ["member"]),
        ("rosalie", ["no-such-role"]),
        ("run:0190f3a1-0000-7000-8000-000000000000", ["developer"]),
        ("rosa, coe/lead", ["developer"]),
    ],
)
async def test_taking_in_whom_a_team_may_not_have(
    returns: Platform, subject: str, given: list[str]
) -> None:
    with pytest.raises((Conflict, Invalid)):
        await add(returns, LEAD, subject, *given)
    async with returns.read(OUTSIDER) as read:
        assert "returns" not in read.policy.teams(subject)


async def test_pulling_somebody_of_another_team_into_one_s_own(returns: Platform) -> None:
    made = await add(returns, LEAD, "coe-lead", "developer")
    assert made.proposal is not None
    async with returns.read(LEAD) as read:
        assert "returns" not in read.policy.teams("coe-lead")
    with pytest.raises(Forbidden):
        await do(returns, COE_LEAD, proposals.approve, made.proposal)


async def test_changing_a_team_that_another_source_holds(returns: Platform) -> None:
    with pytest.raises(Conflict, match=r"catalog/teams/sales\.yaml"):
        await do(
            returns,
            Actor.of("sales-lead"),
            actions.add_member,
            "sales",
            NewMember("rosa", ["developer"]),
            reason=WHY,
        )
    made = await add(returns, LEAD, SECOND.subject, "lead")
    given = ("returns", MembersSource.SCIM)
    with pytest.raises(Forbidden):
        await do(returns, LEAD, actions.set_members_source, *given, reason=WHY)
    await do(returns, COE_LEAD, actions.set_members_source, *given, reason=WHY)
    assert await roles(returns, LEAD.subject) == {"lead"}, "who is in it stays"
    with pytest.raises(Conflict, match="the directory, by SCIM"):
        await add(returns, LEAD, "rosalie", "developer")
    with pytest.raises(Conflict, match="the directory, by SCIM"):
        await do(returns, COE_LEAD, proposals.approve, made.proposal)
    for team, source in (("sales", MembersSource.API), ("returns", MembersSource.CONTENT)):
        with pytest.raises(Conflict, match="members_source"):
            await do(returns, COE_LEAD, actions.set_members_source, team, source, reason=WHY)


async def test_approving_what_has_changed_since(returns: Platform) -> None:
    made = await add(returns, LEAD, SECOND.subject, "lead")
    await add(returns, COE_LEAD, SECOND.subject, "developer")
    with pytest.raises(Conflict, match="have changed since"):
        await do(returns, COE_REVIEWER, proposals.approve, made.proposal)
    refused = await do(returns, COE_REVIEWER, proposals.refuse, made.proposal, reason="old")
    assert refused.state is ProposalState.REFUSED


async def test_leaving_a_team_without_a_lead(returns: Platform) -> None:
    with pytest.raises(Conflict, match="the only lead"):
        await do(returns, COE_LEAD, actions.remove_member, "returns", LEAD.subject, reason=WHY)


async def test_approving_that_each_of_two_leads_goes(returns: Platform) -> None:
    """Each proposal alone leaves the team a lead; both together do not."""
    made = await add(returns, LEAD, SECOND.subject, "lead")
    await do(returns, COE_LEAD, proposals.approve, made.proposal)
    leaving = [
        await do(returns, by, actions.remove_member, "returns", whom.subject, reason=WHY)
        for by, whom in ((LEAD, SECOND), (SECOND, LEAD))
    ]
    await do(returns, COE_LEAD, proposals.approve, leaving[0].proposal)
    with pytest.raises(Conflict, match="the only lead"):
        await do(returns, COE_LEAD, proposals.approve, leaving[1].proposal)
    assert await roles(returns, LEAD.subject) == {"lead"}


async def test_keeping_a_granted_role_after_being_taken_out(returns: Platform) -> None:
    asked = await do(
        returns, OUTSIDER, requests.request_access, "returns", role="operator", reason=WHY
    )
    await do(returns, LEAD, requests.grant_request, asked.id, until=LATER)
    assert "operator" in await roles(returns, OUTSIDER.subject)
    await do(returns, LEAD, actions.remove_member, "returns", OUTSIDER.subject, reason=WHY)
    assert await roles(returns, OUTSIDER.subject) == set()


@pytest.mark.parametrize("verb", [actions.create_team, actions.add_member, requests.request_access])
async def test_managing_teams_without_a_role(returns: Platform, verb: Any) -> None:
    given: dict[Any, tuple[Any, ...]] = {
        actions.create_team: (NewTeam("mine", "Mine"),),
        actions.add_member: ("returns", NewMember(OUTSIDER.subject, ["lead"])),
        requests.request_access: ("returns",),
    }
    service = Actor.of("service:web-shop")
    more: dict[str, Any] = {} if verb is actions.create_team else {"reason": WHY}
    if verb is requests.request_access:
        more |= {"role": "developer"}
    for actor in (service,) if verb is requests.request_access else (service, OUTSIDER, FRIEND):
        with pytest.raises(Forbidden):
            await do(returns, actor, verb, *given[verb], **more)


async def ask(platform: Platform, actor: Actor, role: str | None, **more: Any) -> Any:
    return await do(
        platform, actor, requests.request_access, "returns", role=role, reason=WHY, **more
    )


async def test_granting_oneself_what_one_asked_for(returns: Platform) -> None:
    asked = await ask(returns, LEAD, "operator")
    for actor in (LEAD, FRIEND):
        with pytest.raises((Forbidden, NotFound)):
            await do(returns, actor, requests.grant_request, asked.id)
    assert await roles(returns, LEAD.subject) == {"lead"}


async def test_getting_more_than_one_lead_may_give(returns: Platform) -> None:
    until = returns.clock() + timedelta(days=2)
    asked = await ask(returns, FRIEND, "lead", until=until)
    answered = await do(returns, LEAD, requests.grant_request, asked.id)
    assert answered.state is RequestState.PROPOSED
    assert await roles(returns, FRIEND.subject) == {"developer"}
    async with returns.read(COE_REVIEWER) as read:
        (waiting,) = (await proposals.list_proposals(read)).items
    with pytest.raises(Forbidden):
        await do(returns, LEAD, proposals.approve, waiting.id)
    await do(returns, COE_REVIEWER, proposals.approve, waiting.id)
    assert await roles(returns, FRIEND.subject) == {"developer", "lead"}
    async with returns.read(FRIEND) as read:
        assert (await requests.find_request(read, asked.id)).state is RequestState.GRANTED


async def test_keeping_a_grant_after_its_end(returns: Platform) -> None:
    until = returns.clock() + timedelta(hours=1)
    asked = await ask(returns, OUTSIDER, "operator", until=until)
    late = until + timedelta(days=1)
    with pytest.raises(Invalid):
        await do(returns, LEAD, requests.grant_request, asked.id, until=late)
    await do(returns, LEAD, requests.grant_request, asked.id)
    async with returns.read(OUTSIDER) as read:
        assert read.decide(Permission.RUN_START, team="returns").allowed
    returns.clock = lambda: until
    async with returns.read(OUTSIDER) as read:
        assert not read.decide(Permission.RUN_START, team="returns").allowed, "at that moment"
    assert await do(returns, DISPATCH, end_what_is_over) == 1
    assert await do(returns, DISPATCH, end_what_is_over) == 0
    (ended,) = await details_of(returns, "access:team:end")
    assert ended == {"subject": "outsider", "role": "operator"}
    left = await events_of(returns, "access:person:leave")
    assert [event.resource for event in left] == ["person:outsider"]
    async with returns.read(OUTSIDER) as read:
        assert (await requests.find_request(read, asked.id)).state is RequestState.ENDED


async def test_asking_without_end_where_a_file_has_the_say(returns: Platform) -> None:
    given = {"role": "operator", "reason": WHY}
    with pytest.raises(Invalid) as refused:
        await do(returns, FRIEND, requests.request_access, "sales", **given)
    assert "catalog/teams/sales.yaml" in refused.value.problems[0].message


async def test_flooding_a_lead_with_requests(returns: Platform) -> None:
    names = ["operator", "process-owner", "reviewer", "auditor", "finance-approver", "lead"]
    names += ["importer", "executor", "dispatcher", "scheduler"]
    for name in names:
        await ask(returns, OUTSIDER, name)
    again = await ask(returns, OUTSIDER, "operator")
    with pytest.raises(Conflict):
        await ask(returns, OUTSIDER, None)
    async with returns.read(LEAD) as read:
        assert (await requests.list_requests(read)).total == len(names)
    async with returns.read(SALES_OWNER) as read:
        assert (await requests.list_requests(read)).total == 0, "of a team that is not theirs"
        with pytest.raises(NotFound):
            await requests.find_request(read, again.id)


async def test_a_refusal_says_how_to_ask(returns: Platform) -> None:
    async with returns.work(OUTSIDER) as work:
        with pytest.raises(Forbidden, match="coe team request returns --role developer"):
            work.require(Permission.RUN_START, resource="team:returns", team="returns")
    for actor in (Actor.of("service:web-shop"), Actor.of("outsider", scopes=frozenset({"run:x"}))):
        async with returns.work(actor) as work:
            with pytest.raises(Forbidden) as refused:
                work.require(Permission.RUN_START, resource="team:returns", team="returns")
        assert "coe team request" not in refused.value.message


async def test_who_has_left_is_not_taken_in_again(returns: Platform) -> None:
    await do(returns, COE_LEAD, offboard_person, FRIEND.subject, reason=WHY)
    with pytest.raises(CoeError, match="has left"):
        await add(returns, LEAD, FRIEND.subject, "developer")
    async with returns.database.session() as session:
        person = await find_person(session, FRIEND.subject)
        assert person is not None
        team = await session.get(Team, "returns")
        assert team is not None
        assert team.members_source == MembersSource.API
