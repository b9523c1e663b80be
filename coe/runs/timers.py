"""The timers of runs, and the queue of the machine's timers of an active run.

While a run is held, its timers are in its holder's memory: the holder fires them itself, and after
its death the next holder finds them in the journal. Rows in the database are for runs that nobody
holds; so they are written when the run parks, and a timeout that never expires costs nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import datetime
from itertools import count
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from coe.db import new_id
from coe.machine.commands import ArmTimer, PendingCommand
from coe.runs.models import TimerKind
from coe.runs.tables import TIMERS


class TimerQueue:
    """The timers of a run by the time that they are due, and which of them may have a row."""

    def __init__(self) -> None:
        self._due: dict[str, datetime] = {}
        self._order: list[tuple[datetime, int, str]] = []
        self._numbers = count()
        self._stored: set[str] = set()
        """Those that may have a row, which is deleted with them."""

    def inherit(self, pending: Iterable[PendingCommand]) -> None:
        """Take over the timers of an earlier holder, who may have stored them on parking."""
        for command in pending:
            if isinstance(command, ArmTimer):
                self._stored.add(command.key)
                if command.due is not None:
                    self.arm(command.key, command.due)

    def arm(self, key: str, due: datetime) -> bool:
        """Set or move a timer; returns whether a row may have it at another time."""
        self._due[key] = due
        heapq.heappush(self._order, (due, next(self._numbers), key))
        return key in self._stored

    def drop(self, key: str) -> bool:
        """Forget a timer that fired or was cancelled; returns whether it may have a row."""
        self._due.pop(key, None)
        stored = key in self._stored
        self._stored.discard(key)
        return stored

    def take_due(self, now: datetime) -> list[str]:
        """The timers that are due, in the order of their times; each is returned once.

        Those of one time are in the order in which they were set: a timeout comes before a retry
        that was chosen after it.
        """
        found = []
        while (due := self.next_due()) is not None and due <= now:
            found.append(heapq.heappop(self._order)[2])
        return found

    def next_due(self) -> datetime | None:
        """When the next timer is due."""
        while self._order:
            due, _, key = self._order[0]
            if self._due.get(key) == due:
                return due
            heapq.heappop(self._order)
        return None

    async def store(self, session: AsyncSession, run_id: UUID) -> None:
        """Write all timers, in the transaction that parks the run.

        An earlier holder may have died before it wrote its own.
        """
        if self._due:
            rows = [timer_row(run_id, TimerKind.MACHINE, *each) for each in self._due.items()]
            await store_timers(session, rows)


def timer_row(run_id: UUID, kind: TimerKind, key: str, due: datetime) -> dict[str, Any]:
    """The row of a timer."""
    return {"id": new_id(), "run_id": run_id, "kind": kind, "key": key, "due_at": due}


async def store_timers(session: AsyncSession, rows: list[dict[str, Any]]) -> None:
    """Insert timers; update the time of one that is there already."""
    await session.execute(_or_move(insert(TIMERS)), rows)


async def store_timer(
    session: AsyncSession, run_id: UUID, kind: TimerKind, key: str, due: ColumnElement[datetime]
) -> None:
    """The same for one timer, whose time the database computes."""
    row = {"id": new_id(), "run_id": run_id, "kind": kind, "key": key, "due_at": due}
    await session.execute(_or_move(insert(TIMERS).values(row)))


def _or_move(statement: Insert) -> Insert:
    return statement.on_conflict_do_update(
        index_elements=[TIMERS.c.run_id, TIMERS.c.kind, TIMERS.c.key],
        set_={"due_at": statement.excluded.due_at},
    )


async def delete_timers(session: AsyncSession, run_id: UUID, key: str, *kinds: TimerKind) -> None:
    """Delete the timers of a key that are of these kinds, if there are any."""
    await session.execute(
        delete(TIMERS).where(
            TIMERS.c.run_id == run_id,
            TIMERS.c.kind.in_(kinds),
            TIMERS.c.key == key,
        ),
    )
