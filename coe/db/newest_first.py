"""A page of the rows of a table, the newest first: by a time, then by the id."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, func, inspect, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped
from sqlmodel import col

from coe.formats import instants, uuids
from coe.paging import Page, check_first, decode, encode


class _Row(Protocol):
    id: UUID


RowT = TypeVar("RowT", bound=_Row)


async def newest_first(
    session: AsyncSession,
    model: type[RowT],
    *where: ColumnElement[bool],
    at: Mapped[Any],
    cursor: str,
    first: int,
    after: str | None,
) -> Page[RowT]:
    """A page of the rows of a table that fit all conditions.

    Args:
        session: Only read from.
        model: The table; its key is `id`.
        where: The conditions.
        at: The column of the time.
        cursor: The name of the list, in its cursors.
        first: The size of the page.
        after: The cursor of a row; the page begins after it.

    Raises:
        Invalid: The cursor is not one of this list, or `first` is not from 0 to 100.
    """
    size = check_first(first)
    beyond = decode(cursor, after, [instants.read, uuids.read]) if after is not None else None
    key = col(model.id)
    statement = select(model).where(*where).order_by(at.desc(), key.desc()).limit(size + 1)
    if beyond is not None:
        statement = statement.where(tuple_(at, key) < tuple_(*beyond))
    total = await session.scalar(select(func.count()).select_from(model).where(*where))
    found = list(await session.scalars(statement))
    items = tuple(found[:size])
    return Page(
        items=items,
        cursors=tuple(
            encode(cursor, [instants.write_microseconds(_time(each, at)), str(each.id)])
            for each in items
        ),
        has_next=len(found) > size,
        has_previous=after is not None,
        total=total or 0,
    )


def _time(row: object, at: Mapped[Any]) -> datetime:
    value: datetime = getattr(row, str(inspect(at).key))
    return value
