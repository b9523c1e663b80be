"""First pages of the lists below several parents: one statement for all parents, not one each.

A statement numbers the rows of each parent (window functions) and takes the first of each. The
cursors are those of the lists' own queries, so that a client continues there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, select

from coe.catalog.models import EntryKind
from coe.catalog.records import ENTRY_COLUMNS, VERSION_COLUMNS, EntryRecord, VersionRecord
from coe.catalog.scope import readable_entries, readable_versions
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.paging import Page, encode
from coe.work import Read

K = TypeVar("K")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ChildList(Generic[K, R]):
    """A list below a parent: its columns, the parent's column, what may be read, and its order."""

    columns: Sequence[ColumnElement[Any]]
    parent: ColumnElement[K]
    readable: Callable[[Read], ColumnElement[bool]]
    order: Sequence[ColumnElement[Any]]
    record: Callable[[Row[Any]], R]
    cursor: Callable[[Row[Any]], str]


async def first_pages(
    read: Read, children: ChildList[K, R], parents: Sequence[K], first: int
) -> Mapping[K, Page[R]]:
    """The first page of each parent; a parent without children has an empty one."""
    numbered = (
        select(
            *children.columns,
            children.parent.label("of_parent"),
            func.row_number()
            .over(partition_by=children.parent, order_by=children.order)
            .label("place_in_parent"),
            func.count().over(partition_by=children.parent).label("total_of_parent"),
        )
        .where(children.parent.in_(parents), children.readable(read))
        .subquery()
    )
    # At least one row each, also for `first` 0: it carries the total.
    rows = await read.session.execute(
        select(numbered)
        .where(numbered.c.place_in_parent <= max(first, 1))
        .order_by(numbered.c.place_in_parent),
    )
    grouped: dict[K, list[Row[Any]]] = {parent: [] for parent in parents}
    for row in rows:
        grouped[row.of_parent].append(row)
    return {parent: _page(children, found, first) for parent, found in grouped.items()}


async def first_versions(
    read: Read, entries: Sequence[UUID], first: int
) -> Mapping[UUID, Page[VersionRecord]]:
    """The first page of the versions of each entry, the highest first."""
    return await first_pages(read, _VERSIONS_OF_ENTRY, entries, first)


async def first_flows(
    read: Read, teams: Sequence[str], first: int
) -> Mapping[str, Page[EntryRecord]]:
    """The first page of the flows of each team, by name."""
    return await first_pages(read, _FLOWS_OF_TEAM, teams, first)


def _page(children: ChildList[K, R], found: Sequence[Row[Any]], first: int) -> Page[R]:
    total = found[0].total_of_parent if found else 0
    rows = found[:first]
    return Page(
        items=tuple(children.record(row) for row in rows),
        cursors=tuple(children.cursor(row) for row in rows),
        has_next=total > first,
        has_previous=False,
        total=total,
    )


_VERSIONS_OF_ENTRY: ChildList[UUID, VersionRecord] = ChildList(
    columns=(*VERSION_COLUMNS, VERSIONS.c.precedence),
    parent=VERSIONS.c.entry_id,
    readable=readable_versions,
    order=(VERSIONS.c.precedence.desc(),),
    record=VERSION_COLUMNS.record,
    cursor=lambda row: encode("versions", (row.precedence,)),
)
_FLOWS_OF_TEAM: ChildList[str, EntryRecord] = ChildList(
    columns=tuple(ENTRY_COLUMNS),
    parent=ENTRIES.c.team,
    readable=lambda read: readable_entries(read) & (ENTRIES.c.kind == EntryKind.FLOW),
    order=(ENTRIES.c.name,),
    record=ENTRY_COLUMNS.record,
    cursor=lambda row: encode("flows", (row.name,)),
)
