"""Which runs want which events: a few indexed rows a run, from its request to its end.

A run may want an event before it listens for it: what arrives between its start and the arming of
a `listen` is kept for it (by its machine). So the rows are written in the transaction in which the
run is asked for, and an event finds its runs by one indexed query.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from coe.catalog.models import FlowKind
from coe.catalog.records import RunnableFlow
from coe.language.load import load
from coe.machine.event_filters import event_types
from coe.runs.tables import SUBSCRIPTIONS

ANY: Final = ""
"""The type of a subscription that takes events of any type."""

_MOST_KNOWN: Final = 1000
_known: OrderedDict[UUID, tuple[str, ...]] = OrderedDict()


def wanted_types(flow: RunnableFlow) -> tuple[str, ...]:
    """The types of the events that a run of this version may ever want; `ANY` for whatever comes.

    A version never changes, so each is read once a process.
    """
    version = flow.version
    if version.flow_kind is FlowKind.LOCAL or "listen" not in flow.definition:
        return ()
    types = _known.get(version.id)
    if types is None:
        definition = load(flow.definition).definition
        found = None if definition is None else event_types(definition)
        types = _known[version.id] = (ANY,) if found is None else tuple(sorted(found))
        if len(_known) > _MOST_KNOWN:
            _known.popitem(last=False)
    return types


async def subscribe(session: AsyncSession, run: dict[str, Any], types: tuple[str, ...]) -> None:
    """Note, in the transaction that asks for a run (its row), which types it may want.

    Since when is told by the database's clock, as for events: whoever was told of the run and then
    sends an event, to whatever process, reaches it. It is when the transaction began, and an event
    is received when its row is written; so what is received meanwhile is brought.
    """
    rows = [
        {
            "run_id": run["id"],
            "type": each,
            "team": run["team"],
            "data_class": run["data_class"],
            "active": True,
            "caught_up": False,
        }
        for each in types
    ]
    if rows:
        await session.execute(insert(SUBSCRIPTIONS).values(since=func.now()), rows)


async def unsubscribe(session: AsyncSession, run_id: UUID, *, for_good: bool) -> None:
    """A run has ended. One that faulted may be retried: it wants nothing until then."""
    mine = SUBSCRIPTIONS.c.run_id == run_id
    if for_good:
        await session.execute(delete(SUBSCRIPTIONS).where(mine))
    else:
        await session.execute(update(SUBSCRIPTIONS).where(mine).values(active=False))


async def subscribe_again(session: AsyncSession, run_id: UUID) -> None:
    """A faulted run is retried: it wants events again, and those that came meanwhile."""
    await session.execute(
        update(SUBSCRIPTIONS)
        .where(SUBSCRIPTIONS.c.run_id == run_id)
        .values(active=True, caught_up=False),
    )
