"""The sealer: it gives events their positions, extends the tree, signs and publishes its root.

The transaction of an event leaves a row without a position. The sealer reads the rows below the
horizon (`coe.audit.horizon`: no running transaction can still add one before them) in the order of
transaction and id, and refuses those that the platform did not write (`coe.audit.admission`). In
one transaction it gives the others the next positions, writes the tree nodes that they complete,
and stores the signed checkpoint. After the commit it appends the checkpoint to a file outside the
database.

One process seals at a time: the one with the lease (`coe.audit.lease`). A kill is safe at any
point, and no two checkpoints of one size are ever signed (`coe.audit.history`).

Before it extends the tree, the sealer checks that the stored nodes have the root of the newest
checkpoint, and that the database continues what was signed. If not (a row of the tree was changed,
or the database was restored from an older backup), it signs nothing more until somebody has run
`coe audit verify`. Where sealed events are lost, it goes on once two people have accepted that
(`coe.audit.losses`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.admission import Admission, Waiting
from coe.audit.checkpoint import AcceptedLoss, Checkpoint
from coe.audit.history import LogBroken, LossFound, SignedHistory
from coe.audit.horizon import horizon
from coe.audit.lease import SealerLease
from coe.audit.losses import accepted_losses, note_loss
from coe.audit.merkle import Frontier, NodeId
from coe.audit.records import (
    AUDIT_CHECKPOINTS,
    AUDIT_EVENTS,
    EVENT_COLUMNS,
    UNTRUSTED_COLUMNS,
    AuditEventRecord,
)
from coe.audit.signed_file import Signed
from coe.audit.sinks.keeper import SinkKeeper, SinkRefused
from coe.audit.threads import in_thread
from coe.audit.tree import TreeDamaged, frontier_at
from coe.crypto.signing import SigningKey
from coe.db import Database, utcnow
from coe.errors import CoeError
from coe.telemetry import metrics
from coe.telemetry.sinks import CHECKPOINT_FILE, writing_to

INTERVAL: Final = 0.25
"""Seconds between two polls, so that an event is sealed well within a second of its commit."""

_BATCH: Final = 2000
_NAMED: Final = 20
"""The most refused rows that a log record names."""
_LOG: Final = logging.getLogger(__name__)

# Nobody who locks a row or lets this transaction wait stops the log without an error.
_LIMITS: Final = text("""
    SELECT set_config('lock_timeout', '5s', true),
           set_config('idle_in_transaction_session_timeout', '30s', true)
""")
_WAITING: Final = "position IS NULL AND refused IS NULL"
_BELOW_HORIZON: Final = text(
    f"{_WAITING} AND (xid < CAST(CAST(:horizon AS text) AS xid8)"
    # Visible, yet of a future transaction: the rows were restored from a backup.
    " OR xid >= pg_snapshot_xmax(pg_current_snapshot()))"
)
_WAITS: Final = text(f"SELECT EXISTS (SELECT 1 FROM audit_events WHERE {_WAITING})")  # noqa: S608  # made of constants
_WAITS_BELOW: Final = text(
    f"SELECT EXISTS (SELECT 1 FROM audit_events WHERE {_BELOW_HORIZON.text})"  # noqa: S608  # the same
)
_SET_POSITIONS: Final = text("""
    UPDATE audit_events AS event SET position = new.position, leaf_hash = new.leaf_hash
    FROM unnest(CAST(:ids AS uuid[]), CAST(:positions AS bigint[]), CAST(:leaves AS bytea[]))
      AS new(id, position, leaf_hash)
    WHERE event.id = new.id AND event.position IS NULL
""")
_REFUSE: Final = text("""
    UPDATE audit_events AS event SET refused = new.refused
    FROM unnest(CAST(:ids AS uuid[]), CAST(:refused AS text[])) AS new(id, refused)
    WHERE event.id = new.id AND event.position IS NULL
""")
_ADMIT_AGAIN: Final = text("""
    UPDATE audit_events SET refused = NULL
    WHERE refused IS NOT NULL AND refused = 'NO_CODE' AND position IS NULL
""")
_ADD_NODES: Final = text("""
    INSERT INTO audit_nodes (level, "offset", hash)
    SELECT * FROM unnest(
      CAST(:levels AS smallint[]), CAST(:offsets AS bigint[]), CAST(:hashes AS bytea[]))
