"""Input and payload of an event that is sent over GraphQL."""

from __future__ import annotations

import strawberry

from coe.api.graphql.nodes import Problem, input_type, object_type
from coe.api.graphql.scalars import Json
from coe.api.types.runs import Run
from coe.events.bus import Delivery
from coe.runs.event_models import DeliveryState
from coe.runs.records import RunRecord
from coe.schedules.queries import UnmatchedBySchedule


@input_type
class SendEventInput:
    """A CloudEvent to deliver to the runs that wait for it."""

    event: Json = strawberry.field(description="A CloudEvent 1.0 in JSON form")
    client_mutation_id: str | None = None


@object_type
class UnmatchedEvent:
    """Who could not compare the event, because an expression failed on its data."""

    flow: str = strawberry.field(description="namespace/name@version")
    run: Run | None = strawberry.field(description="Null for the schedule of the flow")
    path: str = strawberry.field(
        description="JSON pointer of the expression in the definition of the flow",
    )
    reason: str = strawberry.field(description="Without any value of the event")

    @classmethod
    def of(cls, flow: str, path: str, run: Run | None = None) -> UnmatchedEvent:
        """The view of who could not compare it."""
        return cls(
            flow=flow, run=run, path=path, reason=f"the expression at {path} fails on its data"
        )


@object_type
class EventPayload:
    """What became of the event so far, or the problems."""

    delivered: list[Run] = strawberry.field(
        description="Runs that took the event or were started by it, of those that the caller may"
        " read. A run that waits takes it a moment later: the same event sent again is a duplicate,"
        " and tells what became of it",
    )
    pending: int = strawberry.field(
        description="How many runs that the caller may read have the event and have not taken it:"
        " they have not looked yet, or wait for another one of its type",
    )
    unmatched: list[UnmatchedEvent] = strawberry.field(
        description="Who could not compare it; their runs wait on",
    )
    duplicate: bool
    problems: list[Problem]

    @classmethod
    def of(
        cls,
        found: list[tuple[Delivery, RunRecord]],
        schedules: list[UnmatchedBySchedule],
        *,
        duplicate: bool,
        problems: list[Problem],
    ) -> EventPayload:
        """The view of an event's deliveries to runs, and of schedules that could not compare it."""
        unmatched = [
            UnmatchedEvent.of(run.ref, each.pointer or "", Run.of(run))
            for each, run in found
            if each.state is DeliveryState.UNMATCHED
        ]
        unmatched += [UnmatchedEvent.of(each.ref, each.pointer) for each in schedules]
        return cls(
            delivered=[Run.of(run) for each, run in found if each.state is DeliveryState.TAKEN],
            pending=sum(each.pending for each, _ in found),
            unmatched=unmatched,
            duplicate=duplicate,
            problems=problems,
        )
