"""Root fields about the workers of teams."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.nodes import field
from coe.api.graphql.paging import Connection, page_size
from coe.api.types.workers import Worker
from coe.identity import workers


@strawberry.type
class WorkerQuery:
    """The fields of Query about workers."""

    @field
    async def workers(
        self,
        info: Info,
        team: str,
        *,
        active: bool | None = None,
        first: int | None = 20,
        after: str | None = None,
    ) -> Connection[Worker]:
        """The workers that enrolled for a team, the newest first; the reading is recorded."""
        async with info.context.work() as work:
            page = await workers.list_workers(
                work, team, active=active, first=page_size(first), after=after
            )
            return Connection.of(page, lambda record: Worker.of(record, work.now))
