"""Delivery of events to every subscribed run, whatever crashes."""

from __future__ import annotations

import asyncio
import textwrap
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import func, select

from coe.access.actor import Actor
from coe.db import utcnow
from coe.events.bus import deliveries, send_events
from coe.events.delivery import catch_up, note_uses, redeliver
from coe.execution.advance import Parked, advance
from coe.execution.dispatch import dispatch_once
from coe.leaves.leaf import LeafFault
from coe.machine.commands import StepState
from coe.machine.event_buffer import EventUse
from coe.outbox import OUTBOX
from coe.runs import actions, queries
from coe.runs.tables import DELIVERIES, EVENTS, INBOX, SUBSCRIPTIONS
from coe.work import Platform
from tests.factories.events import (
    ANY_PAID,
    PAID,
    SHOP,
    consumed,
    count,
    made_of,
    paid,
    reached,
    send,
    waiting,
)
from tests.factories.people import SALES_OWNER
from tests.factories.runs import (
    CANARY,
    HTTP,
    Leaves,
    central,
    engine,
    publish,
    read_run,
    runtime,
    start,
    until,
)


async def test_an_event_wakes_the_run_that_waits_for_it(platform: Platform) -> None:
    await publish(platform, central("pay", PAID))
    async with engine(platform):
        run = await waiting(platform)
        [sent] = await send(platform, paid())
        await until(platform, run.id, "COMPLETED")
    assert await reached(platform, sent.id) == [run.id]
    assert await made_of(platform, sent.id) == [("TAKEN", None)]
    assert await count(platform, SUBSCRIPTIONS) == 0


FROM = "/do/0/paid/listen/to/one/correlate/order/from"


async def test_an_event_that_cannot_be_compared_is_shown_and_the_run_waits_on(
    platform: Platform,
) -> None:
    await publish(platform, central("pay", PAID))
    async with engine(platform):
        run = await waiting(platform)
        [poison, other] = await send(platform, paid(data="text"), paid("another"))
        async with asyncio.timeout(20):
            while await made_of(platform, poison.id) != [("UNMATCHED", FROM)]:
                await asyncio.sleep(0.02)
        async with platform.read(SALES_OWNER) as read:
            [[step]] = (await queries.steps_of_runs(read, [run.id])).values()
        assert (step.state, step.unmatched, step.unmatched_at) == (StepState.WAITING, 1, FROM)
        [right] = await send(platform, paid())
        await until(platform, run.id, "COMPLETED")
    assert await made_of(platform, other.id) == [("OFFERED", None)]
    assert await made_of(platform, right.id) == [("TAKEN", None)]
    async with platform.read(SALES_OWNER) as read:
        [[each]] = (await deliveries(read.session, [other.id])).values()
    assert not each.pending  # its run has ended


async def test_an_event_that_was_taken_stays_so_when_another_task_reports_later(
    platform: Platform,
) -> None:
    await publish(platform, central("pay", PAID))
    async with engine(platform):
        run = await waiting(platform)
        event = paid()
        [sent] = await send(platform, event)
        await until(platform, run.id, "COMPLETED")
    async with platform.database.session() as session:
        await note_uses(session, run.id, [EventUse(event, FROM, taken=False)])
        await session.commit()
    assert await made_of(platform, sent.id) == [("TAKEN", None)]


async def test_what_one_task_takes_is_taken_whatever_fails_in_another(platform: Platform) -> None:
    takes = ANY_PAID.replace("- paid", "- any")
    branches = textwrap.indent(PAID + takes, "      ")
    both = f"  - both:\n      fork:\n        branches:\n{textwrap.indent(branches, '    ')}"
    await publish(platform, central("pay", both))
    async with engine(platform):
        run = await waiting(platform)
        [poison] = await send(platform, paid(data="text"))
        async with asyncio.timeout(20):
            while await made_of(platform, poison.id) != [("TAKEN", None)]:
                await asyncio.sleep(0.02)
        await send(platform, paid())
        await until(platform, run.id, "COMPLETED")


async def test_an_event_is_kept_for_a_run_that_does_not_listen_yet(platform: Platform) -> None:
    reading = HTTP.format(name="credit") + PAID
    gate = asyncio.Event()

    async def slow(leaf: object) -> Any:
        await gate.wait()
        return {}

    await publish(platform, central("pay", reading))
    async with engine(platform, Leaves({"credit": slow})):
        run = await start(platform, "sales/pay")
        await until(platform, run.id, "RUNNING")
        await send(platform, paid())
        gate.set()
        await until(platform, run.id, "COMPLETED")


