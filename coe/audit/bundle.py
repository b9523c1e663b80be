"""Export events as one file that anyone can verify offline (`coe.audit.bundle_format`)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import asdict

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.bundle_format import FORMAT, LEAVES_PER_LINE, end_text
from coe.audit.canonical import canonical_json, format_instant
from coe.audit.merkle import NodeId
from coe.audit.queries import AuditEventFilter, Window, newest_checkpoint
from coe.audit.records import AUDIT_EVENTS, EVENT_COLUMNS, AuditEventRecord
from coe.audit.tree import TreeDamaged, inclusion_paths, read_nodes
from coe.crypto.signing import SigningKey
from coe.errors import NotFound
from coe.json_types import JSON


async def export(
    session: AsyncSession, signer: SigningKey, window: Window | None = None
) -> AsyncIterator[bytes]:
    """The lines of a bundle of the events in the window, up to the newest checkpoint.

    At most the events of one line of leaves are in memory. The session needs no snapshot, because
    it reads only what never changes.

    Raises:
        NotFound: No event is sealed yet.
    """
    window = window or Window()
    checkpoint = await newest_checkpoint(session)
    if checkpoint is None:
        raise NotFound("the log has no checkpoint yet: there is nothing to prove")
    writer = _Writer(signer)
    size = checkpoint.tree_size
    header: dict[str, JSON] = {
        "filter": _filter_json(window),
        "format": FORMAT,
        "vkey": signer.vkey,
    }
    yield writer.line("header", header)
    yield writer.line("checkpoint", {"note": checkpoint.note})
    for start in range(0, size, LEAVES_PER_LINE):
        stop = min(start + LEAVES_PER_LINE, size)
        leaves = await read_nodes(session, [NodeId(0, index) for index in range(start, stop)])
        hashes: list[JSON] = [
            leaves[NodeId(0, index)].hex() if NodeId(0, index) in leaves else None
            for index in range(start, stop)
        ]
        yield writer.line("leaves", {"hashes": hashes, "start": start})
        rows = await _rows(session, window, start, stop)
        paths = await _paths(session, [position for position, _ in rows], size)
        for position, row in rows:
            yield writer.event(row, position, paths.get(position))
    yield writer.end_line()


class _Writer:
    """Writes the lines; counts and hashes them for the last one."""

    def __init__(self, signer: SigningKey) -> None:
        self._signer = signer
        self._digest = hashlib.sha256()
        self._events = 0

    def line(self, kind: str, content: dict[str, JSON]) -> bytes:
        line = canonical_json({"type": kind, **content}) + b"\n"
        self._digest.update(line)
        return line

    def event(self, row: AuditEventRecord, position: int, path: tuple[bytes, ...] | None) -> bytes:
        self._events += 1
        return self.line(
            "event",
            {
                "detail_sealed": _base64(row.detail_sealed),
                "event": row.document(position),
                "path": None if path is None else [node.hex() for node in path],
                "reason_sealed": _base64(row.reason_sealed),
            },
        )

    def end_line(self) -> bytes:
        text = end_text(self._signer.name, self._events, self._digest.hexdigest())
        return self.line("end", {"note": self._signer.sign_note(text)})


async def _rows(
    session: AsyncSession, window: Window, start: int, stop: int
) -> list[tuple[int, AuditEventRecord]]:
    position = AUDIT_EVENTS.c.position
    statement = select(*EVENT_COLUMNS).where(*window.clauses(), position >= start, position < stop)
    rows = await session.execute(statement.order_by(position))
    return [(row.position, EVENT_COLUMNS.record(row)) for row in rows]


async def _paths(
    session: AsyncSession, positions: Sequence[int], size: int
) -> dict[int, tuple[bytes, ...]]:
    """The proofs; of a damaged tree all that are left, so that the bundle shows the damage."""
    try:
        return await inclusion_paths(session, positions, size)
    except TreeDamaged:
        paths: dict[int, tuple[bytes, ...]] = {}
        for position in positions:
            with suppress(TreeDamaged):
                paths.update(await inclusion_paths(session, [position], size))
        return paths


def _filter_json(window: Window) -> JSON:
    """The filter as the header has it; null for every event of the log."""
    if window.within is None and window.matching == AuditEventFilter():
        return None
    described: dict[str, JSON] = {}
    for name, value in asdict(window.matching).items():
        if value in ((), [], None):
            continue
        match value:
            case str():
                described[name] = value
            case _ if name in {"after", "before"}:
                described[name] = format_instant(value)
            case _:
                described[name] = [*sorted(str(one) for one in value)]
    described["scoped"] = window.within is not None
    return described


def _base64(sealed: bytes | None) -> str | None:
    return None if sealed is None else base64.b64encode(sealed).decode()
