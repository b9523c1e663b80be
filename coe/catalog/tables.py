"""The tables of the catalog as Core tables: reads of many rows skip the entities."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Table
from sqlmodel import SQLModel

from coe.catalog.models import Entry, EntryAlias, EntryLink, EntryVersion, VersionApproval


def _table(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]


ENTRIES: Final = _table(Entry)
VERSIONS: Final = _table(EntryVersion)
ALIASES: Final = _table(EntryAlias)
VERSION_APPROVALS: Final = _table(VersionApproval)
LINKS: Final = _table(EntryLink)
