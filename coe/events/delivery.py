"""Deliver events to subscribed runs: each run once, in the transaction that receives the event.

For each run it writes a row of `event_deliveries` (so that nothing is delivered twice), a row of
the run's inbox that names the event, and a wake-up in the outbox. The number of statements does
not depend on the number of runs.

A run may be requested while an event is received, so that neither transaction sees the other. The
subscription is then older than the event, and the event is delivered by the later of two passes:
over the event's runs after its commit (`redeliver`), and over the run's events when a process
acquires the run (`catch_up`). Neither pass takes a lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import LargeBinary, Uuid, and_, cast, exists, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.actor import DataClass
from coe.access.scope import AccessScope
from coe.db import new_id
from coe.json_types import JSON
from coe.machine.event_buffer import EventUse
from coe.machine.facts import FactKind
from coe.outbox import OUTBOX_CHANNEL, OutboxKind
from coe.runs.event_models import DeliveryState
from coe.runs.event_payload import name_of
from coe.runs.event_subscriptions import ANY_TYPE
from coe.runs.inbox import CHANNEL
from coe.runs.tables import DELIVERIES, EVENTS, SUBSCRIPTIONS
from coe.work import Platform

DEDUPE: Final = "EVENT:"


async def deliver(
    session: AsyncSession,
    event_id: UUID,
    *,
    name: bytes,
    type_: str,
    received_at: datetime,
    reach: AccessScope,
    now: datetime,
) -> list[UUID]:
    """Deliver an event to every subscribed run that has not had it, and return those runs.

    Args:
        session: The transaction that inserts the event, or a later one.
        event_id: The id of its row.
        name: The digest of its source and id; a run gets only one event of that name.
        type_: The event's type.
        received_at: Runs that were requested later do not get it.
        reach: The teams and data classes of the runs that the sender may reach.
        now: The time of the wake-ups.
    """
    subscribed = (
        select(
            cast(literal(event_id), Uuid),
            SUBSCRIPTIONS.c.run_id,
            cast(literal(name), LargeBinary),
            literal(value=False),
            literal(DeliveryState.OFFERED, DELIVERIES.c.state.type),
        )
        .where(
            SUBSCRIPTIONS.c.type.in_((type_, ANY_TYPE)),
            SUBSCRIPTIONS.c.active,
            SUBSCRIPTIONS.c.since <= received_at,
            reach.clause(SUBSCRIPTIONS.c.team, SUBSCRIPTIONS.c.data_class),
        )
        .distinct()
        .order_by(SUBSCRIPTIONS.c.run_id)
    )
    inserted = await session.execute(
        insert(DELIVERIES)
        .from_select(["event_id", "run_id", "name", "started", "state"], subscribed)
        .on_conflict_do_nothing()
        .returning(DELIVERIES.c.run_id),
    )
    runs = list(inserted.scalars())
    await _put_in_inboxes(session, [(event_id, run_id) for run_id in runs], now)
    return runs


async def redeliver(platform: Platform, event_id: UUID) -> None:
    """Deliver an event to the runs that were being requested while it was received."""
    async with platform.database.session() as session:
        event = (await session.execute(select(EVENTS).where(EVENTS.c.id == event_id))).one_or_none()
        if event is not None:
            await deliver(
                session,
                event_id,
                name=event.name,
                type_=event.type,
                received_at=event.received_at,
                reach=scope_from_json(event.reach),
                now=platform.clock(),
            )
            await session.commit()


async def catch_up(platform: Platform, run_id: UUID) -> None:
    """Deliver the events that a run missed between its request, or its fault, and now.

    The process that acquires a run calls it once a start and once a retry, before it reads the
    run's inbox.
    """
    async with platform.database.session() as session:
        updated = await session.execute(
            update(SUBSCRIPTIONS)
            .where(SUBSCRIPTIONS.c.run_id == run_id, SUBSCRIPTIONS.c.caught_up.is_(False))
            .values(caught_up=True)
            .returning(
                SUBSCRIPTIONS.c.type,
                SUBSCRIPTIONS.c.team,
                SUBSCRIPTIONS.c.data_class,
                SUBSCRIPTIONS.c.since,
            ),
        )
        subscriptions = updated.all()
        if not subscriptions:
            return
        events = await _missed(session, run_id, subscriptions)
        if events:
            rows = [
                {
                    "event_id": each,
                    "run_id": run_id,
                    "name": name,
                    "started": False,
                    "state": DeliveryState.OFFERED,
                }
                for each, name in events.items()
            ]
            inserted = await session.execute(
                insert(DELIVERIES).on_conflict_do_nothing().returning(DELIVERIES.c.event_id),
                rows,
            )
            delivered = set(inserted.scalars())
            pairs = [(each, run_id) for each in events if each in delivered]
            await _put_in_inboxes(session, pairs, platform.clock())
        await session.commit()


async def _missed(
    session: AsyncSession, run_id: UUID, subscriptions: Sequence[Any]
) -> dict[UUID, bytes]:
    """The names of the events that a run has missed by their ids, in order of arrival."""
    types = {each.type for each in subscriptions}
    first = subscriptions[0]
    had = exists().where(DELIVERIES.c.event_id == EVENTS.c.id, DELIVERIES.c.run_id == run_id)
    which = and_(EVENTS.c.received_at >= first.since, ~had)
    if ANY_TYPE not in types:
        which = and_(which, EVENTS.c.type.in_(types))
    rows = await session.execute(
        select(EVENTS.c.id, EVENTS.c.name, EVENTS.c.reach).where(which).order_by(EVENTS.c.arrival),
    )
    data_class = DataClass(first.data_class)
    return {
        row.id: row.name
        for row in rows
        if scope_from_json(row.reach).allows(first.team, data_class)
    }


_INSERT_DELIVERED: Final = text(
    """
    WITH delivered (id, message_id, event_id, run_id) AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:messages AS uuid[]),
            CAST(:events AS uuid[]), CAST(:runs AS uuid[])
        )
    ), into_inbox AS (
        INSERT INTO run_inbox (id, run_id, dedupe, kind, key, at, event_id)
        SELECT id, run_id, :dedupe || event_id, :kind, '', :now, event_id FROM delivered
        ON CONFLICT DO NOTHING
    ), woken AS (
        INSERT INTO outbox (id, kind, subject, payload, created_at, due_at, attempts)
        SELECT message_id, :wake, run_id, '{}', :now, :now, 0 FROM delivered
    )
    SELECT pg_notify(:runs_channel, CAST(run_id AS text)) FROM delivered
    UNION ALL SELECT pg_notify(:outbox_channel, '')
    """,
)


async def _put_in_inboxes(
    session: AsyncSession, pairs: Sequence[tuple[UUID, UUID]], now: datetime
) -> None:
    """Put events into the inboxes of runs, and queue wake-ups; a pair is an event and a run."""
    if not pairs:
        return
    await session.execute(
        _INSERT_DELIVERED,
        {
            "ids": [new_id() for _ in pairs],
            "messages": [new_id() for _ in pairs],
            "events": [event for event, _ in pairs],
            "runs": [run for _, run in pairs],
            "dedupe": DEDUPE,
            "kind": FactKind.EVENT_CONSUMED.value,
            "wake": OutboxKind.WAKE.value,
            "now": now,
            "runs_channel": CHANNEL,
            "outbox_channel": OUTBOX_CHANNEL,
        },
    )


async def note_uses(session: AsyncSession, run_id: UUID, uses: Sequence[EventUse]) -> None:
    """Note what a run made of events, in the transaction that journals it.

    An event that one task took is taken, whatever another task could not compare.
    """
    for use in uses:
        state = DeliveryState.TAKEN if use.taken else DeliveryState.UNMATCHED
        await session.execute(
            update(DELIVERIES)
            .where(
                DELIVERIES.c.run_id == run_id,
                DELIVERIES.c.name == name_of(dict(use.event)),
                DELIVERIES.c.state != DeliveryState.TAKEN,
            )
            .values(state=state, unmatched_at=None if use.taken else use.pointer),
        )


def scope_to_json(scope: AccessScope) -> dict[str, JSON]:
    """The JSON form of a sender's reach, as stored with the event."""
    return {
        "elsewhere": _values(scope.elsewhere),
        "teams": {team: _values(classes) for team, classes in scope.teams.items()},
    }


def _values(classes: Iterable[DataClass]) -> JSON:
    return [each.value for each in sorted(classes)]


def scope_from_json(stored: dict[str, Any]) -> AccessScope:
    """The reach from its JSON form."""
    return AccessScope(
        frozenset(DataClass(each) for each in stored["elsewhere"]),
        {
            team: frozenset(DataClass(each) for each in classes)
            for team, classes in stored["teams"].items()
        },
    )
