"""The root field that lists what is in review."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.nodes import field
from coe.api.graphql.paging import Connection, page_size
from coe.api.types.reviews import Review, ReviewFilter
from coe.review import queries


@strawberry.type
class ReviewQuery:
    """The field of Query about reviews."""

    @field
    async def reviews(
        self,
        info: Info,
        filter: ReviewFilter | None = None,  # noqa: A002  # the contract's style
        first: int | None = 20,
        after: str | None = None,
    ) -> Connection[Review]:
        """Versions in review that the caller may read, the longest waiting first."""
        wanted = filter.wanted() if filter else queries.ReviewFilter()
        async with info.context.read() as read:
            page = await queries.reviews_page(read, wanted, first=page_size(first), after=after)
        return Connection.of(page, Review.of)
