"""Views of teams, their members, and the caller."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from coe.access.actor import ActorKind
from coe.access.ends import is_alive, live_grants
from coe.access.membership_changes import MembersSource
from coe.access.models import Membership, TeamState
from coe.access.policy import Policy
from coe.access.team_records import TeamRecord
from coe.api.graphql.context import Info
from coe.api.graphql.ids import to_global
from coe.api.graphql.loaders import (
    contact_of,
    first_flows,
    members_of,
    team_by_slug,
    worker_of_team,
)
from coe.api.graphql.nodes import Node, field, object_type
from coe.api.graphql.paging import Connection, page_size
from coe.api.graphql.scalars import DateTime
from coe.catalog import queries
from coe.formats import instants

if TYPE_CHECKING:
    from coe.api.types.flows import Flow


@object_type
class GrantedRole:
    """A role that a person was granted until a time; without a role the membership alone."""

    role: str | None
    until: DateTime


@object_type
class Member:
    """A person or service in a team, with its roles there."""

    subject: str
    display_name: str
    roles: list[str]
    expires_at: DateTime | None = strawberry.field(
        description="When the membership ends by itself",
    )
    granted: list[GrantedRole] = strawberry.field(
        description="Roles beside these, each until a time",
    )

    @classmethod
    def of(cls, record: Membership, now: datetime) -> Member | None:
        """The view of a membership at this time; None if it has ended."""
        if not is_alive(record.expires_at, record.granted, now):
            return None
        ended = record.expires_at is not None and record.expires_at <= now
        return cls(
            subject=record.subject,
            display_name=record.display_name,
            roles=[] if ended else sorted(record.roles),
            expires_at=DateTime(record.expires_at) if record.expires_at and not ended else None,
            granted=[
                GrantedRole(role=role or None, until=DateTime(instants.read(end)))
                for role, end in sorted(live_grants(record.granted, now).items())
            ],
        )


@object_type
class Team(Node):
    """A team: the owner of a namespace in the catalog."""

    slug: str
    name: str
    domain: str | None
    members_source: MembersSource = strawberry.field(
        description="Where its people come from: a change of another source is refused",
    )
    state: TeamState = strawberry.field(description="Whether it works with the platform")

    @classmethod
    def of(cls, record: TeamRecord) -> Team:
        """The view of a team."""
        return cls(
            id=strawberry.ID(to_global("Team", record.id)),
            slug=record.slug,
            name=record.name,
            domain=record.domain,
            members_source=MembersSource(record.members_source),
            state=TeamState(record.state),
        )

    @field
    async def contact(self, info: Info) -> str | None:
        """How to reach the team; null for a caller from outside the organisation."""
        return await info.context.load(contact_of, self.slug)

    @field
    async def worker_seen_at(self, info: Info) -> DateTime | None:
        """When a worker of the team last asked for runs; null if none has, or from outside."""
        seen = await info.context.load(worker_of_team, self.slug)
        return DateTime(seen) if seen else None

    @field
    async def members(self, info: Info) -> list[Member]:
        """The members of the team; none for a caller from outside the organisation."""
        records = await info.context.load(members_of, self.slug)
        now = info.context.platform.clock()
        members = (Member.of(record, now) for record in records or ())
        return [each for each in members if each is not None]

    @field
    async def flows(
        self,
        info: Info,
        first: int | None = 20,
        after: str | None = None,
    ) -> Connection[Annotated[Flow, strawberry.lazy("coe.api.types.flows")]]:
        """The flows of the team that the caller may read, by name."""
        from coe.api.types.flows import Flow  # noqa: PLC0415  # flows refer to their teams

        size = page_size(first)
        if after is None:
            page = await info.context.load(first_flows, (self.slug, size))
        else:
            async with info.context.read() as read:
                page = await queries.flows_page(read, self.slug, first=size, after=after)
        return Connection.of(page, Flow.of)


@object_type
class Viewer:
    """The caller: what the token says, and what the policy allows."""

    id: strawberry.ID
    subject: str
    kind: ActorKind
    display_name: str
    slugs: strawberry.Private[list[str]]
    roles: list[str] = strawberry.field(description="Each as team/role")
    policy: strawberry.Private[Policy]

    @field
    def permissions(self, info: Info) -> list[str]:
        """The permissions that the roles give in some team.

        A relation to a thing, such as being a candidate of a task, gives more.
        """
        return sorted(each.value for each in self.policy.permissions(info.context.actor))

    @field
    async def teams(self, info: Info) -> list[Team]:
        """The teams of which the caller is a member."""
        records = await info.context.load_many(team_by_slug, self.slugs)
        return [Team.of(record) for record in records if record]


async def owner_of(info: Info, slug: str) -> Team:
    """The team of a slug.

    Raises:
        NotFound: There is none.
    """
    return Team.of(await info.context.load_existing(team_by_slug, slug))
