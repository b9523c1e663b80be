"""Pages of the catalog whose statement is kept: without a text, or of entries that were found.

They bring the edges of the entries, their owners and live versions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Subquery,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    cast,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from coe.access.team_records import TEAM_COLUMNS, TEAMS
from coe.catalog.models import LIVE
from coe.catalog.records import ENTRY_COLUMNS, VERSION_COLUMNS, Facet, Hit, Hits
from coe.catalog.scope import readable_entries, readable_versions
from coe.catalog.search.asking import facets_of, question_of
from coe.catalog.search.filters import CatalogFilter, predicates
from coe.catalog.search.following import current_index
from coe.catalog.search.requests import CatalogSearch, Order
from coe.catalog.tables import ALIASES, ENTRIES, VERSIONS
from coe.work import Read

_KEY: Final = len(ENTRY_COLUMNS)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a statement of a page depends on."""

    filter: CatalogFilter
    continues: bool
    owners: bool
    live: bool


def is_plain(request: CatalogSearch) -> bool:
    """Whether the filter has members of enumerations only: then there are few such statements."""
    wanted = request.filter
    return not (wanted.owners or wanted.tags or wanted.domains or wanted.systems)


async def browse(read: Read, request: CatalogSearch) -> Hits:
    """The page of a plain request, in its order, with the owners and live versions if asked for.

    Raises:
        Invalid: `after` is not valid.
    """
    order = Order.of(request.order)
    wanted = _in_order(request.filter)
    total, counted = await _counted(read, request)
    asked = _Asked(wanted, request.after is not None, request.owners, request.live)
    values: dict[str, Any] = {"limit": request.first + 1}
    if request.after is not None:
        values["after_key"], values["after_id"] = order.place(request.after)
    rows = await read.fetch((order.name, asked), lambda: _page(read, asked, order), **values)
    page = rows[: request.first]
    return Hits(
        items=tuple(hit(row, request) for row in page),
        cursors=tuple(order.cursor(row[_KEY], row[0]) for row in page),
        has_next=len(rows) > request.first,
        has_previous=request.after is not None,
        total=total,
        facets=counted,
        with_live=request.live,
    )


async def entries_found(
    read: Read, request: CatalogSearch, ids: Sequence[UUID]
) -> dict[UUID, Sequence[Any]]:
    """The rows of entries, those that the actor may read; after the columns comes the card."""
    asked = (request.owners, request.live)
    rows = await read.fetch(("found", *asked), lambda: _found(read, *asked), ids=list(ids))
    return {row[0]: row for row in rows}


def _in_order(wanted: CatalogFilter) -> CatalogFilter:
    """The filter with each value once, in order: equal filters have one statement."""
    return CatalogFilter(
        kinds=tuple(sorted(set(wanted.kinds))),
        lifecycles=tuple(sorted(set(wanted.lifecycles))),
        data_classes=tuple(sorted(set(wanted.data_classes))),
    )


async def _counted(read: Read, request: CatalogSearch) -> tuple[int, tuple[Facet, ...]]:
    if not (request.count or request.facets):
        return 0, ()
    index = await current_index(read)
    found = await asyncio.to_thread(index.count, question_of(read, request))
    return found.total, facets_of(found)


def _which(read: Read, wanted: CatalogFilter) -> Iterator[ColumnElement[bool]]:
    yield readable_entries(read)
    yield from predicates(read, wanted)


def _page(read: Read, asked: _Asked, order: Order) -> Select[Any]:
    """The entries, the key of their order, then the columns of the team and of the live version."""
    page = select(*ENTRY_COLUMNS, order.key.label("sort_key")).where(*_which(read, asked.filter))
    if asked.continues:
        key = bindparam("after_key", type_=order.key.type)
        page = page.where(order.beyond(key, bindparam("after_id", type_=ENTRIES.c.id.type)))
    page = page.order_by(*order.by(order.key, ENTRIES.c.id)).limit(
        bindparam("limit", type_=Integer)
    )
    if not (asked.owners or asked.live):
        return page
    found = page.subquery("found")
    more = _with_edges(read, found, owners=asked.owners, live=asked.live)
    return more.order_by(*order.by(found.c.sort_key, found.c.id))


def _found(read: Read, owners: bool, live: bool) -> Select[Any]:  # noqa: FBT001  # a key has both
    """The entries with these ids, and their cards, then the columns of teams and live versions."""
    current = VERSIONS.alias("current")
    page = (
        select(*ENTRY_COLUMNS, cast(current.c.card, Text).label("card"))
        .outerjoin(current, current.c.id == ENTRIES.c.current_version_id)
        .where(ENTRIES.c.id == any_(bindparam("ids", type_=ARRAY(Uuid))), readable_entries(read))
    )
    if not (owners or live):
        return page
    return _with_edges(read, page.subquery("found"), owners=owners, live=live)


def _with_edges(read: Read, found: Subquery, *, owners: bool, live: bool) -> Select[Any]:
    more = select(*found.c)
    if owners:
        more = more.outerjoin(TEAMS, TEAMS.c.slug == found.c.team)
        more = more.add_columns(*(each.label(f"team_{each.key}") for each in TEAM_COLUMNS))
    if live:
        more = more.outerjoin(
            ALIASES, and_(ALIASES.c.entry_id == found.c.id, ALIASES.c.alias == LIVE)
        ).outerjoin(VERSIONS, and_(VERSIONS.c.id == ALIASES.c.version_id, readable_versions(read)))
        more = more.add_columns(*(each.label(f"version_{each.key}") for each in VERSION_COLUMNS))
    return more


def hit(row: Sequence[Any], request: CatalogSearch, **found: Any) -> Hit:
    """The entry of a row, with the edges that were read with it."""
    at = _KEY + 1
    owner = live = None
    if request.owners:
        owner = TEAM_COLUMNS.record(row, at=at) if row[at] is not None else None
        at += len(TEAM_COLUMNS)
    if request.live:
        live = VERSION_COLUMNS.record(row, at=at) if row[at] is not None else None
    given = {"score": None, "highlights": ()} | found
    return Hit(ENTRY_COLUMNS.record(row), owner=owner, live=live, **given)
