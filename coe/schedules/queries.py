"""Reads of schedules, for flows that the actor may read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from coe.catalog.columns import ENTRIES
from coe.catalog.scope import readable_entries
from coe.language.schedules import ScheduleKind
from coe.runs.tables import SCHEDULES
from coe.work import Read


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """When a flow starts by itself, when it did last, and what stood in the way."""

    kind: ScheduleKind
    expression: str
    time_zone: str
    enabled: bool
    version: str
    next_at: datetime | None
    last_at: datetime | None
    last_run_id: UUID | None
    problem: str | None


_COLUMNS = tuple(SCHEDULES.c[name] for name in ScheduleRow.__dataclass_fields__)


async def schedules_of_flows(read: Read, ids: Collection[UUID]) -> dict[UUID, ScheduleRow]:
    """For each flow (the id of its entry) that starts by itself, when."""
    rows = await read.session.execute(
        select(SCHEDULES.c.entry_id, *_COLUMNS)
        .join(ENTRIES, ENTRIES.c.id == SCHEDULES.c.entry_id)
        .where(SCHEDULES.c.entry_id.in_(ids), readable_entries(read)),
    )
    found: dict[UUID, ScheduleRow] = {}
    for entry_id, *values in rows:
        row = ScheduleRow(*values)
        found[entry_id] = row
    return found
