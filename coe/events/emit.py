"""The `emit` task: a run sends an event by the event bus, in the transaction of its turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from coe.runs.row_codes import RUN_CODES
from coe.work import Platform


@dataclass(frozen=True, slots=True)
class Emission:
    """An event that is about to be sent, sealed, and its audit event."""

    row: dict[str, Any]
    reach: AccessScope
    audit_event: NewEvent


async def prepare_emission(
    platform: Platform,
    run: RunIdentity,
    event: Event,
    at: datetime,
    *,
    own_team_only: bool = False,
) -> Emission:
    """Determine which runs it may reach, and seal it; call it before the transaction.

    With `own_team_only` it reaches runs of the team of the run at most.
    """
    async with platform.read(Actor.of(f"run:{run.id}")) as read:
        reach = read.scope(Permission.EVENT_SEND)
    if own_team_only:
        reach = reach.of_team(run.team)
    sender = Sender(
        subject=f"run:{run.id}",
        team=run.team,
        requester=run.requester,
        persons=run.requester_persons,
        reach=reach,
        correlation_id=run.correlation_id,
        good=RUN_CODES.good(platform.keyring.macs, run),
    )
    row_id = new_id()
    kept_for = timedelta(days=platform.settings.event_days)
    row = await event_row(platform.keyring, row_id, event, sender, at=at, kept_for=kept_for)
    audit_event = run_event(
        run,
        Tag.RUNS_EVENT_SEND,
        at,
        resource=f"event:{row_id}",
        detail={"source": row["source"], "id": row["event_id"], "type": row["type"]},
    )
    return Emission(row, reach, audit_event)


async def emit(session: AsyncSession, keyring: Keyring, emission: Emission) -> None:
    """Send the event in the transaction of the run's turn.

    An event with a source and id that were used before reaches nobody; the audit log says so.
    """
    audit_event = emission.audit_event
    if not await receive(session, emission.row, emission.reach, now=audit_event.at):
        reason = "An event with this source and id was sent before; this one reached nobody."
        audit_event = replace(audit_event, outcome=AuditOutcome.FAILED, reason=reason)
    await append(session, keyring, audit_event)
