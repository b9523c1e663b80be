"""Memberships and grants that end, and people whose account is not active."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.load import renew_version
from coe.access.membership_changes import (
    EndedGrant,
    GivenMembership,
    drop_membership,
    find_membership,
    forget_ended,
    grant_role,
    put_membership,
)
from coe.access.models import Person, PersonState
from coe.access.policy import Policy
from coe.access.policy_store import PolicyStore
from coe.access.records import MembershipRecord, PolicyRecord, TeamRecord, read_policy
from coe.db import Database

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
SOON = NOW + timedelta(hours=1)
LATER = NOW + timedelta(days=1)


def newcomer(*roles: str, until: datetime | None = None) -> GivenMembership:
    return GivenMembership("sales", "newcomer", "Nina", roles, until)


async def roles_at(session: AsyncSession, now: datetime, store: PolicyStore) -> set[str]:
    policy = await store.current(session, now=now)
    return {role for role, _ in policy.roles("newcomer")} | (
        {"(member)"} if "newcomer" in policy.memberships else set()
    )


async def test_a_membership_counts_until_its_end_without_a_new_version(database: Database) -> None:
    store = PolicyStore()
    async with database.session() as session:
        await put_membership(session, "api", newcomer("developer", until=SOON))
        await renew_version(session)
        assert await roles_at(session, NOW, store) == {"developer", "(member)"}
        assert await roles_at(session, SOON, store) == set(), "held by the same store"
        assert await roles_at(session, SOON, PolicyStore()) == set(), "read afresh"
        assert await forget_ended(session, SOON) == (
            EndedGrant("sales", "newcomer", None, ("developer",)),
        )
        assert await forget_ended(session, SOON) == ()
        assert await find_membership(session, "sales", "newcomer") is None


async def test_a_granted_role_ends_and_the_membership_stays(database: Database) -> None:
    store = PolicyStore()
    async with database.session() as session:
        await put_membership(session, "api", newcomer("developer"))
        await grant_role(session, newcomer("operator"), SOON, now=NOW)
        await renew_version(session)
        assert await roles_at(session, NOW, store) == {"developer", "operator", "(member)"}
        assert await roles_at(session, SOON, store) == {"developer", "(member)"}
        assert await forget_ended(session, SOON) == (
            EndedGrant("sales", "newcomer", "operator", ("operator",)),
        )
        assert await forget_ended(session, LATER) == ()


async def test_a_grant_outlives_the_membership_and_takes_the_person_out_with_it(
    database: Database,
) -> None:
    store = PolicyStore()
    async with database.session() as session:
        await put_membership(session, "api", newcomer("developer"))
        await grant_role(session, newcomer("operator"), SOON, now=NOW)
        await grant_role(session, newcomer(), LATER, now=NOW)
        await drop_membership(session, "sales", "newcomer", now=NOW)
        await renew_version(session)
        assert await roles_at(session, NOW, store) == {"operator", "(member)"}
        assert await roles_at(session, SOON, store) == {"(member)"}
        assert await roles_at(session, LATER, store) == set()


async def test_who_has_only_a_grant_is_gone_when_it_ends(database: Database) -> None:
    async with database.session() as session:
        await grant_role(session, newcomer("operator"), SOON, now=NOW)
        await renew_version(session)
        assert await roles_at(session, NOW, PolicyStore()) == {"operator", "(member)"}
        assert await forget_ended(session, SOON) == (
            EndedGrant("sales", "newcomer", "operator", ("operator",)),
        )
        assert await find_membership(session, "sales", "newcomer") is None


@pytest.mark.parametrize("state", [PersonState.SUSPENDED, PersonState.LEFT])
async def test_whose_account_is_not_active_is_in_no_team(
    database: Database, state: PersonState
) -> None:
    store = PolicyStore()
    async with database.session() as session:
        before = await store.current(session)
        assert ("lead", "sales") in before.roles("sales-lead")
        person = Person(subject="Sales-Lead", display_name="S", source="scim", state=state.value)
        session.add(person)
        await session.flush()
        await renew_version(session)
        assert (await store.current(session)).roles("sales-lead") == frozenset()
        person.state = PersonState.ACTIVE.value
        await session.flush()
        await renew_version(session)
        assert (await store.current(session)).roles("sales-lead") == before.roles("sales-lead")


def test_the_first_end_says_when_a_policy_is_made_again() -> None:
    record = PolicyRecord(
        version="1",
        teams=(
            TeamRecord(
                "sales",
                {"c": ()},
                (
                    MembershipRecord("a", "sales", (), LATER),
                    MembershipRecord("b", "sales", (), None, {"lead": "2026-12-01T10:00:00Z"}),
                ),
            ),
        ),
    )
    assert Policy(record, now=NOW).memberships.until == SOON
    assert Policy(record, now=SOON).memberships.until == LATER
    assert Policy(record, now=LATER).memberships.until is None


async def test_lines_say_which_roles_two_people_give(database: Database) -> None:
    async with database.session() as session:
        policy = Policy(await read_policy(session))
    assert policy.needs_approval("sales", ["lead", "developer"]) == {"lead"}
    assert policy.needs_approval("audit", ["auditor"]) == {"auditor"}
    assert policy.needs_approval("sales", ["developer"]) == frozenset()
