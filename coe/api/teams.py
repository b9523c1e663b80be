"""Who asks, and the teams with their members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry
from sqlalchemy import select
from sqlmodel import col

from coe.access.actor import ActorKind, DataClass
from coe.access.models import Membership
from coe.access.models import Team as TeamRow
from coe.access.permissions import Permission
from coe.api.context import Info, batch
from coe.api.ids import to_global
from coe.api.nested_pages import first_flows
from coe.api.nodes import Node, field
from coe.api.paging import checked
from coe.catalog import queries as catalog
from coe.errors import NotFound
from coe.work import Read

if TYPE_CHECKING:
    from coe.api.flows import FlowConnection


async def teams_by_slug(read: Read, slugs: Sequence[str]) -> dict[str, TeamRow]:
    """Teams by their slugs. That a team exists is no secret: entries name their owners."""
    found = await read.session.scalars(select(TeamRow).where(col(TeamRow.slug).in_(slugs)))
    return {team.slug: team for team in found}


async def teams_by_id(read: Read, ids: Sequence[UUID]) -> dict[UUID, TeamRow]:
    """Teams by their ids."""
    found = await read.session.scalars(select(TeamRow).where(col(TeamRow.id).in_(ids)))
    return {team.id: team for team in found}


async def members_by_team(read: Read, slugs: Sequence[str]) -> dict[str, list[Membership]]:
    """Members of those teams of which the actor may read what is internal."""
    shown = [slug for slug in slugs if _is_inside(read, slug)]
    found = await read.session.scalars(
        select(Membership)
        .where(col(Membership.team).in_(shown))
        .order_by(col(Membership.team), col(Membership.subject)),
    )
    members: dict[str, list[Membership]] = {}
    for member in found:
        members.setdefault(member.team, []).append(member)
    return members


async def contacts_by_team(read: Read, slugs: Sequence[str]) -> dict[str, str]:
    """Contacts of those teams of which the actor may read what is internal."""
    teams = await teams_by_slug(read, [slug for slug in slugs if _is_inside(read, slug)])
    return {slug: team.contact for slug, team in teams.items() if team.contact}


def _is_inside(read: Read, team: str) -> bool:
    """Who works here and how to reach them is internal to the organisation."""
    return read.decide(Permission.ENTRY_READ, team=team, data_class=DataClass.INTERNAL).allowed


team_by_slug = batch(teams_by_slug)
team_by_id = batch(teams_by_id)
members_of = batch(members_by_team)
contact_of = batch(contacts_by_team)


@strawberry.type(description="A person or service in a team, with its roles there")
class Member:
    """A person or service in a team."""

    subject: str
    display_name: str
    roles: list[str]


@strawberry.type(description="A team: the owner of a namespace in the catalog")
class Team(Node):
    """A team."""

    slug: str
    name: str
    domain: str | None

    @classmethod
    def of(cls, row: TeamRow) -> Team:
        """The view of a team."""
        return cls(
            id=strawberry.ID(to_global("Team", row.id)),
            slug=row.slug,
            name=row.name,
            domain=row.domain,
        )

    @field
    async def contact(self, info: Info) -> str | None:
        """How to reach the team; null for a caller from outside the organisation."""
        return await info.context.load(contact_of, self.slug)

    @field
    async def members(self, info: Info) -> list[Member]:
        """Who is in the team; none for a caller from outside the organisation."""
        rows = await info.context.load(members_of, self.slug)
        return [
            Member(subject=row.subject, display_name=row.display_name, roles=sorted(row.roles))
            for row in rows or ()
        ]

    @field
    async def flows(
        self,
        info: Info,
        first: int | None = 20,
        after: str | None = None,
    ) -> Annotated[FlowConnection, strawberry.lazy("coe.api.flows")]:
        """The flows of the team that the caller may read, by title."""
        from coe.api.flows import FlowConnection  # noqa: PLC0415  # flows name their teams

        size = checked(first)
        if after is None:
            return FlowConnection.of(await info.context.load(first_flows, (self.slug, size)))
        async with info.context.read() as read:
            page = await catalog.flows_page(read, self.slug, first=size, after=after)
        return FlowConnection.of(page)


@strawberry.type(description="Who asks")
class Viewer:
    """Who asks."""

    id: strawberry.ID
    subject: str
    kind: ActorKind
    display_name: str
    slugs: strawberry.Private[list[str]]
    roles: list[str] = strawberry.field(description="Each as team/role")
    permissions: list[str] = strawberry.field(
        description="What the roles allow somewhere; relations, such as being a candidate, add",
    )

    @field
    async def teams(self, info: Info) -> list[Team]:
        """The teams that the caller is in."""
        rows = await info.context.load_many(team_by_slug, self.slugs)
        return [Team.of(row) for row in rows if row]


async def owner_of(info: Info, slug: str) -> Team:
    """The team of a slug.

    Raises:
        NotFound: There is none.
    """
    row = await info.context.load(team_by_slug, slug)
    if row is None:
        raise NotFound
    return Team.of(row)


@strawberry.type
class TeamQuery:
    """The part of Query that is about people and teams."""

    @field
    async def me(self, info: Info) -> Viewer:
        """Who asks: what the token says, and what the policy gives."""
        actor = info.context.actor
        async with info.context.read() as read:
            policy = read.policy
        return Viewer(
            id=strawberry.ID(to_global("Viewer", actor.subject)),
            subject=actor.subject,
            kind=actor.kind,
            display_name=actor.display_name,
            slugs=sorted(policy.teams(actor.subject)),
            roles=sorted(f"{team}/{role}" for role, team in policy.roles(actor.subject)),
            permissions=sorted(each.value for each in policy.permissions(actor)),
        )

    @field
    async def team(self, info: Info, slug: str) -> Team | None:
        """A team by its slug."""
        return await owner_of(info, slug)

    @field
    async def teams(self, info: Info) -> list[Team]:
        """All teams, by their slugs."""
        async with info.context.read() as read:
            rows = await read.session.scalars(select(TeamRow).order_by(col(TeamRow.slug)))
            return [Team.of(row) for row in rows]
