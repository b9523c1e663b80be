"""Root fields about the machines that a team lets in."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.nodes import field
from coe.api.graphql.paging import Connection, page_size
from coe.api.types.machines import Client, TrustRule
from coe.identity import registrations


@strawberry.type
class MachineQuery:
    """The fields of Query about registered clients and trust rules."""

    @field
    async def clients(
        self,
        info: Info,
        team: str,
        *,
        active: bool | None = None,
        first: int | None = 20,
        after: str | None = None,
    ) -> Connection[Client]:
        """The registered clients of a team, the newest first; the reading is recorded."""
        async with info.context.work() as work:
            page = await registrations.list_clients(
                work, team, active=active, first=page_size(first), after=after
            )
            return Connection.of(page, lambda record: Client.of(record, work.now))

    @field
    async def trust_rules(
        self,
        info: Info,
        team: str,
        *,
        active: bool | None = None,
        first: int | None = 20,
        after: str | None = None,
    ) -> Connection[TrustRule]:
        """The trust rules of a team, the newest first; the reading is recorded."""
        async with info.context.work() as work:
            page = await registrations.list_trust_rules(
                work, team, active=active, first=page_size(first), after=after
            )
            return Connection.of(page, lambda record: TrustRule.of(record, work.now))
