"""The journal: the holder of a run appends facts, in groups of runs, with one commit a group.

Every append names the fence of its holder and the position at which it writes. The row of the run
is updated first, under both conditions: a holder that lost the lease, or writes twice, matches no
row, and nothing of the append is kept. The facts, the projected steps, the consumed inbox rows and
the other changes of one append are one transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import astuple, dataclass, field
from functools import reduce
from operator import or_
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from coe.db import Database
from coe.errors import Unavailable
from coe.runs import journal_sql
from coe.runs.journal_sql import NOTHING_MORE, Part, Row
from coe.runs.tables import STEPS
from coe.telemetry import metrics

Change = Callable[[AsyncSession], Awaitable[None]]

MAX_GROUP: Final = 64
WRITERS: Final = 2


class LeaseLostError(Exception):
    """Another holder has the run; nothing was appended."""


@dataclass(frozen=True, slots=True)
class Taking:
    """That an append takes its run, which has no journal and no holder: for whom, for how long."""

    holder: str
    seconds: float


@dataclass(frozen=True, slots=True)
class End:
    """The plain end of a run (`coe.runs.journal_sql`): columns of its row, and of the event."""

    columns: Row = field(repr=False)
    event: Row


@dataclass(slots=True)
class Append:
    """What the holder of one run writes at once: all of it or nothing.

    The first of `entries` (rows of `journal_entries`) goes to `position`. `consumed` are the ids of
    the inbox rows whose facts are in the entries. `steps` are rows of `run_steps`, inserted or
    updated by their key; `projected` is the position up to which the steps are then written, or
    None for an append without steps. `end` completes the run; `changes` are made last, in order.
    With `taking`, the first append of a run takes the run: `fence` is then the new fence.
    """

    run_id: UUID
    fence: int
    position: int
    entries: list[Row] = field(default_factory=list, repr=False)
    consumed: list[UUID] = field(default_factory=list)
    steps: list[Row] = field(default_factory=list, repr=False)
    projected: int | None = None
    end: End | None = None
    changes: list[Change] = field(default_factory=list)
    taking: Taking | None = None

    @property
    def parts(self) -> Part:
        """What the append has besides facts."""
        found = NOTHING_MORE
        if self.taking is not None:
            found |= Part.TAKES
        if self.projected is not None:
            found |= Part.PROJECTS
        if self.consumed:
            found |= Part.CONSUMES
        if self.end is not None:
            found |= Part.ENDS
        return found


class Journal:
    """The writers of a process: they drain a queue, commit once a group, and wake the callers.

    Two writers alternate, so that one prepares a group while the other commits one. Appends with
    further changes have their own queue and writers, for they take several statements.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._direct = database.direct(size=WRITERS)
        self._plain = _Queue(self._write_plain)
        self._other = _Queue(self._write_other)

    async def append(self, batch: Append) -> None:
        """Write the batch; it is committed when this returns.

        Raises:
            LeaseLostError: The fence or the position is no longer the run's; nothing is written.
            Unavailable: The database failed; whether it was written shows when the journal is
                read again.
        """
        await (self._other if batch.changes else self._plain).put(batch)

    async def close(self) -> None:
        """Write what is queued, then stop."""
        await self._plain.close()
        await self._other.close()
        await self._direct.close()

    async def _write_plain(self, group: Appends) -> set[int]:
        statement, arguments = _written(group)
        rows = await self._direct.fetch(statement, *arguments)
        return {row["batch"] for row in rows}

    async def _write_other(self, group: Appends) -> set[int]:
        async with self._database.session() as session:
            connection = await session.connection()
            statement, arguments = _written(group)
            rows = await connection.exec_driver_sql(statement, tuple(arguments))
            kept = set(rows.scalars())
            for number, batch in enumerate(group, 1):
                if number in kept:
                    for change in batch.changes:
                        await change(session)
            await session.commit()
        return kept


Appends = Sequence[Append]
Write = Callable[[Appends], Awaitable[set[int]]]
"""Write a group in one transaction; returns the numbers, from 1, of the appends that were kept."""


class _Queue:
    """Appends that wait, and the writers that take them."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._waiting: deque[tuple[Append, asyncio.Future[None]]] = deque()
        self._writers: set[asyncio.Task[None]] = set()

    async def put(self, batch: Append) -> None:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((batch, written))
        if len(self._writers) < WRITERS:
            writer = asyncio.create_task(self._drain(), name="coe-journal")
            self._writers.add(writer)
        await written

    async def close(self) -> None:
        """Wait until all is written."""
        while self._writers:
            await asyncio.wait(self._writers)

    async def _drain(self) -> None:
        while self._waiting:
            size = min(len(self._waiting), MAX_GROUP)
            group = [self._waiting.popleft() for _ in range(size)]
            wanted = [(batch, written) for batch, written in group if not written.done()]
            if wanted:
                await self._settle(wanted)
        # At once, not when the task is done: an append that comes in between would have no writer.
        self._writers.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _settle(self, group: list[tuple[Append, asyncio.Future[None]]]) -> None:
        began = time.monotonic()
        try:
            kept = await self._write([batch for batch, _ in group])
        except Exception as error:  # noqa: BLE001  # every caller gets it, the writer goes on
            await self._settle_failed(group, error)
            return
        metrics.COMMIT_SECONDS.observe(time.monotonic() - began)
        metrics.GROUP_SIZE.observe(len(group))
        for number, (batch, written) in enumerate(group, 1):
            if number in kept:
                for fact in batch.entries:
                    metrics.FACTS.labels(fact["kind"]).inc()
            if written.done():
                continue
            if number in kept:
                written.set_result(None)
            else:
                written.set_exception(LeaseLostError(f"run {batch.run_id}"))

    async def _settle_failed(
        self,
        group: list[tuple[Append, asyncio.Future[None]]],
        error: Exception,
    ) -> None:
        if len(group) > 1:  # one of them may be at fault: write each by itself
            for member in group:
                await self._settle([member])
            return
        _, written = group[0]
        if not written.done():
            failed = isinstance(error, SQLAlchemyError | OSError)
            written.set_exception(
                Unavailable("the journal could not be written") if failed else error
            )


def _written(group: Appends) -> tuple[str, list[list[Any]]]:
    """The statement that writes a group, and its arguments."""
    parts = reduce(or_, (each.parts for each in group))
    numbered = list(enumerate(group, 1))
    rows = journal_sql.Group(
        [(each.run_id, each.fence, each.position, len(each.entries)) for each in group],
        [(number, row) for number, each in numbered for row in each.entries],
    )
    if parts:
        rows.takings = [astuple(each.taking) if each.taking else None for each in group]
        rows.projected = [each.projected for each in group]
        rows.steps = [(number, row) for number, each in numbered for row in each.steps]
        rows.consumed = [(number, row) for number, each in numbered for row in each.consumed]
        rows.ends = [each.end.columns if each.end else None for each in group]
        rows.events = [(number, each.end.event) for number, each in numbered if each.end]
    return journal_sql.statement(parts), rows.arguments(parts)


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
        "error_title": _new.error_title,
        "error_sealed": _new.error_sealed,
        "unmatched": _new.unmatched,
        "unmatched_at": _new.unmatched_at,
        "fence": _new.fence,
        "changed_at": _new.changed_at,
        "phase": _new.phase,
        "waited_seconds": _new.waited_seconds,
        "held_seconds": _new.held_seconds,
        "waits": _new.waits,
    },
)


async def save_steps(session: AsyncSession, rows: Sequence[Row]) -> None:
    """Insert or update steps of a local run, in the caller's transaction."""
    await session.execute(_SAVE_STEP, list(rows))
