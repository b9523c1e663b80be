"""Events from outside, over GraphQL; `coe.api.event_door` is the same over plain HTTP."""

from __future__ import annotations

import strawberry

from coe.api.context import Info
from coe.api.idempotency import Receipt, once
from coe.api.nodes import Problem, mutation
from coe.api.runs import Run, run_by_id
from coe.api.scalars import Json
from coe.events.bus import delivered, send_events
from coe.events.cloudevents import read_event
from coe.schedules.event_triggers import settle_soon
from coe.work import Work


@strawberry.input(description="A CloudEvent to bring to the runs that want it")
class SendEventInput:
    """A CloudEvent to bring to the runs that want it."""

    event: Json = strawberry.field(description="A CloudEvent 1.0 in JSON form")
    client_mutation_id: str | None = None


@strawberry.type(description="What became of an event, or the problems")
class EventPayload:
    """What became of an event, or the problems."""

    delivered: list[Run] = strawberry.field(
        description="Runs that the event reached or started, of those that the caller may read",
    )
    duplicate: bool
    problems: list[Problem]


@strawberry.type
class EventMutation:
    """The part of Mutation that is about events."""

    @mutation
    async def send_event(self, info: Info, input: SendEventInput) -> EventPayload:  # noqa: A002  # the contract's name
        """Sends a CloudEvent to the runs of the teams for which the caller holds event:send.

        The same source and id again is a duplicate: nothing happens again.
        """

        async def act(work: Work) -> Receipt:
            event = read_event(input.event, path="/event")  # type: ignore[arg-type]  # a value of JSON
            [sent] = await send_events(work, [event])
            return Receipt({"event": str(sent.id), "duplicate": sent.duplicate})

        context = info.context
        receipt = await once(context, "sendEvent", input.client_mutation_id, input, act)
        reached = []
        event_id = receipt.id("event")
        if event_id is not None:
            if receipt.values.get("duplicate") is not True:
                await settle_soon(context.platform, [event_id])
            async with context.read() as read:
                reached = await delivered(read.session, event_id)
        rows = await context.load_many(run_by_id, reached)
        return EventPayload(
            delivered=[Run.of(row) for row in rows if row is not None],
            duplicate=receipt.values.get("duplicate") is True,
            problems=[Problem.of(problem) for problem in receipt.problems],
        )
