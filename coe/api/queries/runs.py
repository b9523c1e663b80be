"""Root fields that read runs."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.ids import to_uuid
from coe.api.graphql.loaders import run_by_id
from coe.api.graphql.nodes import field
from coe.api.graphql.paging import Connection
from coe.api.types.runs import Run, RunFilter, runs_page


@strawberry.type
class RunQuery:
    """The fields of Query about runs."""

    @field
    async def run(self, info: Info, id: strawberry.ID) -> Run | None:  # noqa: A002  # the contract's name
        """A run by its id; its plain UUID, which workers know, is accepted too."""
        return Run.of(await info.context.load_existing(run_by_id, to_uuid("Run", id)))

    @field
    async def runs(
        self,
        info: Info,
        filter: RunFilter | None = None,  # noqa: A002  # the contract's name
        first: int | None = 20,
        after: str | None = None,
    ) -> Connection[Run]:
        """Runs that the caller may read, the newest first."""
        return await runs_page(info, (filter or RunFilter()).wanted(), first, after)