async def test_an_event_before_the_first_turn_is_not_lost(platform: Platform) -> None:
    await publish(platform, central("pay", PAID))
    run = await start(platform, "sales/pay")
    [sent] = await send(platform, paid())
    assert await reached(platform, sent.id) == [run.id]
    async with engine(platform):
        await until(platform, run.id, "COMPLETED")
    assert await consumed(platform, run.id) == 1


async def test_a_run_that_is_requested_later_does_not_get_it(platform: Platform) -> None:
    await publish(platform, central("pay", PAID))
    [sent] = await send(platform, paid())
    async with engine(platform):
        run = await waiting(platform)
        await redeliver(platform, sent.id)
        assert await reached(platform, sent.id) == []
        await asyncio.sleep(0.2)
        assert (await read_run(platform, run.id)).state == "WAITING"
        assert await consumed(platform, run.id) == 0


@pytest.mark.parametrize("ahead", [timedelta(seconds=30), timedelta(seconds=-30)])
async def test_the_clock_of_the_database_decides_what_came_first(
    platform: Platform, ahead: timedelta
) -> None:
    """Processes whose clocks differ agree which events came before the run and are not for it."""
    await publish(platform, central("pay", PAID))
    platform.clock = lambda: utcnow() - ahead
    [before] = await send(platform, paid())
    platform.clock = lambda: utcnow() + ahead
    run = await start(platform, "sales/pay")
    platform.clock = lambda: utcnow() - ahead
    [after] = await send(platform, paid())
    await redeliver(platform, before.id)
    await catch_up(platform, run.id)
    assert await reached(platform, before.id) == []
    assert await reached(platform, after.id) == [run.id]


async def test_an_event_for_another_order_is_stored_and_not_consumed(platform: Platform) -> None:
    await publish(platform, central("pay", PAID))
    async with engine(platform):
        run = await waiting(platform)
        await send(platform, paid("another"))
        await until(platform, run.id, "WAITING")
        await send(platform, paid())
        await until(platform, run.id, "COMPLETED")


async def test_a_run_that_catches_up_gets_what_the_sender_was_allowed(
    platform: Platform,
) -> None:
    await publish(
        platform, central("pay", ANY_PAID, namespace="finance"), author="finance-developer"
    )
    async with platform.work(Actor.of("finance-developer")) as work:
        run = await actions.start_run(work, flow="finance/pay", input={"customer": "x"})
    await send(platform, paid())
    async with runtime(platform, Leaves()) as running:
        assert isinstance(await advance(running, run.id), Parked)
    assert await consumed(platform, run.id) == 0


