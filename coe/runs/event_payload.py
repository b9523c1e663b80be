"""The sealed contents of events: with the platform's key, for an event belongs to no team.

The copy that a run journals is sealed with the key of the run's team.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from coe.crypto.keys import Keyring
from coe.identifiers import PLATFORM_TEAM
from coe.json_types import JSON
from coe.runs.sealing import TeamSealer
from coe.runs.tables import EVENTS

Event = dict[str, JSON]
"""A CloudEvent in the JSON form: context attributes, and `data` or `data_base64`."""


def name_of(event: Event) -> bytes:
    """The identity of an event: SHA-256 of its source and id (CloudEvents 1.0)."""
    source = str(event.get("source"))
    whole = f"{len(source)}:{source}{event.get('id')}"
    return hashlib.sha256(whole.encode("utf-8", "replace")).digest()


async def seal_event(keyring: Keyring, row_id: UUID, event: Event) -> bytes:
    """Seal an event for its row."""
    return await TeamSealer(keyring, PLATFORM_TEAM).seal(EVENTS, row_id, "payload", event)


async def open_events(
    session: AsyncSession, keyring: Keyring, ids: Collection[UUID]
) -> dict[UUID, Event]:
    """Read events by the ids of their rows; missing ones are left out."""
    sealer = TeamSealer(keyring, PLATFORM_TEAM)
    rows = await session.execute(
        select(EVENTS.c.id, EVENTS.c.payload_sealed).where(EVENTS.c.id.in_(ids)),
    )
    return {
        row.id: await sealer.open(EVENTS, row.id, "payload", row.payload_sealed) for row in rows
    }
