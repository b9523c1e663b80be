"""Search over the catalog, and systems."""

from __future__ import annotations

import strawberry

from coe.access.actor import DataClass
from coe.api.context import Info, chosen
from coe.api.entries import CatalogEntry, FacetValue, System, view_of
from coe.api.nodes import field
from coe.api.paging import PageInfo, checked
from coe.catalog import queries
from coe.catalog.models import EntryKind, Lifecycle
from coe.catalog.records import Facet as FacetRow
from coe.catalog.records import Hits
from coe.catalog.search.filters import CatalogFilter as Wanted
from coe.catalog.search.query import CatalogOrder, CatalogSearch
from coe.catalog.search.query import search as find
from coe.errors import NotFound


@strawberry.input(description="What entries must have; values of one list are or-ed")
class CatalogFilter:
    """What entries must have."""

    kinds: list[EntryKind] | None = None
    owners: list[str] | None = None
    tags: list[str] | None = None
    domains: list[str] | None = None
    systems: list[str] | None = None
    lifecycles: list[Lifecycle] | None = None
    data_classes: list[DataClass] | None = None

    def wanted(self) -> Wanted:
        """The same for the query."""
        return Wanted(
            kinds=tuple(self.kinds or ()),
            owners=tuple(self.owners or ()),
            tags=tuple(self.tags or ()),
            domains=tuple(self.domains or ()),
            systems=tuple(self.systems or ()),
            lifecycles=tuple(self.lifecycles or ()),
            data_classes=tuple(self.data_classes or ()),
        )


@strawberry.type(
    description="Counts over everything that matches and that the caller may read, "
    "each facet ignoring its own filter",
)
class Facet:
    """Counts by one property."""

    name: str
    values: list[FacetValue]

    @classmethod
    def of(cls, row: FacetRow) -> Facet:
        """The view of a facet."""
        return cls(name=row.name, values=[FacetValue.of(value) for value in row.values])


@strawberry.type(description="An entry found, how well it fits, and where it matches")
class CatalogEdge:
    """An entry found."""

    cursor: str
    node: CatalogEntry
    score: float | None
    highlights: list[str] = strawberry.field(
        description="Matched fragments, the match in <mark>, everything else escaped for HTML",
    )


@strawberry.type(description="A page of entries found, with facets over all that matches")
class CatalogConnection:
    """A page of entries found."""

    edges: list[CatalogEdge]
    nodes: list[CatalogEntry]
    page_info: PageInfo
    total_count: int
    facets: list[Facet]

    @classmethod
    def of(cls, hits: Hits) -> CatalogConnection:
        """The view of a page."""
        edges = [
            CatalogEdge(
                cursor=hit.cursor,
                node=view_of(hit.entry),
                score=hit.score,
                highlights=list(hit.highlights),
            )
            for hit in hits.hits
        ]
        cursors = [edge.cursor for edge in edges]
        place = PageInfo(
            has_next_page=hits.has_next,
            has_previous_page=hits.has_previous,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else None,
        )
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=place,
            total_count=hits.total,
            facets=[Facet.of(facet) for facet in hits.facets],
        )


@strawberry.type
class CatalogQuery:
    """The part of Query that is about the catalog."""

    @field
    async def catalog(
        self,
        info: Info,
        *,
        search: str | None = None,
        filter: CatalogFilter | None = None,  # noqa: A002  # the contract's name
        order_by: CatalogOrder | None = CatalogOrder.RELEVANCE,
        first: int | None = 20,
        after: str | None = None,
    ) -> CatalogConnection:
        """Entries that match and that the caller may read."""
        fields = chosen(info)
        request = CatalogSearch(
            text=search,
            filter=filter.wanted() if filter else Wanted(),
            order=order_by or CatalogOrder.RELEVANCE,
            first=checked(first),
            after=after,
            count="totalCount" in fields,
            facets="facets" in fields,
        )
        async with info.context.read() as read:
            hits = await find(read, request)
        return CatalogConnection.of(hits)

    @field
    async def system(self, info: Info, ref: str) -> System | None:
        """A system by its ref."""
        async with info.context.read() as read:
            row = await queries.find_entry(read, ref, EntryKind.SYSTEM)
        if row is None:
            raise NotFound
        return System.of(row)
