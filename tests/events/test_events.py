"""Events: received once, stored, and delivered to every subscribed run, whatever crashes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import func, select, update

from coe.access.actor import Actor
from coe.audit.models import AuditEvent
from coe.db import utcnow
from coe.errors import Conflict, Forbidden, Unavailable
from coe.events.bus import SentEvent, delivered_runs, send_events
from coe.events.delivery import catch_up, redeliver
from coe.events.retention import delete_expired_events
from coe.execution.advance import Parked, advance
from coe.execution.dispatch import dispatch_once
from coe.execution.runtime import LeafDone, LeafFailed
from coe.json_types import JSON
from coe.machine.facts import FactKind
from coe.runs import actions
from coe.runs.journal import Append
from coe.runs.records import RunRecord
from coe.runs.tables import DELIVERIES, EVENTS, INBOX, JOURNAL, OUTBOX, RUNS, SUBSCRIPTIONS
from coe.work import Platform
from tests.factories.people import AUDITOR, OUTSIDER, SALES_OWNER
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

AUDIT = AuditEvent.metadata.tables["audit_events"]
SHOP = Actor.of("service:web-shop")
PAID = """  - paid:
      listen:
        to:
          one:
            with: {type: com.example.paid}
            correlate:
              order: {from: .data.order, expect: "${ $workflow.input.customer }"}
"""
ANY_PAID = """  - paid:
      listen: {to: {one: {with: {type: com.example.paid}}}}
