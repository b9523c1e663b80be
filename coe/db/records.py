"""A record, the columns that it is read from and the select list: derived from one definition.

A record is what a read returns: a frozen dataclass, without a session. Only its fields name what is
read. `Columns` finds the column of each field in the table and makes records from rows::

    @dataclass(frozen=True, slots=True)
    class RunRecord:
        id: UUID
        roles: tuple[str, ...]                        # an array column becomes a tuple
        attempt: Annotated[int, From("fence")]        # the column has another name
        error: Annotated[Error | None, From("error_type", "error_status", make=error_of)]
        title: Annotated[str, Given("title_sealed")]  # the caller computes it from this column

    RUN_COLUMNS = Columns(RunRecord, RUNS)

    rows = await session.execute(select(*RUN_COLUMNS, RUNS.c.holder).where(...))
    records = [RUN_COLUMNS.record(row, title=await title_of(row)) for row in rows]

A row begins with the columns (or has them from `at` on, in a join), or has them by name (`named`,
for statements that are text and select `RUN_COLUMNS.text`), or is an entity (`of`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar, get_origin, get_type_hints

from sqlalchemy import ColumnElement, Table

R = TypeVar("R")


@dataclass(frozen=True, slots=True, init=False)
class From:
    """A field that is read from columns of other names; `make` gets their values, in order."""

    columns: tuple[str, ...]
    make: Callable[..., Any] | None

    def __init__(self, *columns: str, make: Callable[..., Any] | None = None) -> None:
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "make", make)


@dataclass(frozen=True, slots=True, init=False)
class Given:
    """A field whose value the caller passes to `record`, and the columns that he needs for it."""

    columns: tuple[str, ...]

    def __init__(self, *columns: str) -> None:
        object.__setattr__(self, "columns", columns)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    start: int
    stop: int
    make: Callable[..., Any] | None


class Columns(Generic[R]):
    """The columns of a table from which records of one class are read; iterate for a select list.

    Raises:
        TypeError: The table has no column for a field.
    """

    def __init__(self, record: type[R], table: Table) -> None:
        self._record = record
        self._fields: list[_Field] = []
        names: list[str] = []
        hints = get_type_hints(record, include_extras=True)
        for field in fields(record):  # type: ignore[arg-type]  # every record is a dataclass
            source = _source(field.name, hints[field.name])
            if isinstance(source, From):
                stop = len(names) + len(source.columns)
                self._fields.append(_Field(field.name, len(names), stop, source.make))
            names.extend(source.columns)
        missing = [name for name in names if name not in table.c]
        if missing:
            message = f"{record.__name__}: the table {table.name} has no column {missing[0]}"
            raise TypeError(message)
        self.names: Final = tuple(names)
        self._columns: Final = tuple(table.c[name] for name in names)
        self._places: Final = [(each.start, each.stop, each.make) for each in self._fields]
        self._filled: Final = tuple(each.name for each in self._fields)
        self._attributes: Final = attrgetter(*names)

    def __iter__(self) -> Iterator[ColumnElement[Any]]:
        """The columns, in the order of the fields."""
        return iter(self._columns)

    def __len__(self) -> int:
        """How many columns a record takes of a row."""
        return len(self._columns)

    @property
    def text(self) -> str:
        """The names as the select list of a statement that is text."""
        return ", ".join(self.names)

    def record(self, row: Sequence[Any], *, at: int = 0, **given: Any) -> R:
        """The record of a row that has the columns from `at` on; `given` are its `Given` fields."""
        values = [
            row[at + start] if make is None else make(*row[at + start : at + stop])
            for start, stop, make in self._places
        ]
        if not given:
            return self._record(*values)
        return self._record(**dict(zip(self._filled, values, strict=True)), **given)

    def named(self, row: Mapping[str, Any], **given: Any) -> R:
        """The record of a row that has the columns by their names."""
        return self.record([row[name] for name in self.names], **given)

    def of(self, entity: object, **given: Any) -> R:
        """The record of an entity of the table."""
        return self.record(self._attributes(entity), **given)


def _source(name: str, hint: Any) -> From | Given:
    for each in getattr(hint, "__metadata__", ()):
        if isinstance(each, From | Given):
            return each
    return From(name, make=tuple if get_origin(hint) is tuple else None)
