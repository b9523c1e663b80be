"""The journal: facts are appended by the holder of a run only, in groups, one commit a group.

Every append names the fence that its holder was given and the position at which it writes. The
row of the run is updated first, under both conditions; whoever has lost the lease, or writes
twice, matches no row, and nothing of the append is kept. Facts, the projection of steps, the moved
inbox rows and the other changes of one append stand in one transaction.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import TextClause, case, delete, extract, insert, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from coe.db import Database
from coe.errors import Unavailable
from coe.runs.commands import StepState
from coe.runs.tables import INBOX, JOURNAL, STEPS

Change = Callable[[AsyncSession], Awaitable[None]]
Row = dict[str, Any]
Hold = tuple[UUID, int]

MAX_GROUP: Final = 64


class LeaseLostError(Exception):
    """Another holder has the run; what was to be appended is not."""


@dataclass(slots=True)
class Append:
    """What the holder of one run writes at once: all of it or nothing.

    `position` is where the first of `entries` (rows of `journal_entries`) goes. `consumed` are
    the ids of inbox rows that the entries hold. `steps` are rows of `run_steps`, put in or
    brought up to date by their key. `changes` are done last, in order.
    """

    run_id: UUID
    fence: int
    position: int
    entries: list[Row] = field(default_factory=list, repr=False)
    consumed: list[UUID] = field(default_factory=list)
    steps: list[Row] = field(default_factory=list, repr=False)
    changes: list[Change] = field(default_factory=list)


class Journal:
    """The one writer of a process: it drains a queue, commits once, and wakes who waited."""

    def __init__(self, database: Database) -> None:
        """Take the database; the writer starts with the first append."""
        self._database = database
        self._queue: deque[tuple[Append, asyncio.Future[None]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def append(self, batch: Append) -> None:
        """Write the batch; it is committed when this returns.

        Raises:
            LeaseLostError: The fence or the position is no longer the run's; nothing is written.
            Unavailable: The database failed; whether it was written shows when the journal is
                read again.
        """
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((batch, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._drain(), name="coe-journal")
        await written

    async def close(self) -> None:
        """Write what is queued, then stop."""
        if self._writer is not None:
            await self._writer

    async def _drain(self) -> None:
        while self._queue:
            size = min(len(self._queue), MAX_GROUP)
            group = [self._queue.popleft() for _ in range(size)]
            wanted = [(batch, written) for batch, written in group if not written.done()]
            if wanted:
                await self._settle(wanted)

    async def _settle(self, group: list[tuple[Append, asyncio.Future[None]]]) -> None:
        try:
            kept = await self._commit([batch for batch, _ in group])
        except Exception as error:  # noqa: BLE001  # every waiter gets it, the writer goes on
            await self._settle_failed(group, error)
            return
        for batch, written in group:
            if written.done():
                continue
            if (batch.run_id, batch.fence) in kept:
                written.set_result(None)
            else:
                written.set_exception(LeaseLostError(f"run {batch.run_id}"))

    async def _settle_failed(
        self,
        group: list[tuple[Append, asyncio.Future[None]]],
        error: Exception,
    ) -> None:
        if len(group) > 1:  # one of them may be at fault: the others shall not suffer for it
            for member in group:
                await self._settle([member])
            return
        _, written = group[0]
        if not written.done():
            failed = isinstance(error, SQLAlchemyError | OSError)
            written.set_exception(
                Unavailable("the journal could not be written") if failed else error
            )

    async def _commit(self, group: Sequence[Append]) -> set[Hold]:
        async with self._database.session() as session:
            kept = await _move_forward(session, group)
            await _write([batch for batch in group if (batch.run_id, batch.fence) in kept], session)
            await session.commit()
        return kept


_MOVE_FORWARD: Final[TextClause] = text(
    """
    UPDATE runs SET journal_length = runs.journal_length + moved.count
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:fences AS bigint[]),
        CAST(:positions AS bigint[]), CAST(:counts AS bigint[])
    ) AS moved (id, fence, position, count)
    WHERE runs.id = moved.id AND runs.fence = moved.fence
      AND runs.journal_length = moved.position AND runs.holder IS NOT NULL
    RETURNING runs.id, runs.fence
    """,
)

_new = upsert(STEPS).excluded
_SAVE_STEP: Final = upsert(STEPS).on_conflict_do_update(
    index_elements=[STEPS.c.run_id, STEPS.c.key],
    set_={
        "state": _new.state,
        "attempt": _new.attempt,
        "iteration": _new.iteration,
        "ended_at": _new.ended_at,
        "error_type": _new.error_type,
        "error_status": _new.error_status,
        "error_instance": _new.error_instance,
        "error_sealed": _new.error_sealed,
        "fence": _new.fence,
        "changed_at": case(
            (STEPS.c.state == _new.state, STEPS.c.changed_at), else_=_new.changed_at
        ),
        "waited_seconds": STEPS.c.waited_seconds
        + case(
            (
                (STEPS.c.state == StepState.WAITING) & (_new.state != StepState.WAITING),
                extract("epoch", _new.changed_at - STEPS.c.changed_at),
            ),
            else_=0,
        ),
    },
)


async def _move_forward(session: AsyncSession, group: Sequence[Append]) -> set[Hold]:
    moved = await session.execute(
        _MOVE_FORWARD,
        {
            "ids": [batch.run_id for batch in group],
            "fences": [batch.fence for batch in group],
            "positions": [batch.position for batch in group],
            "counts": [len(batch.entries) for batch in group],
        },
    )
    return {(row.id, row.fence) for row in moved}


async def _write(group: Sequence[Append], session: AsyncSession) -> None:
    entries = [row for batch in group for row in batch.entries]
    if entries:
        await session.execute(insert(JOURNAL), entries)
    consumed = [row for batch in group for row in batch.consumed]
    if consumed:
        await session.execute(delete(INBOX).where(INBOX.c.id.in_(consumed)))
    steps = [row for batch in group for row in batch.steps]
    if steps:
        await session.execute(_SAVE_STEP, steps)
    for batch in group:
        for change in batch.changes:
            await change(session)


async def save_steps(session: AsyncSession, rows: Sequence[Row]) -> None:
    """Put in or bring up to date steps of a local run, in the caller's transaction."""
    await session.execute(_SAVE_STEP, list(rows))
