"""Flows that events start: one, any, all and until, each event once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from coe.access.actor import Actor
from coe.events.bus import SentEvent
from coe.json_types import JSON
from coe.language.schedules import ScheduleKind
from coe.runs.disclosure import read_run_data
from coe.runs.tables import DELIVERIES, EVENTS, SCHEDULE_EVENTS
from coe.schedules.actions import pause_schedule, resume_schedule
from coe.schedules.event_triggers import settle
from coe.schedules.queries import unmatched_by_schedules
from coe.work import Platform
from tests.factories.events import SHOP, send
from tests.factories.events import paid as event_of_shop
from tests.factories.people import SALES_OWNER
from tests.factories.runs import CANARY, engine, publish
from tests.factories.schedules import (
    Clock,
    flow,
    publish_scheduled,
    schedule_of,
    scheduled,
    started,
)


@pytest.fixture
def clock(platform: Platform) -> Clock:
    """A clock that stands still, on the platform."""
    made = Clock()
    platform.clock = made
    return made


def order_event(kind: str, order: str = "7", **more: JSON) -> dict[str, JSON]:
    return event_of_shop(type=kind, data={"order": order, "customer": CANARY}) | more


async def send_settled(
    platform: Platform, *events: dict[str, JSON], actor: Actor = SHOP
) -> SentEvent:
    for event in events:
        [sent] = await send(platform, event, actor=actor)
        await settle(platform, sent.id)
    return sent


async def inputs(platform: Platform) -> list[Any]:
    async with platform.work(SALES_OWNER) as work:
        ids = [run.id for run in await started(platform)]
        data = await read_run_data(work, ids)
    return [data[run_id].input for run_id in ids]


ONE = "{on: {one: {with: {type: order.placed}}}}"
ALL = """
  on:
    all:
      - with: {type: order.placed}
        correlate: {order: {from: .data.order}}
      - with: {type: order.paid}
        correlate: {order: {from: .data.order}}"""


async def test_an_event_starts_a_run_with_itself_as_input(platform: Platform, clock: Clock) -> None:
    await publish_scheduled(platform, flow(ONE))
    row = await scheduled(platform)
    assert (row.kind, row.expression, row.next_at) == (ScheduleKind.ON, "one: order.placed", None)
    event = order_event("order.placed")
    sent = await send_settled(platform, order_event("order.paid"), event)
    [run] = await started(platform)
    assert await inputs(platform) == [[event]]
    assert (run.started_by, run.requester) == ("service:scheduler", "service:web-shop")
    async with platform.database.session() as session:
        delivery = (await session.execute(select(DELIVERIES))).one()
    assert (delivery.event_id, delivery.run_id, delivery.started) == (sent.id, run.id, True)
    for _ in range(3):
        await settle(platform, sent.id)
    assert len(await started(platform)) == 1


async def test_the_clock_of_the_database_decides_what_was_sent_first(
    platform: Platform, clock: Clock
) -> None:
    """The clock of the process that published is ahead of that of the one that receives."""
    clock.now += timedelta(seconds=30)
    await publish_scheduled(platform, flow(ONE))
    clock.now -= timedelta(seconds=60)
    await send_settled(platform, order_event("order.placed"))
    assert len(await started(platform)) == 1


async def test_two_dispatchers_start_one_run(platform: Platform, clock: Clock) -> None:
    await publish_scheduled(platform, flow(ONE))
    [sent] = await send(platform, order_event("order.placed"))
    await asyncio.gather(*(settle(platform, sent.id) for _ in range(6)))
    assert len(await started(platform)) == 1


async def test_any_of_several_starts_a_run_each(platform: Platform, clock: Clock) -> None:
    both = "{on: {any: [{with: {type: order.placed}}, {with: {type: order.paid}}]}}"
    await publish_scheduled(platform, flow(both))
    await send_settled(
        platform, order_event("order.placed"), order_event("order.paid"), order_event("other")
    )
    assert len(await started(platform)) == 2


async def test_any_until_collects_events(platform: Platform, clock: Clock) -> None:
    until = """
  on:
    any: [{with: {type: order.line}}]
    until: {one: {with: {type: order.closed}}}"""
    await publish_scheduled(platform, flow(until))
    lines = [order_event("order.line", order=str(number)) for number in range(3)]
    await send_settled(platform, *lines)
    assert await started(platform) == []
    await send_settled(platform, order_event("order.closed"), order_event("order.line"))
    assert await inputs(platform) == [lines]


async def test_correlated_events_start_a_run(platform: Platform, clock: Clock) -> None:
    await publish_scheduled(platform, flow(ALL))
    placed = {order: order_event("order.placed", order) for order in "abc"}
    paid = {order: order_event("order.paid", order) for order in "abc"}
    await send_settled(platform, placed["a"], placed["b"], paid["c"], paid["b"])
    assert await inputs(platform) == [[placed["b"], paid["b"]]]
    await send_settled(platform, placed["c"], paid["a"])
    assert (await inputs(platform))[1:] == [[paid["c"], placed["c"]], [placed["a"], paid["a"]]]
    async with platform.database.session() as session:
        states = await session.execute(
            select(SCHEDULE_EVENTS.c.state, func.count()).group_by(SCHEDULE_EVENTS.c.state)
        )
    assert {state.value: count for state, count in states} == {"TAKEN": 6}


async def test_events_of_one_set_that_are_settled_at_the_same_time(
    platform: Platform, clock: Clock
) -> None:
    await publish_scheduled(platform, flow(ALL))
    kinds = ("order.placed", "order.paid")
    events = [order_event(kind, str(order)) for order in range(6) for kind in kinds]
    sent = await send(platform, *events)
    await asyncio.gather(*(settle(platform, each.id) for each in sent))
    assert len(await started(platform)) == 6


async def test_a_filter_is_evaluated_over_the_event(platform: Platform, clock: Clock) -> None:
    large = """
  on:
    one:
      with:
        type: order.placed
        data: '${ (.order | tonumber) > 100 }'"""
    await publish_scheduled(platform, flow(large))
    await send_settled(
        platform,
        order_event("order.placed", "7"),
        order_event("order.placed", "not a number"),
        order_event("order.placed", "700"),
    )
    [[event]] = await inputs(platform)
    assert event["data"]["order"] == "700"
    schedule = await scheduled(platform)
    assert schedule is not None
    assert schedule.unmatched == 1
    async with platform.database.session() as session:
        places = await session.scalars(select(SCHEDULE_EVENTS.c.unmatched_at))
    assert [each for each in places if each] == ["/schedule/on/one/with/data"]


async def test_an_event_that_cannot_be_correlated_starts_nothing_and_spoils_no_set(
    platform: Platform, clock: Clock
) -> None:
    await publish_scheduled(platform, flow(ALL))
    poison = event_of_shop(type="order.paid", data="text")
    placed, paid = order_event("order.placed"), order_event("order.paid")
    sent = await send_settled(platform, placed, poison)
    async with platform.read(SALES_OWNER) as read:
        [failed] = await unmatched_by_schedules(read, sent.id)
    assert failed.ref == "sales/nightly@1.0.0"
    assert failed.pointer.startswith("/schedule/on/all/")
    assert failed.pointer.endswith("/correlate/order/from")
    await send_settled(platform, paid)
    assert await inputs(platform) == [[placed, paid]]


async def test_events_are_counted_where_what_a_schedule_expects_cannot_be_computed(
    platform: Platform, clock: Clock
) -> None:
    wrong = """
  on:
    one:
      with: {type: order.placed}
      correlate: {order: {from: .data.order, expect: '${ 1 | .order }'}}"""
    await publish_scheduled(platform, flow(wrong))
    await send_settled(platform, order_event("order.placed"))
    schedule = await scheduled(platform)
    assert schedule is not None
    assert (schedule.unmatched, await started(platform)) == (1, [])


async def test_events_before_the_publication_and_during_a_pause_start_nothing(
    platform: Platform, clock: Clock
) -> None:
    early = await send(platform, order_event("order.placed"))
    clock.now += timedelta(minutes=1)
    await publish_scheduled(platform, flow(ONE))
    await settle(platform, early[0].id)
    async with platform.work(SALES_OWNER) as work:
        await pause_schedule(work, "sales/nightly", reason="no")
    clock.now += timedelta(minutes=1)
    paused = await send_settled(platform, order_event("order.placed"))
    clock.now += timedelta(minutes=1)
    async with platform.work(SALES_OWNER) as work:
        await resume_schedule(work, "sales/nightly", reason="yes")
    await settle(platform, paused.id)
    assert await started(platform) == []
    await send_settled(platform, order_event("order.placed"))
    assert len(await started(platform)) == 1


async def test_a_sender_without_the_permission_starts_nothing(
    platform: Platform, clock: Clock
) -> None:
    await publish_scheduled(platform, flow(ONE))
    await send_settled(platform, order_event("order.placed"), actor=Actor.of("finance-lead"))
    assert await started(platform) == []


async def test_the_event_that_started_a_run_is_not_delivered_to_it(
    platform: Platform, clock: Clock
) -> None:
    again = flow(ONE).replace(
        "do:\n",
        "do:\n  - more:\n      listen: {to: {one: {with: {type: order.placed}}}}\n",
    )
    await publish_scheduled(platform, again)
    sent = await send_settled(platform, order_event("order.placed"))
    clock.now += timedelta(seconds=1)
    await settle(platform, sent.id)
    async with platform.database.session() as session:
        rows = (await session.execute(select(DELIVERIES))).all()
    assert [row.started for row in rows] == [True]


async def test_the_problem_of_refused_events_shows_no_values(
    platform: Platform, clock: Clock
) -> None:
    strict = flow(ONE).replace("{schema: {document: {}}}", "{schema: {document: {maxItems: 0}}}")
    await publish_scheduled(platform, strict)
    await send_settled(platform, order_event("order.placed"))
    row = await scheduled(platform)
    assert row.problem == "the input does not fit the flow's schema, at /input"
    assert await started(platform) == []


async def test_the_loops_publish_deliver_and_start(platform: Platform) -> None:
    """Publish, dispatch, send, start and execute with the loops alone."""
    await publish(platform, flow(ONE))
    async with engine(platform):
        async with asyncio.timeout(10):
            while await schedule_of(platform) is None:
                await asyncio.sleep(0.05)
        await send(platform, order_event("order.placed"))
        async with asyncio.timeout(15):
            while [run.state for run in await started(platform)] != ["COMPLETED"]:
                await asyncio.sleep(0.05)
    async with platform.database.session() as session:
        assert await session.scalar(select(func.count()).select_from(EVENTS)) == 1
