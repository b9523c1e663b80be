"""What runs run: whoever may read a run may know which flow and version it is.

The catalog alone would hide a confidential flow from an approver of another team, who has one of
its tasks. Only the card and the version's row are shown so; what the version holds stays hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, select

from coe.catalog.records import ENTRY_COLUMNS, VERSION_COLUMNS, EntryRecord, VersionRecord
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.runs.tables import RUNS
from coe.runs.visibility import readable_runs
from coe.work import Read


async def flows_of_versions(read: Read, version_ids: Sequence[UUID]) -> dict[UUID, EntryRecord]:
    """The flow of each of these versions of which the actor may read a run."""
    rows = await read.session.execute(
        select(*ENTRY_COLUMNS, VERSIONS.c.id.label("of_version"))
        .select_from(ENTRIES.join(VERSIONS, VERSIONS.c.entry_id == ENTRIES.c.id))
        .where(VERSIONS.c.id.in_(_run_versions(read, version_ids))),
    )
    return {row.of_version: ENTRY_COLUMNS.record(row) for row in rows}


async def versions_of_runs(read: Read, version_ids: Sequence[UUID]) -> dict[UUID, VersionRecord]:
    """Those of these versions of which the actor may read a run."""
    rows = await read.session.execute(
        select(*VERSION_COLUMNS).where(VERSIONS.c.id.in_(_run_versions(read, version_ids))),
    )
    return {row.id: VERSION_COLUMNS.record(row) for row in rows}


def _run_versions(read: Read, version_ids: Sequence[UUID]) -> Select[tuple[UUID]]:
    wanted = RUNS.c.version_id.in_(version_ids)
    return select(RUNS.c.version_id).where(wanted, readable_runs(read))
