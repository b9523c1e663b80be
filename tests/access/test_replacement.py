"""Memberships of an origin beside the content folders."""

from __future__ import annotations

from coe import content
from coe.access.load import load_access_files
from coe.access.replacement import GivenMembership, MembershipChanges, replace_memberships
from coe.work import Platform
from tests.conftest import ROOT

ORIGIN = "oidc:acme"


def given(team: str, *roles: str, subject: str = "newcomer") -> GivenMembership:
    return GivenMembership(team, subject, "Nina Newcomer", roles)


async def replace(platform: Platform, *rows: GivenMembership, **within: str) -> MembershipChanges:
    async with platform.database.session() as session:
        changes = await replace_memberships(session, ORIGIN, rows, **within)
        await session.commit()
    return changes


async def roles(platform: Platform, subject: str = "newcomer") -> set[tuple[str, str]]:
    async with platform.database.session() as session:
        policy = await platform.policies.current(session)
    return set(policy.roles(subject))


async def test_a_replacement_adds_changes_and_removes_and_policies_follow(
    platform: Platform,
) -> None:
    first = await replace(platform, given("sales", "process-owner"), given("finance"))
    assert first.added == ("finance/newcomer", "sales/newcomer")
    assert await roles(platform) == {("process-owner", "sales")}
    second = await replace(platform, given("sales", "developer"))
    assert (second.changed, second.removed) == (("sales/newcomer",), ("finance/newcomer",))
    assert second.policy.version > first.policy.version
    assert await roles(platform) == {("developer", "sales")}
    again = await replace(platform, given("sales", "developer"))
    assert not again.any
    assert not again.policy.changed


async def test_only_those_within_are_replaced(platform: Platform) -> None:
    await replace(platform, given("sales", "lead"), given("sales", "lead", subject="other"))
    await replace(platform, subject="newcomer")
    assert await roles(platform) == set()
    assert await roles(platform, "other") == {("lead", "sales")}
    await replace(platform, team="finance")
    assert await roles(platform, "other") == {("lead", "sales")}


async def test_what_another_origin_has_stays(platform: Platform) -> None:
    changes = await replace(
        platform, given("sales", "lead", subject="sales-developer"), given("no-such-team", "lead")
    )
    assert changes.skipped == ("no-such-team/newcomer", "sales/sales-developer")
    assert not changes.any
    assert ("lead", "sales") not in await roles(platform, "sales-developer")


async def test_loading_the_files_leaves_them(platform: Platform) -> None:
    await replace(platform, given("sales", "lead"))
    async with platform.database.session() as session:
        await load_access_files(session, content.root(ROOT))
        await session.commit()
    assert await roles(platform) == {("lead", "sales")}
