"""Verify the log in the database: every row, node and checkpoint, and rows outside the tree.

The leaf hash of each event is computed from its columns, and compared with the stored leaf hash,
the stored tree, every signed checkpoint and the checkpoint file. The change of any single byte is
reported with its row. One chunk of the log is in memory at a time.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.admission import Admission
from coe.audit.checkpoint import AcceptedLoss, Checkpoint, kept_roots
from coe.audit.file_checkpoints import FileCheckpoints
from coe.audit.findings import (
    MAX_KEPT_FINDINGS,
    FindingCode,
    Findings,
    Verification,
    checkpoint_finding,
    loss_accepted,
    node_finding,
    row_changed,
    row_inserted,
    row_refused,
    rows_missing,
    sealing_late,
    tree_changed,
)
from coe.audit.hash_candidates import CandidateTree
from coe.audit.horizon import horizon_holder
from coe.audit.merkle import EMPTY_ROOT, NodeId
from coe.audit.records import (
    AUDIT_CHECKPOINTS,
    AUDIT_EVENTS,
    EVENT_COLUMNS,
    READABLE_COLUMNS,
    AuditEventRecord,
)
from coe.audit.refused import refused_rows
from coe.audit.sinks.state import sink_states
from coe.audit.tree import read_completed
from coe.audit.watch import sealing_state
from coe.crypto.signing import NoteRefused, VerifyKey

_CHUNK: Final = 1024
_MAX_MISSING: Final = 1_000_000
"""With more missing positions the tree is not rebuilt: this is another log."""

# One statement each, so that events, nodes and checkpoints are of one moment.
_BOUNDS: Final = text("""
    WITH signed AS (SELECT coalesce(max(tree_size), 0) AS size FROM audit_checkpoints)
    SELECT signed.size, coalesce(max(position) + 1, 0) AS end, count(position) AS events
    FROM signed LEFT JOIN audit_events ON position >= 0 AND position < signed.size
    GROUP BY signed.size
""")
_OUTSIDE: Final = text("""
    SELECT id, position FROM audit_events
    WHERE position < 0
       OR position >= (SELECT coalesce(max(tree_size), 0) FROM audit_checkpoints)
       OR (position IS NULL AND leaf_hash IS NOT NULL)
    ORDER BY position LIMIT 1000
""")
_EXTRA_NODES: Final = text("""
    WITH signed AS (SELECT coalesce(max(tree_size), 0) AS size FROM audit_checkpoints)
    SELECT level, "offset" FROM audit_nodes, signed
    WHERE level NOT BETWEEN 1 AND 62 OR "offset" < 0 OR "offset" >= signed.size >> level
    ORDER BY level, "offset" LIMIT 1000
