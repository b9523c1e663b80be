"""Teams, their members and their contacts.

That a team exists is no secret: entries of the catalog name their owners. Who works there and how
to reach them is internal to the organisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, Text, any_, bindparam, select
from sqlmodel import col

from coe.access.actor import DataClass
from coe.access.models import Membership
from coe.access.permissions import Permission
from coe.access.team_records import TEAM_COLUMNS, TEAMS, TeamRecord
from coe.work import Read

_SLUGS: Final = bindparam("slugs", type_=ARRAY(Text))


async def all_teams(read: Read) -> list[TeamRecord]:
    """All teams, by their slugs."""
    rows = await read.session.execute(select(*TEAM_COLUMNS).order_by(TEAMS.c.slug))
    return [TEAM_COLUMNS.record(row) for row in rows]


async def teams_by_slug(read: Read, slugs: Sequence[str]) -> dict[str, TeamRecord]:
    """Teams by their slugs."""
    rows = await read.fetch(
        "teams by slug",
        lambda: select(*TEAM_COLUMNS).where(TEAMS.c.slug == any_(_SLUGS)),
        slugs=list(slugs),
    )
    return {team.slug: team for team in map(TEAM_COLUMNS.record, rows)}


async def teams_by_id(read: Read, ids: Sequence[UUID]) -> dict[UUID, TeamRecord]:
    """Teams by their ids."""
    rows = await read.session.execute(select(*TEAM_COLUMNS).where(TEAMS.c.id.in_(ids)))
    return {team.id: team for team in map(TEAM_COLUMNS.record, rows)}


async def members_by_team(read: Read, slugs: Sequence[str]) -> dict[str, list[Membership]]:
    """The members of those teams whose internals the actor may read."""
    found = await read.session.scalars(
        select(Membership)
        .where(col(Membership.team).in_(_internal(read, slugs)))
        .order_by(col(Membership.team), col(Membership.subject)),
    )
    members: dict[str, list[Membership]] = {}
    for member in found:
        members.setdefault(member.team, []).append(member)
    return members


async def contacts_by_team(read: Read, slugs: Sequence[str]) -> dict[str, str]:
    """The contacts of those teams whose internals the actor may read."""
    teams = await teams_by_slug(read, _internal(read, slugs))
    return {slug: team.contact for slug, team in teams.items() if team.contact}


def _internal(read: Read, slugs: Sequence[str]) -> list[str]:
    """The teams in which the actor may read what is internal."""
    return [
        slug
        for slug in slugs
        if read.decide(Permission.ENTRY_READ, team=slug, data_class=DataClass.INTERNAL).allowed
    ]
