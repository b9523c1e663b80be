"""The sets of events that a schedule collects until one is complete and starts a run.

A set is a small machine, of a definition that only listens: filters, correlation, `one`, `any`,
`all` and `until` mean what they mean in a `listen`. An event joins the first open set that accepts
it, otherwise it opens a new set, otherwise it is dropped. A complete set starts a run, with its
events as input (dsl.md, "Input of event-driven scheduled workflows"). Sets are not stored: they are
built again from the pending events, in order of arrival.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from coe.access.actor import ActorKind, subject_kind
from coe.json_types import JSON
from coe.language.model.definition import Definition
from coe.machine.commands import Completed, Faulted
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import Machine, RunContext
from coe.runs.event_models import DeliveryState
from coe.runs.event_payload import Event, open_events
from coe.runs.requests import Requester
from coe.runs.row_codes import EVENT_CODES, all_good
from coe.runs.schedule_models import ScheduleEventState
from coe.runs.tables import DELIVERIES, EVENTS, SCHEDULE_EVENTS
from coe.schedules.firing import start_scheduled_run
from coe.work import Work

LISTENED: Final = "/do/0/take/listen/to"
"""Where the definition of a set has what the schedule of the flow has at `ON`."""
ON: Final = "/schedule/on"
MAX_OPEN_SETS: Final = 200
"""How many open sets a schedule has; when there are more, the oldest are dropped."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _PendingEvent:
    """An event that is in no complete set yet, and its row in `events`."""

    row: Any
    event: Event
    failed: str | None = None
    """The pointer of an expression that failed on it."""


@dataclass(slots=True)
class _EventSet:
    """Events that belong together, and the machine that accepted them."""

    machine: Machine
    members: list[_PendingEvent] = field(default_factory=list)


class EventSets:
    """The open sets of one schedule, whose row is locked."""

    def __init__(self, work: Work, schedule: Any, definition: Definition) -> None:
        self._work = work
        self._schedule = schedule
        self._definition = definition
        self._open: list[_EventSet] = []

    async def offer_pending(self) -> None:
        """Offer all pending events to the sets, and start a run for each set that is complete."""
        for pending in await self._pending():
            await self._offer(pending)
        for dropped in self._open[: max(len(self._open) - MAX_OPEN_SETS, 0)]:
            _log.warning("schedule %s has too many open sets of events", self._schedule.id)
            await self._mark(dropped.members, ScheduleEventState.DROPPED)

    async def _pending(self) -> list[_PendingEvent]:
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
        return [_PendingEvent(row, events[row.id]) for row in rows]

    async def _offer(self, pending: _PendingEvent) -> None:
        for candidate in [*self._open, None]:
            chosen = candidate or await self._new_set()
            if not await self._accepts(chosen, pending):
                continue
            chosen.members.append(pending)
            if candidate is None:
                self._open.append(chosen)
            if isinstance(chosen.machine.outcome, Completed):
                self._open.remove(chosen)
                await self._start(chosen, chosen.machine.outcome.output)
            return
        if pending.failed is None:
            await self._mark([pending], ScheduleEventState.DROPPED)
        else:
            await self._mark([pending], ScheduleEventState.UNMATCHED, at=pending.failed)

    async def _accepts(self, chosen: _EventSet, pending: _PendingEvent) -> bool:
        """Whether a set accepts an event; it does not when an expression fails on the event."""
        machine = chosen.machine
        data: JSON = {"event": pending.event}
        await machine.apply(Fact(FactKind.EVENT_CONSUMED, self._work.now, data=data))
        for use in machine.event_uses():
            if not use.taken:
                pending.failed = ON + use.pointer.removeprefix(LISTENED)
        if isinstance(machine.outcome, Faulted):  # what the schedule expects cannot be computed
            pending.failed = ON
        return machine.consumed(pending.event)

    async def _new_set(self) -> _EventSet:
        evaluate = self._work.platform.expressions.evaluate
        machine = Machine(self._definition, RunContext(str(self._schedule.id)), evaluate)
        await machine.apply(Fact(FactKind.RUN_STARTED, self._work.now, data={"input": None}))
        return _EventSet(machine)

    async def _start(self, complete: _EventSet, events: JSON) -> None:
        """Start a run with the events.

        The sender of the last one is its requester, and all of them count as one with it.
        """
        rows = [member.row for member in complete.members]
        last = rows[-1]
        persons = {each for row in rows for each in (row.requester, *row.requester_persons)}
        good = all_good([EVENT_CODES.good(self._work.keyring.macs, row) for row in rows])
        run_id = await start_scheduled_run(
            self._work,
            self._schedule,
            events,
            correlation_id=last.correlation_id,
            inherits=subject_kind(last.sent_by) is ActorKind.RUN,
            requester=Requester(last.requester, persons, good),
        )
        if run_id is None:
            await self._mark(complete.members, ScheduleEventState.DROPPED)
            return
        await self._mark(complete.members, ScheduleEventState.TAKEN)
        deliveries = [
            {
                "event_id": member.row.id,
                "run_id": run_id,
                "name": member.row.name,
                "started": True,
                "state": DeliveryState.TAKEN,
            }
            for member in complete.members
        ]
        await self._work.session.execute(insert(DELIVERIES), deliveries)

    async def _mark(
        self, members: list[_PendingEvent], state: ScheduleEventState, *, at: str | None = None
    ) -> None:
        await self._work.session.execute(
            update(SCHEDULE_EVENTS)
            .where(
                SCHEDULE_EVENTS.c.schedule_id == self._schedule.id,
                SCHEDULE_EVENTS.c.event_id.in_([member.row.id for member in members]),
            )
            .values(state=state, unmatched_at=at),
        )