"""


def paid(order: str = CANARY, **more: JSON) -> dict[str, JSON]:
    return {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/shop",
        "type": "com.example.paid",
        "data": {"order": order},
    } | more


async def send(
    platform: Platform, *events: dict[str, JSON], actor: Actor = SHOP
) -> list[SentEvent]:
    async with platform.work(actor) as work:
        return await send_events(work, events)


async def reached(platform: Platform, event_id: UUID) -> list[UUID]:
    async with platform.database.session() as session:
        return await delivered_runs(session, event_id)


async def count(platform: Platform, table: Any, *where: Any) -> int:
    async with platform.database.session() as session:
        return await session.scalar(select(func.count()).select_from(table).where(*where)) or 0


async def consumed(platform: Platform, run_id: UUID) -> int:
    kind = JOURNAL.c.kind == FactKind.EVENT_CONSUMED.value
    return await count(platform, JOURNAL, JOURNAL.c.run_id == run_id, kind)


async def waiting(platform: Platform, flow: str = "sales/pay") -> RunRecord:
    run = await start(platform, flow)
    return await until(platform, run.id, "WAITING")


async def test_an_event_wakes_the_run_that_waits_for_it(platform: Platform) -> None:
    await publish(platform, central("pay", PAID))
    async with engine(platform):
        run = await waiting(platform)
        [sent] = await send(platform, paid())
        await until(platform, run.id, "COMPLETED")
    assert await reached(platform, sent.id) == [run.id]
    assert await count(platform, SUBSCRIPTIONS) == 0


async def test_an_event_is_kept_for_a_run_that_does_not_listen_yet(platform: Platform) -> None:
    reading = HTTP.format(name="credit") + PAID
    gate = asyncio.Event()

    async def slow(leaf: object) -> Any:
        await gate.wait()
        return LeafDone({})

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


async def test_the_same_event_again_does_nothing(platform: Platform) -> None:
    await publish(platform, central("pay", ANY_PAID + ANY_PAID.replace("paid:", "again:", 1)))
    event = paid()
    async with engine(platform):
        run = await waiting(platform)
        [first] = await send(platform, event)
        [second] = await send(platform, event)
        assert (first.duplicate, second.duplicate) == (False, True)
        assert second.id == first.id
        assert await reached(platform, second.id) == [run.id]
        await asyncio.sleep(0.3)
        assert (await until(platform, run.id, "WAITING")).state == "WAITING"
        await send(platform, paid())
        await until(platform, run.id, "COMPLETED")
    assert await consumed(platform, run.id) == 2
    assert await count(platform, AUDIT, AUDIT.c.action == "runs:event:send") == 2


async def test_another_content_under_the_same_name_is_refused(platform: Platform) -> None:
    event = paid()
    await send(platform, event)
    with pytest.raises(Conflict) as refused:
        await send(platform, paid(), event | {"data": {"order": "another"}})
    assert CANARY not in refused.value.message
    assert await count(platform, EVENTS) == 1


async def test_teams_use_the_same_names_independently(platform: Platform) -> None:
    await publish(platform, central("pay", ANY_PAID))
    run = await start(platform, "sales/pay")
    event = paid()
    lead = Actor.of("finance-lead")
    [foreign] = await send(platform, event | {"data": "something else"}, actor=lead)
    assert await reached(platform, foreign.id) == []
    [own] = await send(platform, event)
    assert not own.duplicate
    assert await reached(platform, own.id) == [run.id]


async def test_one_event_that_is_sent_twice_at_the_same_time(platform: Platform) -> None:
    await publish(platform, central("pay", ANY_PAID))
    run = await start(platform, "sales/pay")
    event = paid()
    sent = await asyncio.gather(*(send(platform, event) for _ in range(8)))
    assert sorted(each.duplicate for [each] in sent) == [False] + [True] * 7
    assert len({each.id for [each] in sent}) == 1
    assert await count(platform, INBOX) == 1
    async with engine(platform):
        await until(platform, run.id, "COMPLETED")
    assert await consumed(platform, run.id) == 1


async def test_a_sender_reaches_runs_of_its_teams_only(platform: Platform) -> None:
    await publish(platform, central("pay", ANY_PAID))
    await publish(
        platform, central("pay", ANY_PAID, namespace="finance"), author="finance-developer"
    )
    async with platform.work(Actor.of("finance-developer")) as work:
        finance = await actions.start_run(work, flow="finance/pay", input={"customer": "x"})
    sales = await start(platform, "sales/pay")
    [sent] = await send(platform, paid())
    assert await reached(platform, sent.id) == [sales.id]
    [sent] = await send(platform, paid(), actor=Actor.of("finance-developer"))
    assert await reached(platform, sent.id) == [finance.id]
    narrow = Actor.of("service:web-shop", scopes=frozenset({"run:read"}))
    for nobody in (OUTSIDER, AUDITOR, narrow):
        with pytest.raises(Forbidden) as refused:
            await send(platform, paid(), actor=nobody)
        assert refused.value.extensions["permission"] == "event:send"
    denied = (AUDIT.c.action == "runs:event:send", AUDIT.c.outcome == "DENIED")
    assert await count(platform, AUDIT, *denied) == 3
    assert await count(platform, EVENTS) == 2


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


async def test_the_event_is_stored_once_and_sealed(platform: Platform) -> None:
    await publish(platform, central("pay", ANY_PAID))
    await start(platform, "sales/pay")
    await send(platform, paid(subject=CANARY))
    async with platform.database.session() as session:
        for table in (EVENTS, INBOX, DELIVERIES, SUBSCRIPTIONS, OUTBOX, AUDIT):
            for row in await session.execute(select(table)):
                assert CANARY not in repr(tuple(row))
        assert (await session.execute(select(INBOX.c.payload_sealed))).scalar() is None


# ---------------------------------------------------------------- crashes and races


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
                await asking.session.execute(select(func.now()))  # its transaction has begun
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
        return LeafFailed({"type": "about:blank", "status": 500}) if calls == 1 else LeafDone({})

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


# ---------------------------------------------------------------- emit

EMIT = """  - tell:
      emit:
        event:
          with:
            type: com.example.paid
            data: {order: "${ .customer }"}
