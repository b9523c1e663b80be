"""`schedule.on`: events start runs, by the same strategies by which a `listen` takes them.

A set of events is a small run of the machine, of a definition that only listens: filters,
correlation, `one`, `any`, `all` and `until` mean here what they mean there. An event goes to the
first open set that takes it, else it opens one, else it is dropped. A set that is complete starts a
run, with its events as input (dsl.md, "Input of event-driven scheduled workflows"). Sets are not
kept but made again from the events that still wait, in the order of their arrival.

An event is looked at once a schedule: its row in `schedule_events` is written in the transaction
of the start, with the schedule's row locked.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Uuid, any_, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from coe.catalog.flows.contents import runnable_version
from coe.errors import CoeError
from coe.events.delivery import again, scope_from
from coe.json_types import JSON
from coe.language.load import load
from coe.language.model.definition import Definition
from coe.language.schedules import ScheduleKind
from coe.machine.commands import Completed
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import Machine, RunContext
from coe.runs.event_payload import Event, open_events
from coe.runs.schedule_models import ScheduleEventState
from coe.runs.tables import DELIVERIES, EVENTS, SCHEDULE_EVENTS, SCHEDULES
from coe.schedules.firing import start
from coe.schedules.sync import SCHEDULER, live_version, refresh_in, written
from coe.work import Platform, Work

MOST_OPEN: Final = 200
"""Open sets of one schedule; of more the oldest is given up."""
SOON: Final = 2.0
"""Seconds for which the sender of an event waits for the runs that it starts."""
_MOST_KNOWN: Final = 200
_known: OrderedDict[UUID, Definition] = OrderedDict()
_log = logging.getLogger(__name__)


async def settle(platform: Platform, event_id: UUID) -> None:
    """Bring an event to whom it could not be brought while it was received; start what it starts.

    It may be called as often as one likes, and at once.
    """
    await again(platform, event_id)
    for schedule_id in await _interested(platform, event_id):
        async with platform.work(SCHEDULER) as work:
            await _look(work, schedule_id, event_id)


async def settle_soon(platform: Platform, events: Sequence[UUID]) -> None:
    """Settle events that were just received, so that their sender hears which runs they started.

    What cannot be done within a moment is left to dispatch, which does it anyway.
    """
    try:
        async with asyncio.timeout(SOON):
            for event_id in events:
                await settle(platform, event_id)
    except (TimeoutError, CoeError, SQLAlchemyError, OSError) as error:
        _log.warning("an event is left to dispatch: %s", type(error).__name__)


async def _interested(platform: Platform, event_id: UUID) -> list[UUID]:
    """The schedules that may want an event, and that its sender may reach."""
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
                scope_from(event.reach).clause(SCHEDULES.c.team, SCHEDULES.c.data_class),
            )
            .order_by(SCHEDULES.c.id),
        )
        return list(found.scalars())


async def _look(work: Work, schedule_id: UUID, event_id: UUID) -> None:
    """Offer an event to a schedule, once, and start the runs that come of it."""
    found = await work.session.execute(
        select(SCHEDULES).where(SCHEDULES.c.id == schedule_id).with_for_update(),
    )
    schedule = found.one_or_none()
    if schedule is None or not schedule.enabled:
        return
    live = await live_version(work.session, schedule.entry_id)
    if live is None or live.id != schedule.version_id:
        await refresh_in(work.session, work.platform, schedule.entry_id)
        again_found = await work.session.execute(
            select(SCHEDULES).where(SCHEDULES.c.id == schedule_id),
        )
        schedule = again_found.one_or_none()
        if schedule is None or schedule.kind is not ScheduleKind.ON:
            return
    new = await work.session.scalar(
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
    if new is not None:
        await _Sets(work, schedule, await _definition(work, schedule)).fold()


async def _definition(work: Work, schedule: Any) -> Definition:
    """A definition that does nothing but listen for what the schedule waits for."""
    known = _known.get(schedule.version_id)
    if known is None:
        flow = await runnable_version(work.session, work, schedule.version_id)
        whole = load(flow.definition).definition
        said = written(whole) if whole is not None else None
        on = said.get("on") if isinstance(said, dict) else None
        text = {
            "document": {
                "dsl": "1.0.3",
                "namespace": "coe",
                "name": "schedule",
                "version": "1.0.0",
            },
            "do": [{"take": {"listen": {"to": on, "read": "envelope"}}}],
        }
        known = load(json.dumps(text)).definition
        if known is None:
            message = f"the schedule of {flow.version.ref} can no longer be read"
            raise ValueError(message)
        _known[schedule.version_id] = known
        if len(_known) > _MOST_KNOWN:
            _known.popitem(last=False)
    return known


@dataclass(slots=True)
class _Waiting:
    """An event that waits: its row in `events`, and what it is."""

    row: Any
    event: Event


@dataclass(slots=True)
class _Set:
    """Events that belong together so far, and the machine that took them."""

    machine: Machine
    members: list[_Waiting] = field(default_factory=list)


class _Sets:
    """The open sets of one schedule."""

    def __init__(self, work: Work, schedule: Any, definition: Definition) -> None:
        self._work = work
        self._schedule = schedule
        self._definition = definition
        self._open: list[_Set] = []

    async def fold(self) -> None:
        """Offer everything that waits, in the order of arrival."""
        for waiting in await self._waiting():
            await self._offer(waiting)
        for given_up in self._open[: max(len(self._open) - MOST_OPEN, 0)]:
            _log.warning("schedule %s has too many open sets of events", self._schedule.id)
            await self._mark(given_up.members, ScheduleEventState.DROPPED)

    async def _waiting(self) -> list[_Waiting]:
        found = await self._work.session.execute(
            select(EVENTS)
            .join(SCHEDULE_EVENTS, SCHEDULE_EVENTS.c.event_id == EVENTS.c.id)
            .where(
                SCHEDULE_EVENTS.c.schedule_id == self._schedule.id,
                SCHEDULE_EVENTS.c.state == ScheduleEventState.PENDING,
            )
            .order_by(EVENTS.c.arrival),
        )
        rows = found.all()
        work = self._work
        events = await open_events(work.session, work.keyring, [row.id for row in rows])
        return [_Waiting(row, events[row.id]) for row in rows]

    async def _offer(self, waiting: _Waiting) -> None:
        for candidate in [*self._open, None]:
            chosen = candidate or await self._new_set()
            if not await self._takes(chosen, waiting):
                continue
            chosen.members.append(waiting)
            if candidate is None:
                self._open.append(chosen)
            if isinstance(chosen.machine.outcome, Completed):
                self._open.remove(chosen)
                await self._start(chosen, chosen.machine.outcome.output)
            return
        await self._mark([waiting], ScheduleEventState.DROPPED)

    async def _takes(self, chosen: _Set, waiting: _Waiting) -> bool:
        """Whether a set takes an event; one over which an expression fails is not taken."""
        await self._tell(chosen.machine, waiting)
        if chosen.machine.consumed(waiting.event):
            return True
        if chosen.machine.outcome is not None:
            _log.warning("an expression of schedule %s failed over an event", self._schedule.id)
            chosen.machine = (await self._new_set()).machine
            for member in chosen.members:
                await self._tell(chosen.machine, member)
        return False

    async def _tell(self, machine: Machine, waiting: _Waiting) -> None:
        data: JSON = {"event": waiting.event}
        await machine.apply(Fact(FactKind.EVENT_CONSUMED, self._work.now, data=data))

    async def _new_set(self) -> _Set:
        evaluate = self._work.platform.expressions.evaluate
        machine = Machine(self._definition, RunContext(str(self._schedule.id)), evaluate)
        await machine.apply(Fact(FactKind.RUN_STARTED, self._work.now, data={"input": None}))
        return _Set(machine)

    async def _start(self, complete: _Set, events: JSON) -> None:
        """Start a run with the events; who sent the last of them asked for it."""
        last = complete.members[-1].row
        run_id = await start(
            self._work,
            self._schedule,
            events,
            correlation_id=last.correlation_id,
            requester=last.requester,
        )
        if run_id is None:
            await self._mark(complete.members, ScheduleEventState.DROPPED)
            return
        await self._mark(complete.members, ScheduleEventState.TAKEN)
        reached = [
            {
                "event_id": member.row.id,
                "run_id": run_id,
                "name": member.row.name,
                "started": True,
            }
            for member in complete.members
        ]
        await self._work.session.execute(insert(DELIVERIES), reached)

    async def _mark(self, members: list[_Waiting], state: ScheduleEventState) -> None:
        await self._work.session.execute(
            update(SCHEDULE_EVENTS)
            .where(
                SCHEDULE_EVENTS.c.schedule_id == self._schedule.id,
                SCHEDULE_EVENTS.c.event_id.in_([member.row.id for member in members]),
            )
            .values(state=state),
        )
