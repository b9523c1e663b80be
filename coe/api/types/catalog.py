"""Views of a search over the catalog: the entries found, and their facets."""

from __future__ import annotations

from collections.abc import Sequence

import strawberry

from coe.access.actor import DataClass
from coe.api.graphql.nodes import input_type, object_type
from coe.api.graphql.paging import Connection, Edge, PageInfo
from coe.api.types.decisions import DecisionTable
from coe.api.types.entries import CatalogEntry, FacetValue
from coe.api.types.entry_kinds import entry_view
from coe.api.types.flows import Flow
from coe.api.types.teams import Team
from coe.catalog.models import EntryKind, Lifecycle
from coe.catalog.records import Facet as FacetRecord
from coe.catalog.records import Hit, Hits
from coe.catalog.search.filters import CatalogFilter as Wanted
from coe.search.highlights import Highlight


@input_type
class CatalogFilter:
    """Which entries; every part given must hold, with one of its values."""

    kinds: list[EntryKind] | None = None
    owners: list[str] | None = None
    tags: list[str] | None = None
    domains: list[str] | None = None
    systems: list[str] | None = None
    lifecycles: list[Lifecycle] | None = strawberry.field(
        default=None,
        description="States of versions: an entry is found if the caller may read a version of it "
        "in one of them, such as a new one in review beside the published one. By default every "
        "entry whose current version is not retired",
    )
    data_classes: list[DataClass] | None = None

    def wanted(self) -> Wanted:
        """The input of the query."""
        return Wanted(
            kinds=tuple(self.kinds or ()),
            owners=tuple(self.owners or ()),
            tags=tuple(self.tags or ()),
            domains=tuple(self.domains or ()),
            systems=tuple(self.systems or ()),
            lifecycles=tuple(self.lifecycles or ()),
            data_classes=tuple(self.data_classes or ()),
        )


@object_type
class Facet:
    """Counts by one property, over everything that matches and that the caller may read.

    Each facet ignores its own filter. An entry counts for every tag, every system and every state
    of its versions.
    """

    name: str
    values: list[FacetValue]

    @classmethod
    def of(cls, record: FacetRecord) -> Facet:
        """The view of a facet."""
        return cls(name=record.name, values=[FacetValue.of(value) for value in record.values])


@object_type
class CatalogMatch:
    """A part of an entry in which something matches."""

    field: str = strawberry.field(
        description="title, ref, tags, summary, parameters, steps, description, domain or systems"
    )
    fragment: str = strawberry.field(
        description="The part, the match in <mark>, everything else escaped for HTML"
    )

    @classmethod
    def of(cls, record: Highlight) -> CatalogMatch:
        """The view of a highlight."""
        return cls(field=record.field, fragment=record.fragment)


@object_type
class CatalogEdge(Edge[CatalogEntry]):
    """An entry that was found, how well it matches, and where."""

    score: float | None
    highlights: list[str] = strawberry.field(
        description="Matched fragments, the match in <mark>, everything else escaped for HTML",
    )
    matches: list[CatalogMatch] = strawberry.field(
        description="The same fragments, each with the field in which it stands"
    )


@object_type
class CatalogConnection(Connection[CatalogEntry]):
    """A page of the entries that were found, with facets over all that matches."""

    edges: Sequence[CatalogEdge]
    facets: list[Facet]
    note: str | None = strawberry.field(
        description="How the text was understood, if not as it stands, or why nothing matches"
    )
    did_you_mean: str | None = strawberry.field(
        description="The text in words that entries have, if it was probably mistyped"
    )

    @classmethod
    def of_hits(cls, hits: Hits) -> CatalogConnection:
        """The view of a page."""
        teams: dict[str, Team] = {}
        edges = [
            CatalogEdge(
                cursor=cursor,
                node=_entry_of(hit, teams, with_live=hits.with_live),
                score=hit.score,
                highlights=[each.fragment for each in hit.highlights],
                matches=[CatalogMatch.of(each) for each in hit.highlights],
            )
            for hit, cursor in zip(hits.items, hits.cursors, strict=True)
        ]
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo.of(hits),
            total_count=hits.total,
            facets=[Facet.of(facet) for facet in hits.facets],
            note=hits.note,
            did_you_mean=hits.did_you_mean,
        )


def _entry_of(hit: Hit, teams: dict[str, Team], *, with_live: bool) -> CatalogEntry:
    """The view of an entry, with the owner and the live version that were read with it."""
    view = entry_view(hit.entry)
    at_hand: dict[str, object] = {}
    if hit.owner is not None:
        slug = hit.owner.slug
        at_hand["owner"] = teams[slug] = teams.get(slug) or Team.of(hit.owner)
    if with_live and isinstance(view, Flow | DecisionTable):  # of a template it is the newest one
        at_hand["version"] = view.VERSION_VIEW.of(hit.live) if hit.live else None
    view.at_hand = at_hand
    return view
