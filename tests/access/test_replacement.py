"""Memberships of an origin beside the content folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col

from coe import content
from coe.access.load import load_access_files
from coe.access.membership_changes import MembersSource, hand_over
from coe.access.models import Team
from coe.access.replacement import GivenMembership, MembershipChanges, replace_memberships
from coe.errors import Invalid
from coe.work import Platform
from tests.conftest import ROOT

ORIGIN = "oidc:acme"


@pytest.fixture(autouse=True)
async def teams_of_the_origin(platform: Platform) -> None:
    """The people of two teams come from sign-ins; those of the others from the files."""
    async with platform.database.session() as session:
        await session.execute(
            update(Team)
            .where(col(Team.slug).in_(("sales", "finance")))
            .values(members_source="oidc")
        )
        await session.commit()


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


async def test_what_another_origin_has_stays(platform: Platform) -> None:
    changes = await replace(
        platform,
        given("sales", "lead", subject="sales-developer"),
        given("warehouse", "lead"),
        given("no-such-team", "lead"),
    )
    assert changes.skipped == (
        "no-such-team/newcomer",
        "sales/sales-developer",
        "warehouse/newcomer",
    )
    assert not changes.any
    assert ("lead", "sales") not in await roles(platform, "sales-developer")


async def test_loading_files_that_name_the_source_leaves_them(
    platform: Platform, tmp_path: Path
) -> None:
    await replace(platform, given("sales", "lead"))
    for folder in ("catalog", "policies"):
        shutil.copytree(content.root(ROOT) / folder, tmp_path / folder)
    with pytest.raises(Invalid) as refused:
        async with platform.database.session() as session:
            await load_access_files(session, tmp_path)
    assert "the groups of people at their sign-in" in refused.value.problems[0].message
    for team in ("sales", "finance"):
        file = tmp_path / "catalog" / "teams" / f"{team}.yaml"
        text, _, rest = file.read_text().partition("members:\n")
        services = rest[rest.index("services:") :]
        file.write_text(f"{text}members_source: oidc\n{services}")
    async with platform.database.session() as session:
        await load_access_files(session, tmp_path)
        await session.commit()
    assert await roles(platform) == {("lead", "sales")}
    assert await roles(platform, "service:worker/sales") == {("worker", "sales")}


async def test_people_stay_when_their_team_gets_another_source(platform: Platform) -> None:
    async with platform.database.session() as session:
        await hand_over(session, "warehouse", MembersSource.OIDC)
        await session.commit()
    assert ("lead", "warehouse") in await roles(platform, "warehouse-lead")
    changes = await replace(platform, given("warehouse", "developer", subject="warehouse-lead"))
    assert changes.changed == ("warehouse/warehouse-lead",)
    changes = await replace(platform, subject="warehouse-lead")
    assert changes.left == ("warehouse-lead",)
