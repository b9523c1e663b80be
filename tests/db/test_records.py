"""Records and their columns from one definition."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated

import pytest
from sqlalchemy import ARRAY, Column, Integer, MetaData, Table, Text, select

from coe.db.records import Columns, From, Given

PEOPLE = Table(
    "people",
    MetaData(),
    Column("id", Integer),
    Column("first", Text),
    Column("last", Text),
    Column("born", Integer),
    Column("tags", ARRAY(Text)),
)


def full_name(first: str, last: str) -> str:
    return f"{first} {last}"


@dataclass(frozen=True)
class Person:
    """A field of each kind."""

    id: int
    name: Annotated[str, From("first", "last", make=full_name)]
    age: Annotated[int, Given("born")]
    labels: Annotated[tuple[str, ...], From("tags", make=tuple)]
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Missing:
    """Its second field has no column."""

    id: int
    shoe: int


ROW = (7, "Ada", "King", 1815, ["a"], ["a"])
ADA = Person(7, "Ada King", 36, ("a",), ("a",))
COLUMNS = Columns(Person, PEOPLE)


def test_the_fields_name_the_columns() -> None:
    assert COLUMNS.names == ("id", "first", "last", "born", "tags", "tags")
    assert COLUMNS.text == "id, first, last, born, tags, tags"
    assert str(select(*COLUMNS)).startswith("SELECT people.id, people.first, people.last")


def test_a_record_is_made_from_a_row_by_position() -> None:
    assert COLUMNS.record(ROW, age=36) == ADA
    assert COLUMNS.record(("before", *ROW), at=1, age=36) == ADA


def test_a_record_is_made_from_names_and_from_an_entity() -> None:
    row = {"id": 7, "first": "Ada", "last": "King", "born": 1815, "tags": ["a"]}
    assert COLUMNS.named(row, age=36) == ADA
    assert COLUMNS.of(SimpleNamespace(**row), age=36) == ADA


def test_a_field_without_a_column_is_refused_when_the_module_is_imported() -> None:
    with pytest.raises(TypeError, match="Missing: the table people has no column shoe"):
        Columns(Missing, PEOPLE)
