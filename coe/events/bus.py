"""The event bus: receive an event once, store it, and deliver it to every subscribed run.

One transaction holds the event's row, its deliveries, the wake-ups of the runs and the audit event.
A message in the outbox makes dispatch deliver once more after the commit
(`coe.schedules.event_triggers.settle`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.actor import DataClass
from coe.access.permissions import Permission
from coe.access.policy import Decision
from coe.access.scope import AccessScope
from coe.audit.events import Tag
from coe.crypto.keys import Keyring
from coe.db import new_id
from coe.errors import Conflict
from coe.events.delivery import deliver, scope_to_json
from coe.identifiers import PLATFORM_TEAM
from coe.outbox import OutboxKind, enqueue
from coe.runs.event_models import DeliveryState
from coe.runs.event_payload import Event, name_of, open_events, seal_event
from coe.runs.row_codes import EVENT_CODES, with_code
from coe.runs.tables import DELIVERIES, EVENTS, NOW, RUNS
from coe.work import Work

MAX_CLEAR_LENGTH: Final = 500
"""How many characters of a source, an id or a type are stored unsealed."""


@dataclass(frozen=True, slots=True)
class SentEvent:
    """An event that was sent: the id of its row, and whether it had been received before."""

    id: UUID
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends an event.

    `team` is the team that the event is received for, `requester` the person who caused it (of a
    run, its requester), `persons` are all who count as one with it, and `reach` the teams and data
    classes of the runs that may get it. `good` is whether the row from which the requester is taken
    is what the platform wrote, None if that has no code (`coe.runs.row_codes`).
    """

    subject: str
    team: str
    requester: str
    persons: Collection[str]
    reach: AccessScope
    correlation_id: str | None = None
    good: bool | None = True


async def send_events(work: Work, events: Sequence[Event]) -> list[SentEvent]:
    """Receive events of an external sender (read by `coe.events.cloudevents`), all or none.

    An event reaches the runs of teams for which the sender holds `event:send`. An event whose
    source and id were received for the sender's team before is a duplicate and has no effect.

    Raises:
        Forbidden: The sender may not send to any team.
        Conflict: An event with the same source and id, and other content, was received before.
    """
    reach = work.scope(Permission.EVENT_SEND)
    team, decision = _require(work, reach)
    sender = Sender(
        subject=work.actor.subject,
        team=team,
        requester=work.actor.subject,
        persons=work.actor.persons,
        reach=reach,
        correlation_id=work.request.correlation_id,
    )
    kept_for = timedelta(days=work.platform.settings.event_days)
    sent: list[SentEvent] = []
    for event in events:
        row_id = new_id()
        row = await event_row(work.keyring, row_id, event, sender, at=work.now, kept_for=kept_for)
        if await receive(work.session, row, reach, now=work.now):
            sent.append(SentEvent(row_id, duplicate=False))
            await work.record(
                Tag.RUNS_EVENT_SEND,
                resource=f"event:{row_id}",
                team=team,
                decision=decision,
                detail={"source": row["source"], "id": row["event_id"], "type": row["type"]},
            )
        else:
            sent.append(await _duplicate_of(work, team, event))
    return sent


async def event_row(
    keyring: Keyring,
    row_id: UUID,
    event: Event,
    sender: Sender,
    *,
    at: datetime,
    kept_for: timedelta,
) -> dict[str, Any]:
    """Make the row of an event, sealed.

    Call it before the transaction, as it may create a data key.
    """
    row = {
        "id": row_id,
        "team": sender.team,
        "name": name_of(event),
        "source": _clear_text(event.get("source")),
        "event_id": _clear_text(event.get("id")),
        "type": _clear_text(event.get("type")),
        "keep_until": at + kept_for,
        "sent_by": sender.subject,
        "requester": sender.requester,
        "requester_persons": sorted(sender.persons),
        "correlation_id": sender.correlation_id,
        "reach": scope_to_json(sender.reach),
        "payload_sealed": await seal_event(keyring, row_id, event),
    }
    return with_code(EVENT_CODES, keyring.macs, row, good=sender.good)


