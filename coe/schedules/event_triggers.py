"""Deliver events to `schedule.on`: events start runs, with the strategies of a `listen`.

Each schedule considers an event once: the row in `schedule_events` is written in the transaction
that starts the run, with the schedule's row locked.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Uuid, any_, literal, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from coe.catalog.flows.contents import runnable_version
from coe.errors import CoeError
from coe.events.delivery import redeliver, scope_from_json
from coe.language.load import load
from coe.language.model.definition import Definition
from coe.language.schedules import ScheduleKind
from coe.runs.schedule_models import ScheduleEventState
from coe.runs.tables import EVENTS, SCHEDULE_EVENTS, SCHEDULES
from coe.schedules.event_sets import EventSets
from coe.schedules.sync import SCHEDULER, live_version, refresh_schedule_in, schedule_source
from coe.work import Platform, Work

SETTLE_SECONDS: Final = 2.0
"""How long the sender of an event waits for the runs that it starts."""
_MAX_CACHED: Final = 200
_listeners: OrderedDict[UUID, Definition] = OrderedDict()
"""Definitions that listen for the events of a schedule, by flow version."""
_log = logging.getLogger(__name__)


async def settle(platform: Platform, event_id: UUID) -> None:
    """Deliver an event that could not be delivered when it was received; start the runs it starts.

    Idempotent, also when two processes call it at the same time.
    """
    await redeliver(platform, event_id)
    for schedule_id in await _matching_schedules(platform, event_id):
        async with platform.work(SCHEDULER) as work:
            await _offer(work, schedule_id, event_id)


async def settle_soon(platform: Platform, events: Sequence[UUID]) -> None:
    """Settle events that were just received, so that their sender learns which runs they started.

    After `SETTLE_SECONDS`, or on a failure, the rest is left to dispatch.
    """
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            for event_id in events:
                await settle(platform, event_id)
    except (TimeoutError, CoeError, SQLAlchemyError, OSError) as error:
        _log.warning("an event is left to dispatch: %s", type(error).__name__)


async def _matching_schedules(platform: Platform, event_id: UUID) -> list[UUID]:
    """The schedules that await this type of event, and that its sender may reach."""
    async with platform.database.session() as session:
        event = (await session.execute(select(EVENTS).where(EVENTS.c.id == event_id))).one_or_none()
        if event is None:
            return []
        types = SCHEDULES.c.types
        found = await session.execute(
            select(SCHEDULES.c.id)
            .where(
                SCHEDULES.c.kind == ScheduleKind.ON,
                SCHEDULES.c.enabled,
                SCHEDULES.c.since <= event.received_at,
                or_(types.is_(None), literal(event.type) == any_(types)),
                scope_from_json(event.reach).clause(SCHEDULES.c.team, SCHEDULES.c.data_class),
            )
            .order_by(SCHEDULES.c.id),
        )
        return list(found.scalars())


async def _offer(work: Work, schedule_id: UUID, event_id: UUID) -> None:
    """Offer an event to a schedule, once, and start the runs that it completes."""
    found = await work.session.execute(
        select(SCHEDULES).where(SCHEDULES.c.id == schedule_id).with_for_update(),
    )
    schedule = found.one_or_none()
    if schedule is None or not schedule.enabled:
        return
    live = await live_version(work.session, schedule.entry_id)
    if live is None or live.id != schedule.version_id:
        await refresh_schedule_in(work.session, work.platform, schedule.entry_id)
        found = await work.session.execute(
            select(SCHEDULES).where(SCHEDULES.c.id == schedule_id),
        )
        schedule = found.one_or_none()
        if schedule is None or schedule.kind is not ScheduleKind.ON:
            return
    inserted = await work.session.scalar(
        insert(SCHEDULE_EVENTS)
        .from_select(
            ["schedule_id", "event_id", "name", "state"],
            select(
                literal(schedule_id, Uuid),
                EVENTS.c.id,
                EVENTS.c.name,
                literal(ScheduleEventState.PENDING, SCHEDULE_EVENTS.c.state.type),
            ).where(EVENTS.c.id == event_id),
        )
        .on_conflict_do_nothing()
        .returning(SCHEDULE_EVENTS.c.event_id),
    )
    if inserted is not None:
        await EventSets(work, schedule, await _listener(work, schedule)).offer_pending()


async def _listener(work: Work, schedule: Any) -> Definition:
    """A definition that only listens for the events of the schedule."""
    listener = _listeners.get(schedule.version_id)
    if listener is None:
        flow = await runnable_version(work.session, work, schedule.version_id)
        whole = load(flow.definition).definition
        source = schedule_source(whole) if whole is not None else None
        on = source.get("on") if isinstance(source, dict) else None
        text = {
            "document": {
                "dsl": "1.0.3",
                "namespace": "coe",
                "name": "schedule",
                "version": "1.0.0",
            },
            "do": [{"take": {"listen": {"to": on, "read": "envelope"}}}],
        }
        listener = load(json.dumps(text)).definition
        if listener is None:
            message = f"the schedule of {flow.version.ref} can no longer be read"
            raise ValueError(message)
        _listeners[schedule.version_id] = listener
        if len(_listeners) > _MAX_CACHED:
            _listeners.popitem(last=False)
    return listener
