"""First pages of lists below a list: of all parents in one statement, not one each.

Without `after` and a filter, each parent's first page comes from one statement that numbers the
rows of each parent (window functions). Any other page is asked for alone. Cursors are those of
`coe.catalog.queries` and `coe.runs.queries`, so that a client goes on there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, select

from coe.api.context import Context, Load
from coe.catalog.models import EntryKind
from coe.catalog.records import ENTRY_COLUMNS, VERSION_COLUMNS, EntryRecord, VersionRecord
from coe.catalog.scope import readable_entries, readable_versions
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.paging import Page, encode
from coe.runs.records import RUN_COLUMNS, RunRecord
from coe.runs.tables import RUNS
from coe.runs.visibility import readable_runs
from coe.work import Read

K = TypeVar("K")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Nested(Generic[K, R]):
    """One list below a parent: its columns, its parent's column, what may be read, its order."""

    columns: Sequence[ColumnElement[Any]]
    parent: ColumnElement[K]
    readable: Callable[[Read], ColumnElement[bool]]
    order: Sequence[ColumnElement[Any]]
    view: Callable[[Row[Any]], R]
    cursor: Callable[[Row[Any]], str]


async def first_pages(
    read: Read,
    nested: Nested[K, R],
    parents: Sequence[K],
    first: int,
) -> Mapping[K, Page[R]]:
    """The first page of each parent that has anything to show."""
    numbered = (
        select(
            *nested.columns,
            nested.parent.label("of_parent"),
            func.row_number()
            .over(partition_by=nested.parent, order_by=nested.order)
            .label("place_in_parent"),
            func.count().over(partition_by=nested.parent).label("total_of_parent"),
        )
        .where(nested.parent.in_(parents), nested.readable(read))
        .subquery()
    )
    wanted = numbered.c.place_in_parent <= max(first, 1)
    rows = await read.session.execute(
        select(numbered).where(wanted).order_by(numbered.c.place_in_parent),
    )
    grouped: dict[K, list[Row[Any]]] = {}
    for row in rows:
        grouped.setdefault(row.of_parent, []).append(row)
    return {parent: _page(nested, found, first) for parent, found in grouped.items()}


def _page(nested: Nested[K, R], found: Sequence[Row[Any]], first: int) -> Page[R]:
    shown, total = found[:first], found[0].total_of_parent
    return Page(
        items=tuple(nested.view(row) for row in shown),
        cursors=tuple(nested.cursor(row) for row in shown),
        has_next=total > first,
        has_previous=False,
        total=total,
    )


def load_first(nested: Nested[K, R]) -> Load[tuple[K, int], Page[R]]:
    """A loader's batch over (parent, first); a parent with nothing to show has an empty page."""

    async def load(context: Context, keys: list[tuple[K, int]]) -> list[Page[R]]:
        found: dict[tuple[K, int], Page[R]] = {}
        async with context.read() as read:
            for first in {first for _, first in keys}:
                parents = [parent for parent, each in keys if each == first]
                pages = await first_pages(read, nested, parents, first)
                found |= {(parent, first): page for parent, page in pages.items()}
        empty: Page[R] = Page((), (), has_next=False, has_previous=False, total=0)
        return [found.get(key, empty) for key in keys]

    return load


def _version_cursor(row: Row[Any]) -> str:
    return encode("versions", (row.precedence,))


def _entry_cursor(row: Row[Any]) -> str:
    return encode("flows", (row.name,))


def _run_cursor(row: Row[Any]) -> str:
    return encode("runs", [row.requested_at.isoformat(), str(row.id)])


first_versions: Load[tuple[UUID, int], Page[VersionRecord]] = load_first(
    Nested(
        columns=(*VERSION_COLUMNS, VERSIONS.c.precedence),
        parent=VERSIONS.c.entry_id,
        readable=readable_versions,
        order=(VERSIONS.c.precedence.desc(),),
        view=VERSION_COLUMNS.record,
        cursor=_version_cursor,
    ),
)
first_flows: Load[tuple[str, int], Page[EntryRecord]] = load_first(
    Nested(
        columns=tuple(ENTRY_COLUMNS),
        parent=ENTRIES.c.team,
        readable=lambda read: readable_entries(read) & (ENTRIES.c.kind == EntryKind.FLOW),
        order=(ENTRIES.c.name,),
        view=ENTRY_COLUMNS.record,
        cursor=_entry_cursor,
    ),
)
first_runs: Load[tuple[str, int], Page[RunRecord]] = load_first(
    Nested(
        columns=tuple(RUN_COLUMNS),
        parent=RUNS.c.flow,
        readable=readable_runs,
        order=(RUNS.c.requested_at.desc(), RUNS.c.id.desc()),
        view=RUN_COLUMNS.record,
        cursor=_run_cursor,
    ),
)
