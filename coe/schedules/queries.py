"""Queries of schedules, for flows that the actor may read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from sqlalchemy import func, select

from coe.catalog.scope import readable_entries
from coe.catalog.tables import ENTRIES
from coe.db.records import Columns, Given
from coe.language.schedules import ScheduleKind
from coe.runs.schedule_models import ScheduleEventState
from coe.runs.tables import SCHEDULE_EVENTS, SCHEDULES
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
    unmatched: Annotated[int, Given("id")]


@dataclass(frozen=True, slots=True)
class UnmatchedBySchedule:
    """A schedule that could not compare an event: its flow version, the pointer that failed."""

    ref: str
    pointer: str


SCHEDULE_COLUMNS: Final = Columns(ScheduleRecord, SCHEDULES)


async def schedules_of_flows(read: Read, ids: Collection[UUID]) -> dict[UUID, ScheduleRecord]:
    """The schedules of flows, by the id of the entry; a flow without one is left out."""
    failed = (
        select(func.count())
        .where(
            SCHEDULE_EVENTS.c.schedule_id == SCHEDULES.c.id,
            SCHEDULE_EVENTS.c.state == ScheduleEventState.UNMATCHED,
        )
        .scalar_subquery()
    )
    rows = await read.session.execute(
        select(SCHEDULES.c.entry_id, failed.label("unmatched"), *SCHEDULE_COLUMNS)
        .join(ENTRIES, ENTRIES.c.id == SCHEDULES.c.entry_id)
        .where(SCHEDULES.c.entry_id.in_(ids), readable_entries(read)),
    )
    return {
        row.entry_id: SCHEDULE_COLUMNS.record(row, at=2, unmatched=row.unmatched) for row in rows
    }


async def unmatched_by_schedules(read: Read, event_id: UUID) -> list[UnmatchedBySchedule]:
    """The schedules of flows that the actor may read on whose expressions an event failed."""
    rows = await read.session.execute(
        select(SCHEDULES.c.flow, SCHEDULES.c.version, SCHEDULE_EVENTS.c.unmatched_at)
        .join(SCHEDULE_EVENTS, SCHEDULE_EVENTS.c.schedule_id == SCHEDULES.c.id)
        .join(ENTRIES, ENTRIES.c.id == SCHEDULES.c.entry_id)
        .where(
            SCHEDULE_EVENTS.c.event_id == event_id,
            SCHEDULE_EVENTS.c.state == ScheduleEventState.UNMATCHED,
            readable_entries(read),
        )
        .order_by(SCHEDULES.c.flow),
    )
    return [UnmatchedBySchedule(f"{flow}@{version}", at or "") for flow, version, at in rows]
