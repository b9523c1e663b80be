"""Events of a web shop, and runs that wait for them."""

from __future__ import annotations

from itertools import count as counting
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from coe.access.actor import Actor
from coe.events.bus import SentEvent, deliveries, send_events
from coe.json_types import JSON
from coe.machine.facts import FactKind
from coe.runs.records import RunRecord
from coe.runs.tables import JOURNAL
from coe.work import Platform
from tests.factories.runs import (
    CANARY,
    start,
    until,
)

_NUMBERS = counting(1)
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
        "id": f"event-{next(_NUMBERS)}",
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
    """The runs that have the event, whatever they made of it."""
    async with platform.database.session() as session:
        return [each.run_id for each in (await deliveries(session, [event_id]))[event_id]]


async def made_of(platform: Platform, event_id: UUID) -> list[tuple[str, str | None]]:
    """What the runs that have the event made of it, and the pointer that failed."""
    async with platform.database.session() as session:
        found = (await deliveries(session, [event_id]))[event_id]
    return [(each.state.value, each.pointer) for each in found]


async def count(platform: Platform, table: Any, *where: Any) -> int:
    async with platform.database.session() as session:
        return await session.scalar(select(func.count()).select_from(table).where(*where)) or 0


async def consumed(platform: Platform, run_id: UUID) -> int:
    kind = JOURNAL.c.kind == FactKind.EVENT_CONSUMED.value
    return await count(platform, JOURNAL, JOURNAL.c.run_id == run_id, kind)


async def waiting(platform: Platform, flow: str = "sales/pay") -> RunRecord:
    run = await start(platform, flow)
    return await until(platform, run.id, "WAITING")
