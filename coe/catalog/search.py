"""Search over the catalog: full text with weights, typos by trigrams, facets, highlights."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from coe.access.actor import DataClass
from coe.catalog.models import EntryKind, Lifecycle
from coe.catalog.rows import Hits
from coe.work import Read


class CatalogOrder(StrEnum):
    """How found entries are ordered."""

    RELEVANCE = "RELEVANCE"
    TITLE = "TITLE"
    UPDATED = "UPDATED"
    MOST_USED = "MOST_USED"


@dataclass(frozen=True, slots=True)
class CatalogFilter:
    """What entries must have; an empty tuple asks for nothing. Values of one tuple are or-ed."""

    kinds: tuple[EntryKind, ...] = ()
    owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    lifecycles: tuple[Lifecycle, ...] = ()
    data_classes: tuple[DataClass, ...] = ()


@dataclass(frozen=True, slots=True)
class Search:
    """One search: `text` as typed, `first` at most 100, `after` a cursor of the same search."""

    text: str | None = None
    filter: CatalogFilter = field(default_factory=CatalogFilter)
    order: CatalogOrder = CatalogOrder.RELEVANCE
    first: int = 20
    after: str | None = None
    count: bool = True
    facets: bool = True


async def search(read: Read, request: Search) -> Hits:
    """Entries that match and that the actor may read; `count` and `facets` off saves queries.

    Raises:
        Invalid: `first` or `after` cannot be used.
    """
    ...