async def receive(
    session: AsyncSession, row: dict[str, Any], reach: AccessScope, *, now: datetime
) -> bool:
    """Insert an event and deliver it to its runs; False if its source and id are known already.

    The time of receipt is the database's, as is the time of subscriptions; `now` is the time of the
    wake-ups. When two transactions insert the same event, the second waits for the first.
    """
    received = await session.execute(
        insert(EVENTS)
        .values(row | {"received_at": NOW})
        .on_conflict_do_nothing()
        .returning(EVENTS.c.id, EVENTS.c.received_at),
    )
    new = received.one_or_none()
    if new is None:
        return False
    kind, name, at = row["type"], row["name"], new.received_at
    await deliver(session, new.id, name=name, type_=kind, received_at=at, reach=reach, now=now)
    await enqueue(session, OutboxKind.EVENT, new.id)
    return True


@dataclass(frozen=True, slots=True)
class Delivery:
    """A run that got an event, and what it has made of it so far; `pointer` is what failed on it.

    `ended` is whether the run has ended, so that it will not take the event any more.
    """

    run_id: UUID
    state: DeliveryState
    pointer: str | None
    ended: bool

    @property
    def pending(self) -> bool:
        """Whether the run may still take the event."""
        return self.state is DeliveryState.OFFERED and not self.ended


async def deliveries(
    session: AsyncSession, event_ids: Collection[UUID]
) -> dict[UUID, list[Delivery]]:
    """For each event the runs that have it, or were started by it."""
    found = await session.execute(
        select(
            DELIVERIES.c.event_id,
            DELIVERIES.c.run_id,
            DELIVERIES.c.state,
            DELIVERIES.c.unmatched_at,
            RUNS.c.state,
        )
        .join(RUNS, RUNS.c.id == DELIVERIES.c.run_id)
        .where(DELIVERIES.c.event_id.in_(event_ids))
        .order_by(DELIVERIES.c.run_id),
    )
    by_event: dict[UUID, list[Delivery]] = {event_id: [] for event_id in event_ids}
    for event_id, run_id, state, pointer, run_state in found:
        by_event[event_id].append(Delivery(run_id, state, pointer, run_state.ended))
    return by_event


def _require(work: Work, reach: AccessScope) -> tuple[str, Decision]:
    """Choose a team that the sender may send to; the event is received for that team."""
    own = min(work.policy.teams(work.actor.subject), default=PLATFORM_TEAM)
    candidates = [own, PLATFORM_TEAM, *sorted(reach.teams)]
    team, data_class = next(
        ((team, each) for team in candidates for each in DataClass if reach.allows(team, each)),
        (own, DataClass.INTERNAL),
    )
    decision = work.require(
        Permission.EVENT_SEND, resource="event:new", team=team, data_class=data_class
    )
    return team, decision


async def _duplicate_of(work: Work, team: str, event: Event) -> SentEvent:
    same_name = (EVENTS.c.team == team) & (EVENTS.c.name == name_of(event))
    found = select(EVENTS.c.id, EVENTS.c.received_at).where(same_name)
    row = (await work.session.execute(found)).one()
    stored = await open_events(work.session, work.keyring, [row.id])
    if stored[row.id] != event:
        raise Conflict(
            "An event with this source and id but other content was received at "
            f"{row.received_at:%Y-%m-%dT%H:%M:%SZ}: give each event a different id.",
        )
    return SentEvent(row.id, duplicate=True)


def _clear_text(value: object) -> str:
    """Text that PostgreSQL accepts, of at most `MAX_CLEAR_LENGTH` characters."""
    text = (
        str(value).encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")
    )
    return text if len(text) <= MAX_CLEAR_LENGTH else text[: MAX_CLEAR_LENGTH - 1] + "…"
