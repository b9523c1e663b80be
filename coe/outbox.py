"""The transactional outbox: a verb writes a message, dispatch handles it after the commit.

`coe.execution.dispatch` has one handler for each kind of message.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import Column, DateTime, func, insert, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel

from coe.db import new_id, utcnow

OUTBOX_CHANNEL = "coe_outbox"


class OutboxKind(StrEnum):
    """What a message requests; its subject is a run, version, event, team or entry."""

    START = "start"
    """An engine carries out the run."""
    WAKE = "wake"
    """The run goes on: something arrived for it, or its holder gave it up."""
    CANCEL = "cancel"
    """The run is cancelled for its caller, or the engine stops a run that is cancelled."""
    DEPLOY = "deploy"
    """The engine makes the flow version, a local one, startable."""
    EVENT = "event"
    """The received event is delivered to those it did not reach when it was received."""
    POOL = "pool"
    """The engine makes the work pool of the team, from which its worker takes runs."""
    SCHEDULE = "schedule"
    """The schedule of the flow's entry becomes that of the live version."""


class OutboxRow(SQLModel, table=True):
    """One message; ids only, never data. `kind` is an `OutboxKind`.

    The row is deleted when the message is handled; on failure `attempts` grows and `due_at` moves
    on.
    """

    __tablename__ = "outbox"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    kind: str
    subject: UUID = Field(index=True)
    payload: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
    created_at: datetime = Field(
        default_factory=utcnow,
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=func.now()),
    )
    due_at: datetime = Field(
        default_factory=utcnow,
        sa_column=Column(DateTime(timezone=True), nullable=False, index=True),
    )
    attempts: int = 0
    last_error: str | None = None


OUTBOX: Final = OutboxRow.metadata.tables["outbox"]


async def enqueue(session: AsyncSession, kind: OutboxKind, subject: UUID) -> None:
    """Insert a message in the caller's transaction; its commit notifies the dispatchers.

    It is due at once. Every time in this table is the database's.
    """
    await session.execute(
        insert(OUTBOX).values(
            id=new_id(),
            kind=kind.value,
            subject=subject,
            payload={},
            created_at=func.now(),
            due_at=func.now(),
        ),
    )
    await session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": OUTBOX_CHANNEL})
