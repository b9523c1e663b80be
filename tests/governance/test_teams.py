"""That a team exists is public; its members and its contact are internal."""

from __future__ import annotations

from coe.governance import teams
from coe.work import Platform
from tests.factories.people import OUTSIDER, SALES_OWNER


async def test_teams_are_found_by_slug_and_by_id(platform: Platform) -> None:
    async with platform.read(OUTSIDER) as read:
        found = await teams.teams_by_slug(read, ["sales", "moon"])
        by_id = await teams.teams_by_id(read, [found["sales"].id])
        everyone = await teams.all_teams(read)
    assert list(found) == ["sales"]
    assert [team.slug for team in by_id.values()] == ["sales"]
    assert [team.slug for team in everyone] == sorted(team.slug for team in everyone)
    assert len(everyone) > 1


async def test_members_and_contacts_are_internal(platform: Platform) -> None:
    async with platform.read(SALES_OWNER) as read:
        members = await teams.members_by_team(read, ["sales"])
        contacts = await teams.contacts_by_team(read, ["sales"])
    assert "sales-owner" in {member.subject for member in members["sales"]}
    assert contacts["sales"]
    async with platform.read(OUTSIDER) as read:
        assert await teams.members_by_team(read, ["sales"]) == {}
        assert await teams.contacts_by_team(read, ["sales"]) == {}
