"""The `emit` task: an event is sent once, with the commit of its turn."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select, update

from coe.access.actor import Actor
from coe.errors import Unavailable
from coe.execution.advance import advance
from coe.runs import actions
from coe.runs.journal import Append
from coe.runs.tables import DELIVERIES, EVENTS, INBOX, RUNS
from coe.work import Platform
from tests.factories.audit import AUDIT
from tests.factories.events import (
    ANY_PAID,
    PAID,
    consumed,
    count,
    reached,
    waiting,
)
from tests.factories.runs import (
    Leaves,
    central,
    engine,
    publish,
    read_run,
    runtime,
    start,
    until,
)

EMIT = """  - announce:
      emit:
        event:
          with:
            type: com.example.paid
            data: {order: "${ .customer }"}
"""


async def test_an_emitted_event_reaches_other_runs_and_its_own(platform: Platform) -> None:
    await publish(platform, central("pay", PAID))
    await publish(platform, central("emitter", EMIT + ANY_PAID))
    async with engine(platform):
        waits = await waiting(platform)
        emitter = await start(platform, "sales/emitter")
        await until(platform, waits.id, "COMPLETED")
        await until(platform, emitter.id, "COMPLETED")
    async with platform.database.session() as session:
        event = (await session.execute(select(EVENTS))).one()
        audit_event = (
            await session.execute(select(AUDIT).where(AUDIT.c.action == "runs:event:send"))
        ).one()
    assert event.sent_by == f"run:{emitter.id}"
    assert event.requester == "sales-owner"
    assert event.correlation_id == emitter.correlation_id
    assert (audit_event.actor, audit_event.resource, audit_event.outcome) == (
        f"run:{emitter.id}",
        f"event:{event.id}",
        "ALLOWED",
    )
    assert await reached(platform, event.id) == sorted([waits.id, emitter.id])
    assert await consumed(platform, waits.id) == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_crash_around_the_commit_emits_once(platform: Platform, *, after: bool) -> None:
    """The event and its fact share a transaction, so a repeated turn emits once."""
    await publish(platform, central("emitter", EMIT))
    await publish(platform, central("pay", ANY_PAID))
    waits = await start(platform, "sales/pay")
    run = await start(platform, "sales/emitter")
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
    await publish(platform, central("emitter", fixed))
    await publish(platform, central("pay", ANY_PAID + ANY_PAID.replace("paid:", "again:", 1)))
    async with engine(platform):
        run = await waiting(platform)
        for _ in range(2):
            emitter = await start(platform, "sales/emitter")
            await until(platform, emitter.id, "COMPLETED")
        await asyncio.sleep(0.2)
        assert await consumed(platform, run.id) == 1
    failed = (AUDIT.c.action == "runs:event:send", AUDIT.c.outcome == "FAILED")
    assert await count(platform, AUDIT, *failed) == 1


async def test_one_name_reaches_a_run_once_from_whichever_team(platform: Platform) -> None:
    fixed = EMIT.replace(
        "type:", "id: always\n            source: https://x.example\n            type:"
    )
    await publish(platform, central("emitter", fixed))
    await publish(
        platform, central("emitter", fixed, namespace="finance"), author="finance-developer"
    )
    await publish(platform, central("pay", ANY_PAID + ANY_PAID.replace("paid:", "again:", 1)))
    async with engine(platform):
        run = await waiting(platform)
        own = await start(platform, "sales/emitter")
        await until(platform, own.id, "COMPLETED")
        async with platform.work(Actor.of("finance-developer")) as work:
            other = await actions.start_run(work, flow="finance/emitter", input={"customer": "x"})
        await until(platform, other.id, "COMPLETED")
        await asyncio.sleep(0.3)
        assert await consumed(platform, run.id) == 1
    assert await count(platform, EVENTS) == 2
    assert await count(platform, DELIVERIES) == 1
