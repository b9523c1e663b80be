"""Teams, their members and their contacts.

That a team exists is no secret: entries of the catalog name their owners. Who works there and how
to reach them is internal to the organisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from coe.access.actor import DataClass
from coe.access.models import Membership, Team
from coe.access.permissions import Permission
from coe.work import Read


async def all_teams(read: Read) -> list[Team]:
    """All teams, by their slugs."""
    return list(await read.session.scalars(select(Team).order_by(col(Team.slug))))


async def teams_by_slug(read: Read, slugs: Sequence[str]) -> dict[str, Team]:
    """Teams by their slugs."""
    found = await read.session.scalars(select(Team).where(col(Team.slug).in_(slugs)))
    return {team.slug: team for team in found}


async def teams_by_id(read: Read, ids: Sequence[UUID]) -> dict[UUID, Team]:
    """Teams by their ids."""
    found = await read.session.scalars(select(Team).where(col(Team.id).in_(ids)))
    return {team.id: team for team in found}


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
