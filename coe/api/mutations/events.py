"""The root field that sends an event; `coe.api.http.cloudevents` is the same over plain HTTP."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.loaders import run_by_id
from coe.api.graphql.nodes import Problem, mutation
from coe.api.types.events import EventPayload, SendEventInput
from coe.events.bus import Delivery, deliveries, send_events
from coe.events.cloudevents import read_event
from coe.idempotency import Receipt
from coe.schedules.event_triggers import settle_soon
from coe.schedules.queries import UnmatchedBySchedule, unmatched_by_schedules
from coe.work import Work


@strawberry.type
class EventMutation:
    """The field of Mutation about events."""

    @mutation
    async def send_event(self, info: Info, input: SendEventInput) -> EventPayload:  # noqa: A002  # the contract's name
        """Send a CloudEvent to the runs of the teams for which the caller holds event:send.

        The same source and id again is a duplicate, which changes nothing; it tells what became of
        the event.
        """

        async def act(work: Work) -> Receipt:
            event = read_event(input.event, path="/event")  # type: ignore[arg-type]  # a value of JSON
            [sent] = await send_events(work, [event])
            return Receipt({"event": str(sent.id), "duplicate": sent.duplicate})

        context = info.context
        receipt = await once(context, "sendEvent", input.client_mutation_id, input, act)
        duplicate = receipt.values.get("duplicate") is True
        found: list[Delivery] = []
        schedules: list[UnmatchedBySchedule] = []
        event_id = receipt.id("event")
        if event_id is not None:
            if not duplicate:
                await settle_soon(context.platform, [event_id])
            async with context.read() as read:
                found = (await deliveries(read.session, [event_id]))[event_id]
                schedules = await unmatched_by_schedules(read, event_id)
        runs = await context.load_many(run_by_id, [each.run_id for each in found])
        return EventPayload.of(
            [(each, run) for each, run in zip(found, runs, strict=True) if run is not None],
            schedules,
            duplicate=duplicate,
            problems=Problem.all_of(receipt.problems),
        )
