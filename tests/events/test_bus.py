"""The event bus: an event is received once, stored sealed, and reaches the runs it may reach."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from coe.access.actor import Actor
from coe.errors import Conflict, Forbidden
from coe.outbox import OUTBOX
from coe.runs import actions
from coe.runs.tables import DELIVERIES, EVENTS, INBOX, SUBSCRIPTIONS
from coe.work import Platform
from tests.factories.audit import AUDIT
from tests.factories.events import (
    ANY_PAID,
    consumed,
    count,
    paid,
    reached,
    send,
    waiting,
)
from tests.factories.people import AUDITOR, OUTSIDER
from tests.factories.runs import (
    CANARY,
    central,
    engine,
    publish,
    start,
    until,
)


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


async def test_the_event_is_stored_once_and_sealed(platform: Platform) -> None:
    await publish(platform, central("pay", ANY_PAID))
    await start(platform, "sales/pay")
    await send(platform, paid(subject=CANARY))
    async with platform.database.session() as session:
        for table in (EVENTS, INBOX, DELIVERIES, SUBSCRIPTIONS, OUTBOX, AUDIT):
            for row in await session.execute(select(table)):
                assert CANARY not in repr(tuple(row))
        assert (await session.execute(select(INBOX.c.payload_sealed))).scalar() is None
