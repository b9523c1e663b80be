"""Root fields of the caller and of teams."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.ids import to_global
from coe.api.graphql.nodes import field
from coe.api.types.teams import Team, Viewer, owner_of
from coe.governance.teams import all_teams


@strawberry.type
class TeamQuery:
    """The fields of Query about the caller and teams."""

    @field
    async def me(self, info: Info) -> Viewer:
        """The caller: what the token says, and what the policy allows."""
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
            policy=policy,
        )

    @field
    async def team(self, info: Info, slug: str) -> Team | None:
        """A team by its slug."""
        return await owner_of(info, slug)

    @field
    async def teams(self, info: Info) -> list[Team]:
        """All teams, by their slugs."""
        async with info.context.read() as read:
            return [Team.of(record) for record in await all_teams(read)]
