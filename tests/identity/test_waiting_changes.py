"""A change that waited for another one is decided by what that one left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.actor import Actor
from coe.access.machine_models import MachineClient
from coe.access.membership_changes import MembersSource, lock_policy
from coe.access.models import Membership
from coe.access.permissions import Permission
from coe.errors import CoeError, Conflict, Forbidden
from coe.identity import registrations
from coe.identity.registrations import ClientRequest
from coe.identity.team_lifecycle.offboarding import retire_team
from coe.identity.teams import actions, changes, proposals
from coe.identity.teams.actions import NewMember, NewTeam
from coe.identity.teams.people import activate_person, offboard_person, suspend_person
from coe.work import Platform
from tests.factories.people import COE_LEAD, COE_REVIEWER
from tests.factories.policies import sign_policy

LEAD = Actor.of("returns-lead")
WHY = "because"


async def do(platform: Platform, actor: Actor, verb: Any, *given: Any, **more: Any) -> Any:
    async with platform.work(actor) as work:
        return await verb(work, *given, **more)


async def members(platform: Platform) -> set[str]:
    async with platform.database.session() as session:
        found = select(Membership.subject).where(Membership.team == "returns")  # type: ignore[call-overload, arg-type]  # columns
        return set(await session.scalars(found))


async def someone_waits(platform: Platform, task: asyncio.Task[Any]) -> None:
    """Return when a transaction of this database waits for another one."""
    statement = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    while not task.done():
        async with platform.database.session() as session:
            if await session.scalar(statement):
                return
        await asyncio.sleep(0.01)


async def propose(platform: Platform, subject: str) -> Any:
    new = NewMember(subject, ["lead"])
    made = await do(platform, COE_LEAD, actions.add_member, "returns", new, reason=WHY)
    return made.proposal


@pytest.fixture
async def returns(platform: Platform) -> Platform:
    """A team of the API with a lead."""
    await do(platform, COE_LEAD, actions.create_team, NewTeam("returns", "Returns"))
    await do(platform, COE_REVIEWER, proposals.approve, await propose(platform, LEAD.subject))
    return platform


Meanwhile = Callable[[Platform], Awaitable[Any]]


async def retired(platform: Platform) -> None:
    await do(platform, COE_LEAD, retire_team, "returns", reason=WHY)


async def lead_left(platform: Platform) -> None:
    await do(platform, COE_LEAD, offboard_person, LEAD.subject, reason=WHY)


async def source_changed(platform: Platform) -> None:
    source = MembersSource.SCIM
    await do(platform, COE_LEAD, actions.set_members_source, "returns", source, reason=WHY)


@pytest.mark.parametrize(
    ("meanwhile", "error", "why"),
    [
        (retired, Conflict, "is retired"),
        (lead_left, Forbidden, "team:members"),
        (source_changed, Conflict, "come from"),
    ],
)
async def test_a_member_is_taken_in_by_what_holds_when_the_change_is_made(
    returns: Platform,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: Meanwhile,
    error: type[CoeError],
    why: str,
) -> None:
    async def after_another(session: AsyncSession) -> None:
        monkeypatch.setattr(changes, "lock_policy", lock_policy)
        await meanwhile(returns)
        await lock_policy(session)

    monkeypatch.setattr(changes, "lock_policy", after_another)
    with pytest.raises(error, match=why):
        await do(returns, LEAD, actions.add_member, "returns", NewMember("rosa"), reason=WHY)
    assert "rosa" not in await members(returns)


async def test_an_approver_who_left_meanwhile_approves_nothing(
    returns: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = await propose(returns, "rosa")

    async def after_another(session: AsyncSession) -> None:
        monkeypatch.setattr(changes, "lock_policy", lock_policy)
        await do(returns, COE_LEAD, offboard_person, COE_REVIEWER.subject, reason=WHY)
        await lock_policy(session)

    monkeypatch.setattr(changes, "lock_policy", after_another)
    with pytest.raises(Forbidden):
        await do(returns, COE_REVIEWER, proposals.approve, waiting)
    assert "rosa" not in await members(returns)


@pytest.mark.parametrize("verb", [suspend_person, activate_person, offboard_person])
async def test_who_left_meanwhile_changes_no_account(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, verb: Any
) -> None:
    async with platform.database.session() as session:
        member = await session.get_one(Membership, ("coe", COE_REVIEWER.subject))
        member.roles = [*member.roles, "lead"]
        await session.flush()
        await sign_policy(session)
        await session.commit()
    if verb is activate_person:
        await do(platform, COE_LEAD, suspend_person, "sales-owner", reason=WHY)
    async with platform.work(COE_REVIEWER) as work:
        may = work.decide(Permission.PERSON_SUSPEND, team="sales").allowed
    assert may

    async def after_another(session: AsyncSession) -> None:
        monkeypatch.setattr(changes, "lock_policy", lock_policy)
        await do(platform, COE_LEAD, offboard_person, COE_REVIEWER.subject, reason=WHY)
        await lock_policy(session)

    monkeypatch.setattr(changes, "lock_policy", after_another)
    with pytest.raises(Forbidden):
        await do(platform, COE_REVIEWER, verb, "sales-owner", reason=WHY)


async def test_no_machine_is_registered_in_a_team_that_is_being_retired(returns: Platform) -> None:
    request = ClientRequest("returns", "shop", ["run:start"], timedelta(days=9))
    async with returns.work(COE_LEAD) as work:
        await retire_team(work, "returns", reason=WHY)
        made = asyncio.create_task(do(returns, LEAD, registrations.create_client, request))
        await someone_waits(returns, made)
        assert not made.done()
    with pytest.raises(Conflict, match="is retired"):
        await made


async def test_a_machine_that_is_being_registered_ends_with_the_team(returns: Platform) -> None:
    request = ClientRequest("returns", "shop", ["run:start"], timedelta(days=9))
    async with returns.work(LEAD) as work:
        _, row = await registrations.create_client(work, request)
        ends = asyncio.create_task(retired(returns))
        await someone_waits(returns, ends)
        assert not ends.done()
    await ends
    async with returns.database.session() as session:
        client = await session.get(MachineClient, row.id)
    assert client is not None
    assert client.revoked_at is not None


async def test_an_approval_and_the_end_of_the_team_do_not_wait_for_each_other(
    returns: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = await propose(returns, "rosa")
    ends: list[asyncio.Task[None]] = []

    async def beside_the_end(session: AsyncSession) -> None:
        monkeypatch.setattr(changes, "lock_policy", lock_policy)
        ends.append(asyncio.create_task(retired(returns)))
        await someone_waits(returns, ends[0])
        await lock_policy(session)

    monkeypatch.setattr(changes, "lock_policy", beside_the_end)
    await do(returns, COE_REVIEWER, proposals.approve, waiting)
    await ends[0]
    assert await members(returns) == set()