""")
_COLUMNS: Final = (*UNTRUSTED_COLUMNS, func.clock_timestamp())


@dataclass(frozen=True, slots=True)
class _Continued:
    """What the next checkpoint continues: the newest one, the losses, and what was signed only."""

    newest: Checkpoint | None
    losses: tuple[AcceptedLoss, ...]
    unfinished: Signed | None = None


class LogSealer:
    """Seals the events of one database with one key, and writes one checkpoint file.

    `problem` is why the last attempt failed; None if it did not. `active` is whether this one has
    the lease, and the others stand by; None before the first attempt. `batch` is the most events of
    one transaction. `lease` names the sealer; two of one name count as one.
    """

    def __init__(
        self,
        database: Database,
        signer: SigningKey,
        checkpoint_file: Path,
        admission: Admission,
        *,
        clock: Callable[[], datetime] = utcnow,
        batch: int = _BATCH,
        lease: SealerLease | None = None,
        sinks: SinkKeeper | None = None,
    ) -> None:
        self.problem: str | None = None
        self.active: bool | None = None
        self._database = database
        self._signer = signer
        self._sinks = sinks
        self._history = SignedHistory(checkpoint_file, signer.public)
        if sinks is not None:
            self._history.elsewhere = sinks.elsewhere
        self._admission = admission
        self._clock = clock
        self._batch = batch
        self._lease = lease or SealerLease()
        self._wakeup = asyncio.Event()
        self._settled = False

    def wake(self) -> None:
        """Seal now, as after a commit."""
        self._wakeup.set()

    async def run_forever(self) -> None:
        """Seal new events until cancelled; an error is logged, and the attempt repeated."""
        keeping = asyncio.create_task(self._sinks.run_forever()) if self._sinks else None
        try:
            await self._seal_forever()
        finally:
            if keeping is not None:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)

    async def _seal_forever(self) -> None:
        while True:
            self._wakeup.clear()
            try:
                while await self.seal_once() == self._batch:
                    pass
                self.problem = None
                metrics.SEALER_PROBLEM.set(0)
            except Exception as error:  # noqa: BLE001  # the top of a loop: logged and repeated
                metrics.SEALER_PROBLEM.set(1)
                if self.problem is None:
                    # What it says of the sinks are their names and what to do: no values.
                    told = {"reason": error.message} if isinstance(error, SinkRefused) else {}
                    _LOG.exception("the audit log is not being sealed", extra=told)
                self.problem = (
                    error.message if isinstance(error, CoeError) else type(error).__name__
                )
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wakeup.wait(), INTERVAL)

    async def close(self) -> None:
        """Give up the lease, so that another process seals at once."""
        async with self._database.session() as session:
            await session.execute(_LIMITS)
            await self._lease.give_up(session)
            await session.commit()

    async def seal_once(self) -> int:
        """Seal or refuse at most a batch of rows, publish the checkpoint, and return their number.

        The number is 0 too while another process seals.

        Raises:
            LogBroken: The log does not continue what was signed before.
        """
        async with self._database.session() as session:
            await session.execute(_LIMITS)
            lease = await self._lease.state(session)
            self._is_active(lease.mine and not lease.taken)
            if lease.taken:
                return 0
            if self._settled and lease.mine and not lease.due and not await _waits(session):
                return 0
            with self._history.locked() as free:
                fence = await self._lease.take(session) if free else None
                self._is_active(fence is not None)
                return 0 if fence is None else await self._turn(session, fence)

    def _is_active(self, active: bool) -> None:  # noqa: FBT001  # the one fact that it is told
        self.active = active
        metrics.SEALER_ACTIVE.set(active)
        if self._sinks is not None and not active:
            self._sinks.forget()

    async def _turn(self, session: AsyncSession, fence: int) -> int:
        """Complete what was signed, or else seal what waits; the files and the lease are locked."""
        if self._sinks is not None:
            await self._sinks.require(session)
        newest = await self._newest(session)
        log = await self._continued(session, newest)
        if self._sinks is not None:
            self._sinks.require_seen(log.losses)
        unfinished = log.unfinished
        if unfinished is not None:
            rows = await self._of(session, unfinished, newest)
            handled, found = len(rows), [row.event for row in rows]
        else:
            waiting, now = await self._waiting(session)
            handled = len(waiting)
            found = await self._admitted(session, waiting, now)
        if found:
            newest = await self._seal(session, log, found, fence)
        await session.commit()
        metrics.SEALED.inc(len(found))
        if newest is not None:
            with writing_to(CHECKPOINT_FILE):
                await self._history.publish(newest)
            if self._sinks is not None:
                self._sinks.offer(newest)
        self._settled = True
        return handled

    async def _continued(self, session: AsyncSession, newest: Checkpoint | None) -> _Continued:
        """What the next checkpoint continues.

        A loss that nobody has accepted yet is written down for those who may.
        """
        try:
            unfinished = await self._history.check(session, newest)
        except LossFound as found:
            macs, loss = self._admission.keys, found.loss
            losses = await accepted_losses(session, macs, loss)
            if not losses:
                await note_loss(session, macs, loss)
                await session.commit()
                raise
            await self._history.check(session, newest, losses)
            _LOG.warning("the log goes on after an accepted loss: %s are lost", loss.positions)
            return _Continued(newest, losses)
        losses = self._history.opened(newest.note).losses if newest else ()
        return _Continued(newest, losses, unfinished)

    async def _newest(self, session: AsyncSession) -> Checkpoint | None:
        statement = (
            AUDIT_CHECKPOINTS.select().order_by(AUDIT_CHECKPOINTS.c.tree_size.desc()).limit(1)
        )
        row = (await session.execute(statement)).one_or_none()
        return Checkpoint.stored(row.tree_size, row.root_hash, row.at, row.note) if row else None

    async def _waiting(self, session: AsyncSession) -> tuple[list[Waiting], datetime]:
        """The rows that wait, and the time of the database."""
        if not self._settled and self._admission.admits_unsigned(self._clock()):
            await session.execute(_ADMIT_AGAIN)
        below = {"horizon": str((await horizon(session)).xid)}
        statement = select(*_COLUMNS).where(_BELOW_HORIZON).order_by(text("xid, id"))
        rows = (await session.execute(statement.limit(self._batch), below)).all()
        return [_row(row) for row in rows], _time(rows[0]) if rows else self._clock()

    async def _of(
        self, session: AsyncSession, unfinished: Signed, newest: Checkpoint | None
    ) -> list[Waiting]:
        """The events that a signed checkpoint adds, in its order."""
        statement = select(*_COLUMNS).where(
            AUDIT_EVENTS.c.id.in_(unfinished.events), AUDIT_EVENTS.c.position.is_(None)
        )
        rows = [_row(row) for row in await session.execute(statement)]
        found = {row.event.id: row for row in rows}
        if set(found) != set(unfinished.events):
            raise self._history.lost(newest, unfinished)
        return [found[event_id] for event_id in unfinished.events]

    async def _admitted(
        self, session: AsyncSession, rows: Sequence[Waiting], now: datetime
    ) -> list[AuditEventRecord]:
        """The rows that are events; the others are marked as refused, and reported."""
        refusals = await in_thread(lambda: [self._admission.refusal(row, now) for row in rows])
        refused = [
            (row.event.id, why) for row, why in zip(rows, refusals, strict=True) if why is not None
        ]
        if refused:
            ids, reasons = [each for each, _ in refused], [why.value for _, why in refused]
            await session.execute(_REFUSE, {"ids": ids, "refused": reasons})
            _LOG.error(
                "%d rows of the audit log are not the platform's, and are not sealed",
                len(refused),
                extra={"rows": [f"{name} {why}" for name, why in refused[:_NAMED]]},
            )
        return [row.event for row, why in zip(rows, refusals, strict=True) if why is None]

    async def _seal(
        self, session: AsyncSession, log: _Continued, rows: list[AuditEventRecord], fence: int
    ) -> Checkpoint:
        unfinished = log.unfinished
        frontier = await self._continue(session, log.newest)
        first = frontier.size
        leaves = await in_thread(_leaves, rows, first)
        nodes = [node for leaf in leaves for node in frontier.append(leaf)]
        await self._store(session, first, rows, leaves, nodes)
        if unfinished is None:
            checkpoint = Checkpoint.sign(
                self._signer, frontier.size, frontier.root(), self._clock(), log.losses
            )
        else:
            checkpoint = self._history.opened(unfinished.note)
            if checkpoint.root_hash != frontier.root():
                raise LogBroken(
                    f"another checkpoint of {frontier.size} events was signed: one was changed"
                )
        await session.execute(
            AUDIT_CHECKPOINTS.insert().values(
                tree_size=checkpoint.tree_size,
                root_hash=checkpoint.root_hash,
                at=checkpoint.at,
                note=checkpoint.note,
                fence=fence,
            )
        )
        if unfinished is None:
            await self._history.will_sign(checkpoint, [row.id for row in rows])
        return checkpoint

    async def _continue(self, session: AsyncSession, newest: Checkpoint | None) -> Frontier:
        """The tree of the newest checkpoint, compared with its root."""
        if newest is None:
            return Frontier()
        signed = self._history.opened(newest.note)
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


async def _waits(session: AsyncSession) -> bool:
    """Whether there is a row to be sealed or refused now."""
    if not await session.scalar(_WAITS):
        return False
    below = {"horizon": str((await horizon(session)).xid)}
    return bool(await session.scalar(_WAITS_BELOW, below))


def _row(row: Row[Any]) -> Waiting:
    values: Sequence[Any] = row
    event: Any = EVENT_COLUMNS.record(values)
    return Waiting(event, values[-2], readable=event.at is not None)


def _time(row: Row[Any]) -> datetime:
    values: Sequence[Any] = row
    return values[-1]  # type: ignore[no-any-return]  # a column of _COLUMNS


def _leaves(rows: list[AuditEventRecord], first: int) -> list[bytes]:
    return [row.leaf_at(position) for position, row in enumerate(rows, first)]