""")


async def verify(
    session: AsyncSession,
    key: VerifyKey,
    checkpoint_file: Path | None = None,
    *,
    admission: Admission | None = None,
    late_seconds: float = math.inf,
) -> Verification:
    """Verify the whole log, and that the checkpoint file has every checkpoint of it.

    `admission` tells rows that were refused from events that somebody set aside. `late_seconds` is
    how long an event may wait for its seal.
    """
    size, end, events = (await session.execute(_BOUNDS)).one()
    losses = await _losses(session, key)
    verifier = _Verifier(key, checkpoint_file, losses)
    await _look_outside(session, verifier.findings)
    await _look_at_refused(session, verifier.findings, admission)
    if size - events <= _MAX_MISSING:
        end = size
    elif end - events > _MAX_MISSING:
        end = 0
    for start in range(0, end, _CHUNK):
        stop = min(start + _CHUNK, end)
        rows = await _rows(session, start, stop)
        nodes = await read_completed(session, start, stop)
        signed = await _signed(session, start, stop)
        await asyncio.to_thread(verifier.check, start, stop, rows, nodes, signed)
    for row in await _signed(session, end, size):
        verifier.check_note(row)
    newest = await session.scalar(select(func.max(AUDIT_CHECKPOINTS.c.tree_size)))
    sealing = await sealing_state(session)
    if sealing.seconds > late_seconds:
        holder = await horizon_holder(session)
        verifier.findings.add(sealing_late(sealing, str(holder) if holder else None))
    found = await asyncio.to_thread(verifier.finish, size, events, newest or 0)
    return replace(found, sealing=sealing, sinks=tuple(await sink_states(session)))


async def _look_outside(session: AsyncSession, findings: Findings) -> None:
    for row in await session.execute(_OUTSIDE):
        how = f"stands at position {row.position}, outside what was signed"
        if row.position is None:
            how = "has a leaf hash and no position"
        findings.add(row_inserted(row.position, str(row.id), how))
    for row in await session.execute(_EXTRA_NODES):
        findings.add(
            node_finding(FindingCode.NODE_INSERTED, row.level, row.offset, "is not of this tree")
            if 0 <= row.level <= 62  # noqa: PLR2004  # what can be shifted by
            else checkpoint_finding(
                FindingCode.NODE_INSERTED, 0, f"a tree node of level {row.level}"
            )
        )
    none = AUDIT_CHECKPOINTS.select().where(AUDIT_CHECKPOINTS.c.tree_size <= 0).limit(100)
    for row in await session.execute(none):
        findings.add(
            checkpoint_finding(FindingCode.CHECKPOINT_CHANGED, row.tree_size, "is of no events")
        )


async def _look_at_refused(
    session: AsyncSession, findings: Findings, admission: Admission | None
) -> None:
    for row in await refused_rows(session, admission, first=MAX_KEPT_FINDINGS):
        findings.add(row_refused(str(row.id), row.why, settled=row.settled))
    marked = AUDIT_EVENTS.c.refused.is_not(None), AUDIT_EVENTS.c.position.is_not(None)
    for key in await session.scalars(select(AUDIT_EVENTS.c.id).where(*marked).limit(100)):
        findings.add(row_refused(str(key), "it is sealed, and marked as refused since"))


async def _losses(session: AsyncSession, key: VerifyKey) -> tuple[AcceptedLoss, ...]:
    """The losses that the newest checkpoint names."""
    newest = select(AUDIT_CHECKPOINTS.c.note).order_by(AUDIT_CHECKPOINTS.c.tree_size.desc())
    try:
        return Checkpoint.open(await session.scalar(newest.limit(1)) or "", key).losses
    except NoteRefused:
        return ()


async def _rows(session: AsyncSession, start: int, stop: int) -> list[AuditEventRecord]:
    position = AUDIT_EVENTS.c.position
    statement = select(*READABLE_COLUMNS).where(position >= start, position < stop)
    rows = await session.execute(statement.order_by(position, AUDIT_EVENTS.c.id))
    return [EVENT_COLUMNS.record(row) for row in rows]


async def _signed(session: AsyncSession, start: int, stop: int) -> Sequence[Row[Any]]:
    size = AUDIT_CHECKPOINTS.c.tree_size
    statement = AUDIT_CHECKPOINTS.select().where(size > start, size <= stop).order_by(size)
    return (await session.execute(statement)).all()


class _Verifier:
    """The state of the verification after the chunks so far. Its methods block."""

    def __init__(
        self, key: VerifyKey, checkpoint_file: Path | None, losses: tuple[AcceptedLoss, ...]
    ) -> None:
        self.findings = Findings()
        self.findings.add(*map(loss_accepted, losses))
        self._key = key
        self._named: tuple[AcceptedLoss, ...] = ()
        self._kept = kept_roots(losses)
        self._tree = CandidateTree(self.findings)
        self._file = FileCheckpoints(checkpoint_file, key, self.findings, losses)
        self._newest: Checkpoint | None = None
        self._fits = True
        self._sound = 0
        self._missing: int | None = None

    def check(
        self,
        start: int,
        stop: int,
        rows: Sequence[AuditEventRecord],
        nodes: Mapping[NodeId, bytes],
        signed: Sequence[Row[Any]],
    ) -> None:
        """Check the events from `start` up to but not including `stop`."""
        groups = itertools.groupby(rows, key=lambda row: row.position)
        at = {position: list(group) for position, group in groups}
        checkpoints = {row.tree_size: row for row in signed}
        for position in range(start, stop):
            self._check_event(position, at.get(position, []), nodes)
            size = position + 1
            row = checkpoints.get(size)
            checkpoint = self.check_note(row) if row else None
            if checkpoint and checkpoint.tree_size == size:
                self._newest = checkpoint
                self._settle(size, checkpoint.root_hash)
            if size in self._kept:
                self._settle(size, self._kept[size].kept_root)
            in_file = list(self._file.of(size))
            if row is not None and not in_file:
                self._file.lack(size)
            for checkpoint_in_file in in_file:
                if row is None:
                    how = "the file has it, and the database does not"
                    self.findings.add(checkpoint_finding(FindingCode.CHECKPOINT_MISSING, size, how))
                self._settle(size, checkpoint_in_file.root_hash)

    def check_note(self, row: Row[Any]) -> Checkpoint | None:
        """The checkpoint that the note of a row proves; None if it proves none."""
        try:
            checkpoint = Checkpoint.open(row.note, self._key)
        except NoteRefused as refused:
            self.findings.add(
                checkpoint_finding(FindingCode.CHECKPOINT_CHANGED, row.tree_size, refused.message)
            )
            return None
        if checkpoint != Checkpoint(row.tree_size, row.root_hash, row.at, row.note):
            how = "its columns are not what its note says"
            self.findings.add(
                checkpoint_finding(FindingCode.CHECKPOINT_CHANGED, row.tree_size, how)
            )
        if checkpoint.losses[: len(self._named)] != self._named:
            how = "it does not name the accepted losses before it"
            self.findings.add(
                checkpoint_finding(FindingCode.CHECKPOINT_CHANGED, row.tree_size, how)
            )
        self._named = checkpoint.losses
        return checkpoint

    def finish(self, size: int, events: int, newest: int) -> Verification:
        """The result over all chunks; the newest checkpoint has `size` and covers `events` rows.

        `newest` is the size of the newest one now.
        """
        if self._missing is not None or self._tree.size < size:
            first = self._tree.size if self._missing is None else self._missing
            self.findings.add(rows_missing(first, size - 1))
        self._file.finish(self._tree.size, newest)
        self._tree.conclude()
        covered = self._newest.tree_size if self._newest else 0
        if covered < self._tree.size:
            how = "no checkpoint with a valid signature covers them"
            self.findings.add(tree_changed(covered, self._tree.size - 1, how))
        return Verification(
            checked_events=events,
            tree_size=covered,
            root_hash=self._newest.root_hash if self._newest else EMPTY_ROOT,
            key=self._key.text,
            problems=self.findings.list(),
        )

    def _check_event(
        self, position: int, rows: Sequence[AuditEventRecord], nodes: Mapping[NodeId, bytes]
    ) -> None:
        if not rows:
            if self._missing is None:
                self._missing = position
            self._tree.append((), nodes, damaged=True)
            return
        if self._missing is not None:
            self.findings.add(rows_missing(self._missing, position - 1))
            self._missing = None
        damaged = len(rows) > 1
        leaves: dict[bytes, None] = {}
        for row in rows:
            readable: Any = row.at
            leaf = b"" if readable is None else row.leaf_at(position)
            leaves[leaf] = None
            if row.leaf_hash != leaf:
                damaged = True
                leaves[row.leaf_hash or b""] = None
                how = "its columns and its leaf hash do not fit: one of them was changed"
                self.findings.add(row_changed(position, str(row.id), how))
            if not row.digests_match:
                how = "its sealed reason or detail is not what its digest is of"
                self.findings.add(row_changed(position, str(row.id), how))
            if len(rows) > 1:
                how = f"one of {len(rows)} rows at position {position}"
                self.findings.add(row_inserted(position, str(row.id), how))
        self._tree.append(list(leaves), nodes, damaged=damaged)

    def _settle(self, size: int, root: bytes) -> None:
        """Compare the tree with a signed root; after one that differs, all later ones would."""
        if not self._fits:
            return
        fits = self._tree.settle(root)
        if fits:
            self._sound = size
        elif fits is False:
            self._fits = False
            how = f"they do not lead to the root that was signed for {size} events"
            self.findings.add(tree_changed(self._sound, size - 1, how))
