"""Aliases: names of one exact version of an entry."""

from __future__ import annotations

from coe.catalog.models import Entry, EntryAlias, EntryVersion
from coe.work import Work


async def point_alias(work: Work, entry: Entry, version: EntryVersion, alias: str) -> str | None:
    """Set an alias to a version; return the exact version that it had before, if any."""
    row = await work.session.get(EntryAlias, (entry.id, alias))
    before = row.version if row else None
    if row is None:
        row = EntryAlias(
            entry_id=entry.id,
            alias=alias,
            version_id=version.id,
            version=version.version,
            set_by=work.actor.subject,
            set_at=work.now,
        )
        work.session.add(row)
    elif before != version.version:
        row.version_id, row.version = version.id, version.version
        row.set_by, row.set_at = work.actor.subject, work.now
    await work.session.flush()
    return before
