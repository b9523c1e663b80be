"""Tables as Core sees them, and rows from their columns: reads of many skip the entities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Table
from sqlmodel import SQLModel

from coe.catalog.models import Entry, EntryVersion
from coe.catalog.rows import EntryRow, VersionRow

ENTRIES: Table = SQLModel.metadata.tables["entries"]
VERSIONS: Table = SQLModel.metadata.tables["entry_versions"]
ALIASES: Table = SQLModel.metadata.tables["entry_aliases"]
APPROVALS: Table = SQLModel.metadata.tables["version_approvals"]
LINKS: Table = SQLModel.metadata.tables["entry_links"]

_ENTRY_FIELDS = tuple(field.name for field in fields(EntryRow))
_VERSION_FIELDS = tuple(field.name for field in fields(VersionRow))

ENTRY_COLUMNS: Sequence[ColumnElement[Any]] = tuple(ENTRIES.c[name] for name in _ENTRY_FIELDS)
VERSION_COLUMNS: Sequence[ColumnElement[Any]] = tuple(VERSIONS.c[name] for name in _VERSION_FIELDS)
ENTRY_WIDTH = len(ENTRY_COLUMNS)
VERSION_WIDTH = len(VERSION_COLUMNS)

_ARRAYS = frozenset(_ENTRY_FIELDS.index(name) for name in ("tags", "systems"))


def entry_row(row: Sequence[Any]) -> EntryRow:
    """An entry from a row that begins with `ENTRY_COLUMNS`."""
    values: list[Any] = list(row[:ENTRY_WIDTH])
    for place in _ARRAYS:
        values[place] = tuple(values[place])
    return EntryRow(*values)


def version_row(row: Sequence[Any]) -> VersionRow:
    """A version from a row that begins with `VERSION_COLUMNS`."""
    return VersionRow(*row[:VERSION_WIDTH])


def row_of_entry(entry: Entry) -> EntryRow:
    """The same from an entity that a verb holds."""
    values = {name: getattr(entry, name) for name in _ENTRY_FIELDS}
    values["tags"], values["systems"] = tuple(entry.tags), tuple(entry.systems)
    return EntryRow(**values)


def row_of_version(version: EntryVersion) -> VersionRow:
    """The same from an entity that a verb holds."""
    return VersionRow(**{name: getattr(version, name) for name in _VERSION_FIELDS})
