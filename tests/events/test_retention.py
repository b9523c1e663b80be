from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from coe.db import utcnow
from coe.events.retention import delete_expired_events
from coe.runs.tables import EVENTS
from coe.work import Platform
from tests.factories.events import (
    ANY_PAID,
    paid,
    reached,
    send,
)
from tests.factories.runs import (
    central,
    publish,
    start,
)


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
