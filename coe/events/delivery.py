"""Bringing an event to the runs that want it: each run once, in the transaction of the event.

What is written: a row of `event_deliveries` a run (so that nothing is brought twice), a row of the
run's inbox that names the event, a wake-up in the outbox. It takes three statements, however many
runs there are.

A run may be asked for while an event is being received, so that neither transaction sees the
other. Then the run's row is older than the event, and the event is brought later, by whichever
comes last of two passes: that over the event's runs after its commit (`again`), and that over the
run's events when it is taken in hand (`catch_up`). Nothing is locked for it.
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
from coe.machine.facts import FactKind
from coe.outbox import OUTBOX_CHANNEL, OutboxKind
from coe.runs.event_subscriptions import ANY
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
    """Bring an event to every run that may want it and has not had it; gives those runs.

    Args:
        session: The transaction in which the event's row is, or one after it.
        event_id: The row.
        name: Its source and id; a run that had one of that name does not get it again.
        type_: The event's type.
        received_at: Runs that were asked for later do not get it.
        reach: Of which teams and classes runs may be for the sender to reach them.
        now: When the runs are told.
    """
    wanting = (
        select(
            cast(literal(event_id), Uuid),
            SUBSCRIPTIONS.c.run_id,
            cast(literal(name), LargeBinary),
            literal(value=False),
        )
        .where(
            SUBSCRIPTIONS.c.type.in_((type_, ANY)),
            SUBSCRIPTIONS.c.active,
            SUBSCRIPTIONS.c.since <= received_at,
            reach.clause(SUBSCRIPTIONS.c.team, SUBSCRIPTIONS.c.data_class),
        )
        .distinct()
        .order_by(SUBSCRIPTIONS.c.run_id)
    )
    new = await session.execute(
        insert(DELIVERIES)
        .from_select(["event_id", "run_id", "name", "started"], wanting)
        .on_conflict_do_nothing()
        .returning(DELIVERIES.c.run_id),
    )
    runs = list(new.scalars())
    await _put(session, [(event_id, run_id) for run_id in runs], now)
    return runs


async def again(platform: Platform, event_id: UUID) -> None:
    """Bring an event to the runs that were being asked for while it was received."""
    async with platform.database.session() as session:
        event = (await session.execute(select(EVENTS).where(EVENTS.c.id == event_id))).one_or_none()
        if event is not None:
            await deliver(
                session,
                event_id,
                name=event.name,
                type_=event.type,
                received_at=event.received_at,
                reach=scope_from(event.reach),
                now=platform.clock(),
            )
            await session.commit()


async def catch_up(platform: Platform, run_id: UUID) -> None:
    """Bring a run that is taken in hand the events that came since it was asked for, or faulted.

    Once a start and once a retry; the holder looks into the inbox afterwards.
    """
    async with platform.database.session() as session:
        wanted = await session.execute(
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
        subscriptions = wanted.all()
        if not subscriptions:
            return
        events = await _missed(session, run_id, subscriptions)
        if events:
            rows = [
                {"event_id": each, "run_id": run_id, "name": name, "started": False}
                for each, name in events.items()
            ]
            new = await session.execute(
                insert(DELIVERIES).on_conflict_do_nothing().returning(DELIVERIES.c.event_id),
                rows,
            )
            brought = set(new.scalars())
            pairs = [(each, run_id) for each in events if each in brought]
            await _put(session, pairs, platform.clock())
        await session.commit()


async def _missed(session: AsyncSession, run_id: UUID, wanted: Sequence[Any]) -> dict[UUID, bytes]:
    """The events that a run should have had, in the order of their arrival, with their names."""
    types = {each.type for each in wanted}
    first = wanted[0]
    had = exists().where(DELIVERIES.c.event_id == EVENTS.c.id, DELIVERIES.c.run_id == run_id)
    which = and_(EVENTS.c.received_at >= first.since, ~had)
    if ANY not in types:
        which = and_(which, EVENTS.c.type.in_(types))
    rows = await session.execute(
        select(EVENTS.c.id, EVENTS.c.name, EVENTS.c.reach).where(which).order_by(EVENTS.c.arrival),
    )
    data_class = DataClass(first.data_class)
    return {
        row.id: row.name for row in rows if scope_from(row.reach).allows(first.team, data_class)
    }


_PUT: Final = text(
    """
    WITH brought (id, message_id, event_id, run_id) AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:messages AS uuid[]),
            CAST(:events AS uuid[]), CAST(:runs AS uuid[])
        )
    ), boxed AS (
        INSERT INTO run_inbox (id, run_id, dedupe, kind, key, at, event_id)
        SELECT id, run_id, :dedupe || event_id, :kind, '', :now, event_id FROM brought
        ON CONFLICT DO NOTHING
    ), woken AS (
        INSERT INTO outbox (id, kind, subject, payload, created_at, due_at, attempts)
        SELECT message_id, :wake, run_id, '{}', :now, :now, 0 FROM brought
    )
    SELECT pg_notify(:runs_channel, CAST(run_id AS text)) FROM brought
    UNION ALL SELECT pg_notify(:outbox_channel, '')
    """,
)


async def _put(session: AsyncSession, pairs: Sequence[tuple[UUID, UUID]], now: datetime) -> None:
    """Put events (first of each pair) into the inboxes of runs (second), and have them woken."""
    if not pairs:
        return
    await session.execute(
        _PUT,
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


def scope_to_json(scope: AccessScope) -> dict[str, JSON]:
    """Where a sender may send to, as it is kept with the event."""
    return {
        "elsewhere": _values(scope.elsewhere),
        "teams": {team: _values(classes) for team, classes in scope.teams.items()},
    }


def _values(classes: Iterable[DataClass]) -> JSON:
    return [each.value for each in sorted(classes)]


def scope_from(kept: dict[str, Any]) -> AccessScope:
    """The same, read back."""
    return AccessScope(
        frozenset(DataClass(each) for each in kept["elsewhere"]),
        {
            team: frozenset(DataClass(each) for each in classes)
            for team, classes in kept["teams"].items()
        },
    )
