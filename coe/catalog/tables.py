"""The tables of the catalog as Core tables: reads of many rows skip the entities."""

from __future__ import annotations

from typing import Final

from coe.catalog.models import (
    Entry,
    EntryAlias,
    EntryChange,
    EntryLink,
    EntryVersion,
    VersionApproval,
)
from coe.db.tables import table_of

ENTRIES: Final = table_of(Entry)
VERSIONS: Final = table_of(EntryVersion)
ALIASES: Final = table_of(EntryAlias)
VERSION_APPROVALS: Final = table_of(VersionApproval)
LINKS: Final = table_of(EntryLink)
CHANGES: Final = table_of(EntryChange)
