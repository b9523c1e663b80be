"""Root fields that read human tasks."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.ids import to_uuid
from coe.api.graphql.loaders import task_by_id
from coe.api.graphql.nodes import field
from coe.api.graphql.paging import Connection, page_size
from coe.api.types.human_tasks import HumanTask, HumanTaskFilter
from coe.human_tasks import queries


@strawberry.type
class HumanTaskQuery:
    """The fields of Query about human tasks."""

    @field
    async def human_task(self, info: Info, id: strawberry.ID) -> HumanTask | None:  # noqa: A002  # the contract's name
        """A human task by its id."""
        task_id = to_uuid("HumanTask", id)
        return HumanTask.of(await info.context.load_existing(task_by_id, task_id))

    @field
    async def inbox(
        self,
        info: Info,
        filter: HumanTaskFilter | None = None,  # noqa: A002  # the contract's name
        first: int | None = 20,
        after: str | None = None,
    ) -> Connection[HumanTask]:
        """Human tasks that the caller may see, the oldest first."""
        wanted = filter.wanted() if filter else None
        async with info.context.read() as read:
            page = await queries.inbox(read, wanted, first=page_size(first), after=after)
        return Connection.of(page, HumanTask.of)
