"""The sealer: it gives events their positions, extends the tree, signs and publishes its root.

The transaction of an event leaves a row without a position. The sealer reads the rows below the
transaction horizon (no running transaction can still add one before them) in the order of
transaction and id. In one transaction it gives them the next positions, writes the tree nodes that
they complete, and stores the signed checkpoint. After the commit it appends the checkpoint to a
file outside the database.

An advisory lock, which ends with the transaction, lets one process seal at a time. A kill is safe
at any point:

- before the commit nothing is stored or published, and the rows are sealed the next time;
- between commit and append the file lacks checkpoints, and the next sealer appends them. The
  database comes first, so that the file never has a checkpoint of a tree that does not exist: if
  another tree replaced a signed one, the log would have forked;
- within the append the last line is incomplete, and the next append drops it.

Before it extends the tree, the sealer checks that the stored nodes have the root of the newest
checkpoint, and that the tree starts with the last one in the file. If not (a row of the tree was
changed, or the database was restored from an older backup), it signs nothing more until somebody
has run `coe audit verify`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.checkpoint import Checkpoint
from coe.audit.checkpoint_file import CheckpointFile, note_of
from coe.audit.merkle import Frontier, NodeId
from coe.audit.records import AUDIT_CHECKPOINTS, EVENT_COLUMNS, AuditEventRecord
from coe.audit.tree import TreeDamaged, frontier_at, root_at
from coe.crypto.signing import NoteRefused, SigningKey
from coe.db import Database, utcnow
from coe.errors import CoeError

LOCK: Final = 0x636F_6510
"""Advisory lock of the one process that seals."""

INTERVAL: Final = 0.25
"""Seconds between two polls, so that an event is sealed well within a second of its commit."""

_BATCH: Final = 2000
_LOG: Final = logging.getLogger(__name__)

_BELOW_HORIZON: Final = text(
    "position IS NULL AND (xid < pg_snapshot_xmin(pg_current_snapshot())"
    # Visible, yet of a future transaction: the rows were restored from a backup.
    " OR xid >= pg_snapshot_xmax(pg_current_snapshot()))"
)
_SET_POSITIONS: Final = text("""
    UPDATE audit_events AS event SET position = new.position, leaf_hash = new.leaf_hash
    FROM unnest(CAST(:ids AS uuid[]), CAST(:positions AS bigint[]), CAST(:leaves AS bytea[]))
      AS new(id, position, leaf_hash)
    WHERE event.id = new.id AND event.position IS NULL
""")
_ADD_NODES: Final = text("""
    INSERT INTO audit_nodes (level, "offset", hash)
    SELECT * FROM unnest(
      CAST(:levels AS smallint[]), CAST(:offsets AS bigint[]), CAST(:hashes AS bytea[]))