"""


async def test_an_emitted_event_reaches_other_runs_and_its_own(platform: Platform) -> None:
    await publish(platform, central("pay", PAID))
    await publish(platform, central("teller", EMIT + ANY_PAID))
    async with engine(platform):
        waits = await waiting(platform)
        teller = await start(platform, "sales/teller")
        await until(platform, waits.id, "COMPLETED")
        await until(platform, teller.id, "COMPLETED")
    async with platform.database.session() as session:
        event = (await session.execute(select(EVENTS))).one()
        told = (
            await session.execute(select(AUDIT).where(AUDIT.c.action == "runs:event:send"))
        ).one()
    assert event.sent_by == f"run:{teller.id}"
    assert event.requester == "sales-owner"
    assert event.correlation_id == teller.correlation_id
    assert (told.actor, told.resource, told.outcome) == (
        f"run:{teller.id}",
        f"event:{event.id}",
        "ALLOWED",
    )
    assert await reached(platform, event.id) == sorted([waits.id, teller.id])
    assert await consumed(platform, waits.id) == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_crash_around_the_commit_emits_once(platform: Platform, *, after: bool) -> None:
    """The event and its fact share a transaction, so a repeated turn emits once."""
    await publish(platform, central("teller", EMIT))
    await publish(platform, central("pay", ANY_PAID))
    waits = await start(platform, "sales/pay")
    run = await start(platform, "sales/teller")
    async with runtime(platform, Leaves()) as running:
        append = running.journal.append
        failed = 0

        async def failing(batch: Append) -> None:
            nonlocal failed
            failed += 1
            if failed > 1 or after:
                await append(batch)
            if failed == 1:
                raise Unavailable

        running.journal.append = failing  # type: ignore[method-assign]
        with pytest.raises(Unavailable):
            await advance(running, run.id)
        assert await count(platform, EVENTS) == int(after)
        async with platform.database.session() as session:
            await session.execute(
                update(RUNS).where(RUNS.c.id == run.id).values(holder=None, lease_until=None)
            )
            await session.commit()
        await advance(running, run.id)
    assert (await read_run(platform, run.id)).state == "COMPLETED"
    assert await count(platform, EVENTS) == 1
    assert await count(platform, INBOX, INBOX.c.run_id == waits.id) == 1


async def test_an_emitted_id_that_was_used_before_is_not_sent_again(platform: Platform) -> None:
    fixed = EMIT.replace("type:", "id: always\n            source: /sales\n            type:")
    await publish(platform, central("teller", fixed))
    await publish(platform, central("pay", ANY_PAID + ANY_PAID.replace("paid:", "again:", 1)))
    async with engine(platform):
        run = await waiting(platform)
        for _ in range(2):
            teller = await start(platform, "sales/teller")
            await until(platform, teller.id, "COMPLETED")
        await asyncio.sleep(0.2)
        assert await consumed(platform, run.id) == 1
    failed = (AUDIT.c.action == "runs:event:send", AUDIT.c.outcome == "FAILED")
    assert await count(platform, AUDIT, *failed) == 1


async def test_one_name_reaches_a_run_once_from_whichever_team(platform: Platform) -> None:
    fixed = EMIT.replace(
        "type:", "id: always\n            source: https://x.example\n            type:"
    )
    await publish(platform, central("teller", fixed))
    await publish(
        platform, central("teller", fixed, namespace="finance"), author="finance-developer"
    )
    await publish(platform, central("pay", ANY_PAID + ANY_PAID.replace("paid:", "again:", 1)))
    async with engine(platform):
        run = await waiting(platform)
        own = await start(platform, "sales/teller")
        await until(platform, own.id, "COMPLETED")
        async with platform.work(Actor.of("finance-developer")) as work:
            other = await actions.start_run(work, flow="finance/teller", input={"customer": "x"})
        await until(platform, other.id, "COMPLETED")
        await asyncio.sleep(0.3)
        assert await consumed(platform, run.id) == 1
    assert await count(platform, EVENTS) == 2
    assert await count(platform, DELIVERIES) == 1


async def test_dispatch_empties_the_outbox_of_events(platform: Platform) -> None:
    await send(platform, paid())
    async with engine(platform) as inline:
        await dispatch_once(platform, inline)
        async with asyncio.timeout(10):
            while await count(platform, OUTBOX):
                await asyncio.sleep(0.05)


async def test_expired_events_are_deleted(platform: Platform) -> None:
    await publish(platform, central("pay", ANY_PAID))
    event = paid()
    [old] = await send(platform, event)
    waits = await start(platform, "sales/pay")
    [named] = await send(platform, paid())
    assert await reached(platform, named.id) == [waits.id]
    days = platform.settings.event_days
    async with platform.database.session() as session:
        assert await delete_expired_events(session, utcnow() + timedelta(days=days - 1)) == 0
        assert await delete_expired_events(session, utcnow() + timedelta(days=days + 1)) == 1
        left = list((await session.execute(select(EVENTS.c.id))).scalars())
        await session.commit()
    assert left == [named.id]
    [again_sent] = await send(platform, event)
    assert not again_sent.duplicate
    assert again_sent.id != old.id
