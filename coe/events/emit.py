"""`emit`: what a run sends goes the same way as what comes from outside, in its own transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.actor import Actor
from coe.access.permissions import Permission
from coe.access.scope import AccessScope
from coe.audit.events import AuditOutcome, Tag
from coe.audit.log import NewEvent, append
from coe.crypto.keys import Keyring
from coe.db import new_id
from coe.events.bus import Sender, event_row, receive
from coe.runs.audit import run_event
from coe.runs.event_payload import Event
from coe.runs.records import RunIdentity
from coe.work import Platform


@dataclass(frozen=True, slots=True)
class Emission:
    """An event that is about to be sent, sealed, with what goes into the log."""

    row: dict[str, Any]
    reach: AccessScope
    told: NewEvent


async def prepare(platform: Platform, run: RunIdentity, event: Event, at: datetime) -> Emission:
    """Find out where the run may send to, and seal the event; before the transaction."""
    async with platform.read(Actor.of(f"run:{run.id}")) as read:
        reach = read.scope(Permission.EVENT_SEND)
    sender = Sender(f"run:{run.id}", run.team, run.requester, reach, run.correlation_id)
    row_id = new_id()
    kept_for = timedelta(days=platform.settings.event_days)
    row = await event_row(platform.keyring, row_id, event, sender, at=at, kept_for=kept_for)
    told = run_event(
        run,
        Tag.RUNS_EVENT_SEND,
        at,
        resource=f"event:{row_id}",
        detail={"source": row["source"], "id": row["event_id"], "type": row["type"]},
    )
    return Emission(row, reach, told)


async def emit(session: AsyncSession, keyring: Keyring, emission: Emission) -> None:
    """Send the event in the transaction of the run's turn.

    An event is told by its source and id. Where the definition gives an id that was used before,
    nothing is sent again; the log says so.
    """
    told = emission.told
    if not await receive(session, emission.row, emission.reach, now=emission.told.at):
        fields = {name: getattr(told, name) for name in NewEvent.__dataclass_fields__}
        known = "An event with this source and id was sent before; this one reached nobody."
        told = NewEvent(**{**fields, "outcome": AuditOutcome.FAILED, "reason": known})
    await append(session, keyring, told)