""")


class LogBroken(CoeError):
    """The audit log does not continue what was signed before: nothing is sealed; verify the log."""


class LogSealer:
    """Seals the events of one database with one key, and writes one checkpoint file.

    `problem` is why the last attempt failed; None if it did not. `batch` is the most events of one
    transaction.
    """

    def __init__(
        self,
        database: Database,
        signer: SigningKey,
        checkpoint_file: Path,
        *,
        clock: Callable[[], datetime] = utcnow,
        batch: int = _BATCH,
    ) -> None:
        self.problem: str | None = None
        self._database = database
        self._signer = signer
        self._file = CheckpointFile(checkpoint_file)
        self._clock = clock
        self._batch = batch
        self._wakeup = asyncio.Event()
        self._checked: Checkpoint | None = None
        self._published = 0

    def wake(self) -> None:
        """Seal now, as after a commit."""
        self._wakeup.set()

    async def run_forever(self) -> None:
        """Seal new events until cancelled; an error is logged, and the attempt repeated."""
        while True:
            self._wakeup.clear()
            try:
                while await self.seal_once() == self._batch:
                    pass
                self.problem = None
            except Exception as error:  # noqa: BLE001  # the top of a loop: logged and repeated
                if self.problem is None:
                    _LOG.exception("the audit log is not being sealed")
                self.problem = (
                    error.message if isinstance(error, CoeError) else type(error).__name__
                )
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wakeup.wait(), INTERVAL)

    async def seal_once(self) -> int:
        """Seal at most a batch, publish its checkpoint, and return the number of events.

        The number is 0 too while another process seals.

        Raises:
            LogBroken: The log does not continue what was signed before.
        """
        async with self._database.session() as session:
            locked = text("SELECT pg_try_advisory_xact_lock(:lock)")
            if not await session.scalar(locked, {"lock": LOCK}):
                return 0
            newest = await self._newest(session)
            rows = await self._unsealed(session)
            size = newest.tree_size if newest else 0
            if rows or self._published != size:
                await self._check_file(session, size)
            if rows:
                size = await self._seal(session, newest, rows)
                await session.commit()
        if self._published != size:
            await self._publish()
        return len(rows)

    async def _newest(self, session: AsyncSession) -> Checkpoint | None:
        statement = (
            AUDIT_CHECKPOINTS.select().order_by(AUDIT_CHECKPOINTS.c.tree_size.desc()).limit(1)
        )
        row = (await session.execute(statement)).one_or_none()
        return Checkpoint(row.tree_size, row.root_hash, row.at, row.note) if row else None

    async def _unsealed(self, session: AsyncSession) -> list[AuditEventRecord]:
        statement = select(*EVENT_COLUMNS).where(_BELOW_HORIZON).order_by(text("xid, id"))
        return [
            EVENT_COLUMNS.record(row) for row in await session.execute(statement.limit(self._batch))
        ]

    async def _check_file(self, session: AsyncSession, size: int) -> None:
        """Check that the tree starts with the last one in the file."""
        line = await asyncio.to_thread(self._file.last_line)
        if line is None:
            if self._published:
                raise LogBroken(f"{self._file.path} was emptied while this process ran")
            return
        last = self._opened(note_of(line))
        if last == self._checked:
            return
        if last.tree_size > size:
            message = (
                f"{self._file.path} has a checkpoint of {last.tree_size} events, and the database "
                f"of {size}: it was restored from an older backup, or events were removed"
            )
            raise LogBroken(message)
        if await self._root(session, last.tree_size) != last.root_hash:
            raise LogBroken(f"the tree does not start with the last one in {self._file.path}")
        self._checked = last

    def _opened(self, note: str | None) -> Checkpoint:
        try:
            return Checkpoint.open(note or "", self._signer.public)
        except NoteRefused as refused:
            message = f"a checkpoint was changed, or another key signed it: {refused.message}"
            raise LogBroken(message) from refused

    async def _root(self, session: AsyncSession, size: int) -> bytes | None:
        try:
            return await root_at(session, size)
        except TreeDamaged:
            return None

    async def _seal(
        self, session: AsyncSession, newest: Checkpoint | None, rows: list[AuditEventRecord]
    ) -> int:
        frontier = await self._continue(session, newest)
        first = frontier.size
        leaves = await asyncio.to_thread(_leaves, rows, first)
        nodes = [node for leaf in leaves for node in frontier.append(leaf)]
        await self._store(session, first, rows, leaves, nodes)
        checkpoint = Checkpoint.sign(self._signer, frontier.size, frontier.root(), self._clock())
        await session.execute(
            AUDIT_CHECKPOINTS.insert().values(
                tree_size=checkpoint.tree_size,
                root_hash=checkpoint.root_hash,
                at=checkpoint.at,
                note=checkpoint.note,
            )
        )
        return frontier.size

    async def _continue(self, session: AsyncSession, newest: Checkpoint | None) -> Frontier:
        """The tree of the newest checkpoint, compared with its root."""
        if newest is None:
            return Frontier()
        signed = self._opened(newest.note)
        try:
            frontier = await frontier_at(session, newest.tree_size)
        except TreeDamaged as damaged:
            raise LogBroken(damaged.message) from damaged
        if signed != newest or frontier.root() != signed.root_hash:
            raise LogBroken("the stored tree does not have the root of its newest checkpoint")
        return frontier

    async def _store(
        self,
        session: AsyncSession,
        first: int,
        rows: list[AuditEventRecord],
        leaves: list[bytes],
        nodes: list[tuple[NodeId, bytes]],
    ) -> None:
        await session.execute(text("SET LOCAL synchronous_commit = on"))
        await session.execute(
            _SET_POSITIONS,
            {
                "ids": [row.id for row in rows],
                "positions": list(range(first, first + len(rows))),
                "leaves": leaves,
            },
        )
        await session.execute(
            _ADD_NODES,
            {
                "levels": [node.level for node, _ in nodes],
                "offsets": [node.offset for node, _ in nodes],
                "hashes": [value for _, value in nodes],
            },
        )

    async def _publish(self) -> None:
        """Append to the file the checkpoints that it lacks."""
        line = await asyncio.to_thread(self._file.last_line)
        last = self._opened(note_of(line)).tree_size if line else 0
        statement = (
            AUDIT_CHECKPOINTS.select()
            .where(AUDIT_CHECKPOINTS.c.tree_size > last)
            .order_by(AUDIT_CHECKPOINTS.c.tree_size)
        )
        async with self._database.session() as session:
            async for rows in (await session.stream(statement)).partitions(500):
                await asyncio.to_thread(
                    self._file.append, [(row.tree_size, row.note) for row in rows]
                )
                last = rows[-1].tree_size
        self._published = last


def _leaves(rows: list[AuditEventRecord], first: int) -> list[bytes]:
    return [row.leaf_at(position) for position, row in enumerate(rows, first)]
