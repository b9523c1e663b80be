"""Root fields that search the catalog, and that find an entry by its ref."""

from __future__ import annotations

from typing import Final

import strawberry

from coe.api.graphql.context import Info, selected_paths
from coe.api.graphql.nodes import field
from coe.api.graphql.paging import page_size
from coe.api.types.catalog import CatalogConnection, CatalogFilter
from coe.api.types.decisions import DecisionTable
from coe.api.types.entries import System
from coe.api.types.flows import Flow
from coe.api.types.templates import Template
from coe.catalog import queries
from coe.catalog.models import EntryKind
from coe.catalog.records import EntryRecord
from coe.catalog.search.filters import CatalogFilter as Wanted
from coe.catalog.search.query import CatalogOrder, CatalogSearch, complete
from coe.catalog.search.query import search as find_entries
from coe.errors import NotFound

_OWNERS: Final = ("nodes.owner", "edges.node.owner")
_VERSIONS: Final = ("nodes.version", "edges.node.version")


@strawberry.type
class CatalogQuery:
    """The fields of Query about the catalog."""

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
        fields = selected_paths(info)
        request = CatalogSearch(
            text=search,
            filter=filter.wanted() if filter else Wanted(),
            order=order_by or CatalogOrder.RELEVANCE,
            first=page_size(first),
            after=after,
            count="totalCount" in fields,
            facets="facets" in fields,
            owners=not fields.isdisjoint(_OWNERS),
            live=not fields.isdisjoint(_VERSIONS),
        )
        hits = await info.context.read_from_standby(lambda read: find_entries(read, request))
        return CatalogConnection.of_hits(hits)

    @field
    async def catalog_completions(self, info: Info, text: str, first: int | None = 10) -> list[str]:
        """How the last part of a text of a search may go on.

        Qualifiers such as `owner:`, their values, and words of entries that the caller may read.
        """
        async with info.context.read() as read:
            return await complete(read, text, first=10 if first is None else first)

    @field
    async def flow(self, info: Info, ref: str) -> Flow | None:
        """A flow by its ref, whose version part is ignored."""
        return Flow.of(await _entry(info, ref, EntryKind.FLOW))

    @field
    async def template(self, info: Info, ref: str) -> Template | None:
        """A template by its ref, whose version part is ignored."""
        return Template.of(await _entry(info, ref, EntryKind.TEMPLATE))

    @field
    async def decision(self, info: Info, ref: str) -> DecisionTable | None:
        """A decision table by its ref, whose version part is ignored."""
        return DecisionTable.of(await _entry(info, ref, EntryKind.DECISION))

    @field
    async def system(self, info: Info, ref: str) -> System | None:
        """A system by its ref."""
        return System.of(await _entry(info, ref, EntryKind.SYSTEM))


async def _entry(info: Info, ref: str, kind: EntryKind) -> EntryRecord:
    async with info.context.read() as read:
        record = await queries.find_entry(read, ref, kind)
    if record is None:
        raise NotFound
    return record
