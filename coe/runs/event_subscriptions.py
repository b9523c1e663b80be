"""Which runs want which events: a few indexed rows a run, from its request to its end.

A run may want an event before it listens for it: its machine buffers what arrives between its
start and a `listen`. So the rows are written in the transaction that requests the run, and one
indexed query finds the runs of an event.
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

ANY_TYPE: Final = ""
"""The type of a subscription that takes events of any type."""

_MAX_KNOWN_VERSIONS: Final = 1000
_known: OrderedDict[UUID, tuple[str, ...]] = OrderedDict()


def wanted_types(flow: RunnableFlow) -> tuple[str, ...]:
    """The types of the events that a run of this version may want; `ANY_TYPE` for any type.

    A version never changes, so a process reads each once.
    """
    version = flow.version
    if version.flow_kind is FlowKind.LOCAL or "listen" not in flow.definition:
        return ()
    types = _known.get(version.id)
    if types is None:
        definition = load(flow.definition).definition
        found = None if definition is None else event_types(definition)
        types = _known[version.id] = (ANY_TYPE,) if found is None else tuple(sorted(found))
        if len(_known) > _MAX_KNOWN_VERSIONS:
            _known.popitem(last=False)
    return types


async def subscribe(session: AsyncSession, run: dict[str, Any], types: tuple[str, ...]) -> None:
    """Insert the subscriptions of a run (its row), in the transaction that requests it.

    `since` is the start of the transaction by the database's clock, and an event is received when
    its row is written, by the same clock. So whoever learns of the run and then sends an event, to
    any process, reaches it.
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
    """Delete the subscriptions of a run that ended; of one that faulted, make them inactive."""
    mine = SUBSCRIPTIONS.c.run_id == run_id
    if for_good:
        await session.execute(delete(SUBSCRIPTIONS).where(mine))
    else:
        await session.execute(update(SUBSCRIPTIONS).where(mine).values(active=False))


async def subscribe_again(session: AsyncSession, run_id: UUID) -> None:
    """Make the subscriptions of a retried run active again; it also gets the events missed."""
    await session.execute(
        update(SUBSCRIPTIONS)
        .where(SUBSCRIPTIONS.c.run_id == run_id)
        .values(active=True, caught_up=False),
    )
