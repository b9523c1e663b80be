"""Queries of schedules, for flows that the actor may read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select

from coe.catalog.scope import readable_entries
from coe.catalog.tables import ENTRIES
from coe.db.records import Columns
from coe.language.schedules import ScheduleKind
from coe.runs.tables import SCHEDULES
from coe.work import Read


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """When a schedule starts its flow next and did last, and the problem of a start that failed."""

    kind: ScheduleKind
    expression: str
    time_zone: str
    enabled: bool
    version: str
    next_at: datetime | None
    last_at: datetime | None
    last_run_id: UUID | None
    problem: str | None


SCHEDULE_COLUMNS: Final = Columns(ScheduleRecord, SCHEDULES)


async def schedules_of_flows(read: Read, ids: Collection[UUID]) -> dict[UUID, ScheduleRecord]:
    """The schedules of flows, by the id of the entry; a flow without one is left out."""
    rows = await read.session.execute(
        select(SCHEDULES.c.entry_id, *SCHEDULE_COLUMNS)
        .join(ENTRIES, ENTRIES.c.id == SCHEDULES.c.entry_id)
        .where(SCHEDULES.c.entry_id.in_(ids), readable_entries(read)),
    )
    return {row.entry_id: SCHEDULE_COLUMNS.record(row, at=1) for row in rows}
