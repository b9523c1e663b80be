"""Tables as Core sees them, and rows from their columns: reads of many skip the entities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Table
from sqlmodel import SQLModel

from coe.catalog.models import Entry, EntryVersion
from coe.catalog.records import EntryRecord, VersionRecord

ENTRIES: Table = SQLModel.metadata.tables["entries"]
VERSIONS: Table = SQLModel.metadata.tables["entry_versions"]
ALIASES: Table = SQLModel.metadata.tables["entry_aliases"]
VERSION_APPROVALS: Table = SQLModel.metadata.tables["version_approvals"]
LINKS: Table = SQLModel.metadata.tables["entry_links"]

_ENTRY_FIELDS = tuple(field.name for field in fields(EntryRecord))
_VERSION_FIELDS = tuple(field.name for field in fields(VersionRecord))

ENTRY_COLUMNS: Sequence[ColumnElement[Any]] = tuple(ENTRIES.c[name] for name in _ENTRY_FIELDS)
VERSION_COLUMNS: Sequence[ColumnElement[Any]] = tuple(VERSIONS.c[name] for name in _VERSION_FIELDS)
ENTRY_WIDTH = len(ENTRY_COLUMNS)
VERSION_WIDTH = len(VERSION_COLUMNS)

_ARRAYS = frozenset(_ENTRY_FIELDS.index(name) for name in ("tags", "systems"))


def entry_record(row: Sequence[Any]) -> EntryRecord:
    """An entry from a row that begins with `ENTRY_COLUMNS`."""
    values: list[Any] = list(row[:ENTRY_WIDTH])
    for place in _ARRAYS:
        values[place] = tuple(values[place])
    return EntryRecord(*values)


def version_record(row: Sequence[Any]) -> VersionRecord:
    """A version from a row that begins with `VERSION_COLUMNS`."""
    return VersionRecord(*row[:VERSION_WIDTH])


def record_of_entry(entry: Entry) -> EntryRecord:
    """The same from an entity that a verb holds."""
    values = {name: getattr(entry, name) for name in _ENTRY_FIELDS}
    values["tags"], values["systems"] = tuple(entry.tags), tuple(entry.systems)
    return EntryRecord(**values)


def record_of_version(version: EntryVersion) -> VersionRecord:
    """The same from an entity that a verb holds."""
    return VersionRecord(**{name: getattr(version, name) for name in _VERSION_FIELDS})
