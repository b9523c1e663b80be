"""The tables of events: those received, which runs want which types, which runs each reached.

An event is stored once, sealed; the inboxes of the runs that it reached refer to it. `source`,
`event_id` and `type` are not sealed, for CloudEvents 1.0 asks producers to put nothing sensitive
into context attributes (section "Privacy and Security"); all other attributes and the data are.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Enum,
    ForeignKeyConstraint,
    Identity,
    Index,
    Text,
    UniqueConstraint,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from coe.db import new_id, utcnow
from coe.identifiers import PLATFORM_TEAM
from coe.json_types import JSON

OWN_NAME: Final = sql("uuid_send(gen_random_uuid())")
"""The name of an event in a row of a process that does not write it."""


class ReceivedEvent(SQLModel, table=True):
    """A CloudEvent that was received over HTTP, or that a run emitted.

    `name` is the SHA-256 of source and id. It identifies an event among those that came through one
    team (`team`), so no team can use up the names of another. `reach` is where its sender may send
    to (`Scope` as JSON). `requester` is who sent it, or the requester of the run that emitted it,
    and `requester_persons` are those who count as one with it; `code` is over them
    (`coe.runs.row_codes`). The row is deleted after `keep_until`.
    """

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("team", "name"),
        Index(None, "type", "received_at"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    arrival: int | None = Field(
        default=None,
        sa_type=BigInteger,
        sa_column_args=(Identity(always=True),),
        nullable=False,
    )
    team: str = Field(sa_column_kwargs={"server_default": PLATFORM_TEAM})
    name: bytes
    source: str
    event_id: str
    type: str
    received_at: datetime = Field(default_factory=utcnow)
    keep_until: datetime = Field(index=True)
    sent_by: str
    requester: str
    requester_persons: list[str] = Field(
        default_factory=list, sa_type=ARRAY(Text), sa_column_kwargs={"server_default": "{}"}
    )
    code: bytes | None = None
    correlation_id: str | None = None
    reach: dict[str, JSON] = Field(default_factory=dict, sa_type=JSONB)
    payload_sealed: bytes


class EventSubscription(SQLModel, table=True):
    """That a run may want events of a type (`""` for any): written when the run is requested.

    `since` is when the run was requested, by the database's clock: earlier events are not for it.
    The row is deleted when the run ends; while a run is faulted, the row is not `active`.
    `caught_up` is unset until the holder of the run has looked for events that were received while
    the row was being committed.
    """

    __tablename__ = "event_subscriptions"
    __table_args__ = (
        ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        Index(None, "type", postgresql_where=sql("active")),
    )

    run_id: UUID = Field(primary_key=True)
    type: str = Field(primary_key=True)
    team: str
    data_class: str
    since: datetime
    active: bool = True
    caught_up: bool = False


class DeliveryState(StrEnum):
    """What a run has made of an event that it got."""

    OFFERED = "OFFERED"
    """No task of the run has taken it so far."""
    TAKEN = "TAKEN"
    """A task has taken it, or it started the run."""
    UNMATCHED = "UNMATCHED"
    """A task wanted to compare it, and an expression failed on its data."""


class EventDelivery(SQLModel, table=True):
    """That an event was given to a run, or (`started`) made it start, and what the run made of it.

    So an event is given to each run once; and by `name` only one of those with the same source and
    id that came through different teams. `unmatched_at` is the pointer of the expression that
    failed.
    """

    __tablename__ = "event_deliveries"
    __table_args__ = (
        ForeignKeyConstraint(["event_id"], ["events.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        UniqueConstraint("run_id", "name"),
    )

    event_id: UUID = Field(primary_key=True)
    run_id: UUID = Field(primary_key=True)
    name: bytes = Field(sa_column_kwargs={"server_default": OWN_NAME})
    started: bool = False
    state: DeliveryState = Field(
        default=DeliveryState.OFFERED,
        sa_type=Enum(DeliveryState, native_enum=False, length=16),
        sa_column_kwargs={"server_default": DeliveryState.TAKEN.value},
    )
    unmatched_at: str | None = None
