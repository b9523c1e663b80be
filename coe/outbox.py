"""The transactional outbox: a verb writes what is wanted, dispatch does it after the commit."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Column, DateTime, func, insert, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel

from coe.db import new_id, utcnow

OUTBOX_CHANNEL = "coe_outbox"


class OutboxRow(SQLModel, table=True):
    """One thing that an engine is asked to do; ids only, never data.

    `kind` is start, wake or cancel (`subject` is the id of a run), deploy (of a flow version),
    event (of a received event) or schedule (of a flow's entry).
    A row is deleted when done; on failure `attempts` grows and `due_at` moves on.
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


async def enqueue(
    session: AsyncSession,
    kind: str,
    subject: UUID,
    *,
    payload: dict[str, str] | None = None,
    due_at: datetime | None = None,
) -> None:
    """Insert a row in the caller's transaction; its commit notifies the dispatchers.

    Without `due_at` it is due at once, by the database's clock, as every time in this table is.
    """
    await session.execute(
        insert(OUTBOX).values(
            id=new_id(),
            kind=kind,
            subject=subject,
            payload=payload or {},
            created_at=func.now(),
            due_at=due_at or func.now(),
        ),
    )
    await session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": OUTBOX_CHANNEL})