async def test_one_event_for_a_hundred_runs(platform: Platform) -> None:
    await publish(platform, central("pay", ANY_PAID))
    runs = [await start(platform, "sales/pay") for _ in range(100)]
    statements: list[str] = []

    def note(_1: Any, _2: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    sync = platform.database.engine.sync_engine
    sqlalchemy_event.listen(sync, "before_cursor_execute", note)
    [sent] = await send(platform, paid())
    sqlalchemy_event.remove(sync, "before_cursor_execute", note)
    assert len(statements) < 15
    assert await reached(platform, sent.id) == sorted(run.id for run in runs)
    assert await count(platform, INBOX) == 100
    messages = (OUTBOX.c.kind == "wake", OUTBOX.c.subject.in_([run.id for run in runs]))
    assert await count(platform, OUTBOX, *messages) == 100


async def test_an_event_while_the_run_parks(platform: Platform) -> None:
    """It wakes the run, at whatever moment of the parking it is received."""
    await publish(platform, central("pay", ANY_PAID))
    async with engine(platform):
        for delay in (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08):
            run = await start(platform, "sales/pay")
            await asyncio.sleep(delay)
            await send(platform, paid())
            await until(platform, run.id, "COMPLETED")


async def test_a_sender_that_died_after_its_commit(platform: Platform) -> None:
    """Nobody was notified: the outbox alone lets the run continue."""
    await publish(platform, central("pay", ANY_PAID))
    async with runtime(platform, Leaves()) as running:
        run = await start(platform, "sales/pay")
        assert isinstance(await advance(running, run.id), Parked)
        await send(platform, paid())
    async with engine(platform):
        await until(platform, run.id, "COMPLETED")


async def test_a_sender_that_died_before_its_commit(platform: Platform) -> None:
    await publish(platform, central("pay", ANY_PAID))
    await start(platform, "sales/pay")
    event = paid()

    class Died(BaseException):
        pass

    async def dying() -> None:
        async with platform.work(SHOP) as work:
            await send_events(work, [event])
            raise Died

    with pytest.raises(Died):
        await dying()
    for table in (EVENTS, INBOX, DELIVERIES):
        assert await count(platform, table) == 0
    [sent] = await send(platform, event)
    assert not sent.duplicate


async def test_a_run_and_an_event_whose_transactions_do_not_see_each_other(
    platform: Platform,
) -> None:
    """The run is requested first and committed last: its process finds the event."""
    await publish(platform, central("pay", ANY_PAID))
    async with platform.work(SALES_OWNER) as work:
        run = await actions.start_run(work, flow="sales/pay", input={"customer": CANARY})
        [sent] = await send(platform, paid())
        await redeliver(platform, sent.id)
        assert await reached(platform, sent.id) == []
    async with engine(platform):
        await until(platform, run.id, "COMPLETED")
    assert await reached(platform, sent.id) == [run.id]


async def test_a_run_that_was_acquired_before_the_event_was_committed(
    platform: Platform,
) -> None:
    """The event saw no run, the run's process saw no event: dispatch delivers it."""
    await publish(platform, central("pay", ANY_PAID))
    async with runtime(platform, Leaves()) as running:
        async with platform.work(SHOP) as work:
            async with platform.work(SALES_OWNER) as asking:
                await asking.session.execute(select(func.now()))  # its transaction has started
                [sent] = await send_events(work, [paid()])
                given = {"customer": CANARY}
                run = await actions.start_run(asking, flow="sales/pay", input=given)
            assert isinstance(await advance(running, run.id), Parked)
        assert await reached(platform, sent.id) == []
    async with engine(platform):
        await until(platform, run.id, "COMPLETED")
    assert await reached(platform, sent.id) == [run.id]


async def test_dispatch_settles_an_event_twice_without_harm(platform: Platform) -> None:
    await publish(platform, central("pay", ANY_PAID + ANY_PAID.replace("paid:", "again:", 1)))
    async with engine(platform):
        run = await waiting(platform)
        [sent] = await send(platform, paid())
        for _ in range(3):
            await redeliver(platform, sent.id)
        await asyncio.sleep(0.2)
        assert (await until(platform, run.id, "WAITING")).state == "WAITING"
    assert await consumed(platform, run.id) == 1


async def test_an_event_for_a_faulted_run_waits_for_its_retry(platform: Platform) -> None:
    """One branch faults while the other listens; the retry gets the events of the meantime."""
    tasks = """  - both:
      fork:
        branches:
          - paid:
              listen: {to: {one: {with: {type: com.example.paid}}}}
          - shaky:
              call: http
              with: {method: get, endpoint: https://erp.example.com/shaky}
              timeout: {after: PT1H}
"""
    calls = 0

    async def once_faulty(leaf: object) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise LeafFault({"type": "about:blank", "status": 500})
        return {}

    await publish(platform, central("pay", tasks))
    async with engine(platform, Leaves({"shaky": once_faulty})):
        run = await start(platform, "sales/pay")
        await until(platform, run.id, "FAULTED")
        [sent] = await send(platform, paid())
        assert await reached(platform, sent.id) == []
        async with platform.work(SALES_OWNER) as work:
            await actions.retry_run(work, run.id, reason="again")
        await until(platform, run.id, "COMPLETED")
    assert await reached(platform, sent.id) == [run.id]


async def test_an_ended_run_gets_no_event(platform: Platform) -> None:
    await publish(platform, central("pay", ANY_PAID))
    run = await start(platform, "sales/pay")
    async with platform.work(SALES_OWNER) as work:
        await actions.cancel_run(work, run.id, reason="no")
    [sent] = await send(platform, paid())
    assert await reached(platform, sent.id) == []
    assert await count(platform, SUBSCRIPTIONS) == 0


async def test_dispatch_empties_the_outbox_of_events(platform: Platform) -> None:
    await send(platform, paid())
    async with engine(platform) as inline:
        await dispatch_once(platform, inline)
        async with asyncio.timeout(10):
            while await count(platform, OUTBOX):
                await asyncio.sleep(0.05)
