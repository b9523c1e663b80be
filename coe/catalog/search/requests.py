"""What is searched, and in which order what is found stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from sqlalchemy import ColumnElement, func, tuple_

from coe import paging
from coe.catalog.search.filters import CatalogFilter
from coe.catalog.tables import ENTRIES
from coe.formats import instants, uuids


class CatalogOrder(StrEnum):
    """The order of found entries; RELEVANCE without a text is MOST_USED."""

    RELEVANCE = "RELEVANCE"
    TITLE = "TITLE"
    UPDATED = "UPDATED"
    MOST_USED = "MOST_USED"


@dataclass(frozen=True, slots=True)
class CatalogSearch:
    """One search: `text` as typed, `first` at most 100, `after` a cursor of the same search.

    `owners` and `live`: read the teams and the live versions with the entries.
    """

    text: str | None = None
    filter: CatalogFilter = field(default_factory=CatalogFilter)
    order: CatalogOrder = CatalogOrder.RELEVANCE
    first: int = 20
    after: str | None = None
    count: bool = True
    facets: bool = True
    owners: bool = False
    live: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """A sort key, its direction, and its form in a cursor, of a page without a text."""

    name: str
    key: ColumnElement[Any]
    descending: bool
    read: Callable[[str], Any]

    @classmethod
    def of(cls, order: CatalogOrder) -> Self:
        """The order that was asked for."""
        match order:
            case CatalogOrder.TITLE:
                return cls("title", func.lower(ENTRIES.c.title), descending=False, read=str)
            case CatalogOrder.UPDATED:
                return cls("updated", ENTRIES.c.updated_at, descending=True, read=instants.read)
            case _:
                return cls("uses", ENTRIES.c.uses, descending=True, read=int)

    def by(self, key: ColumnElement[Any], ident: ColumnElement[Any]) -> list[ColumnElement[Any]]:
        """What to order by."""
        if self.descending:
            return [key.desc(), ident.desc()]
        return [key.asc(), ident.asc()]

    def place(self, cursor: str) -> tuple[Any, Any]:
        """The key and the id of a cursor.

        Raises:
            Invalid: It is no cursor of this order.
        """
        key, ident = paging.decode(self.name, cursor, (self.read, uuids.read))
        return key, ident

    def beyond(self, key: ColumnElement[Any], ident: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether an entry stands behind this place."""
        place, last = tuple_(self.key, ENTRIES.c.id), tuple_(key, ident)
        return place < last if self.descending else place > last

    def cursor(self, key: Any, ident: object) -> str:
        """The cursor of an entry."""
        written = instants.write(key) if isinstance(key, datetime) else str(key)
        return paging.encode(self.name, (written, str(ident)))
