"""The tables of schedules: flows that start by themselves, and events that may start them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Enum, ForeignKeyConstraint, Index, Text, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from coe.db import new_id, utcnow
from coe.language.schedules import ScheduleKind
from coe.runs.event_models import OWN_NAME


class Schedule(SQLModel, table=True):
    """A central flow whose live version has a `schedule`; one row a flow.

    The intervals of `every` start at `since`, and events count from then on (by the database's
    clock, as they are received). `next_at` is None for a flow that events start, and while an
    `after` waits for its run to end. `seconds` is the length of `every` and `after`; `types` are
    those of `on` (None for any). A new version with another schedule has another `fingerprint`.
    `problem` says, without any data, why the last start failed.
    """

    __tablename__ = "schedules"
    __table_args__ = (
        ForeignKeyConstraint(["last_run_id"], ["runs.id"], ondelete="SET NULL"),
        Index("ix_schedules_due", "next_at", postgresql_where=sql("enabled")),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    entry_id: UUID = Field(unique=True)
    flow: str
    version: str
    version_id: UUID
    team: str
    data_class: str
    kind: ScheduleKind = Field(sa_type=Enum(ScheduleKind, native_enum=False, length=16))
    expression: str
    time_zone: str = "UTC"
    seconds: float | None = None
    types: list[str] | None = Field(default=None, sa_type=ARRAY(Text))
    fingerprint: str
    since: datetime
    next_at: datetime | None = None
    enabled: bool = True
    changed_at: datetime = Field(default_factory=utcnow)
    last_at: datetime | None = None
    last_run_id: UUID | None = None
    problem: str | None = None


class ScheduleEventState(StrEnum):
    """The state of an event that a schedule may take."""

    PENDING = "PENDING"
    """The schedule waits for further events to start a run with it."""
    TAKEN = "TAKEN"
    """It started a run."""
    DROPPED = "DROPPED"
    """The schedule does not wait for it, or the run could not be started."""
    UNMATCHED = "UNMATCHED"
    """An expression of the schedule failed on its data."""


class ScheduleEvent(SQLModel, table=True):
    """That a schedule has seen an event (`name` as in `events`); deleted with the event.

    `unmatched_at` is the pointer of the expression that failed on it.
    """

    __tablename__ = "schedule_events"
    __table_args__ = (
        ForeignKeyConstraint(["schedule_id"], ["schedules.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["event_id"], ["events.id"], ondelete="CASCADE"),
        UniqueConstraint("schedule_id", "name"),
        Index(
            "ix_schedule_events_pending",
            "schedule_id",
            postgresql_where=sql("state = 'PENDING'"),
        ),
    )

    schedule_id: UUID = Field(primary_key=True)
    event_id: UUID = Field(primary_key=True, index=True)
    name: bytes = Field(sa_column_kwargs={"server_default": OWN_NAME})
    state: ScheduleEventState = Field(
        sa_type=Enum(ScheduleEventState, native_enum=False, length=16),
    )
    unmatched_at: str | None = None
