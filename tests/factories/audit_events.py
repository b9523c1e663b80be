"""What the log has, decrypted, for tests of verbs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from coe.audit.models import AuditEvent
from coe.audit.queries import open_detail
from coe.audit.records import EVENT_COLUMNS, AuditEventRecord
from coe.work import Platform


async def events_of(platform: Platform, action: str) -> list[AuditEventRecord]:
    """The events of an action, in the order in which they were recorded."""
    async with platform.database.session() as session:
        rows = await session.execute(
            select(*EVENT_COLUMNS)
            .where(AuditEvent.action == action)
            .order_by(AuditEvent.at, AuditEvent.id)
        )
    return [EVENT_COLUMNS.record(row) for row in rows.all()]


async def details_of(platform: Platform, action: str) -> list[dict[str, Any]]:
    """The decrypted details of these events."""
    opened: list[Any] = [
        await open_detail(platform.keyring, event) for event in await events_of(platform, action)
    ]
    return opened
