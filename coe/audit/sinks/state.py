"""What the database knows of the sinks: so that one that is empty, older or unknown is noticed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Double, cast, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.checkpoint import AcceptedLoss, Checkpoint, losses_of
from coe.audit.models import AuditSink
from coe.audit.records import AUDIT_CHECKPOINTS
from coe.audit.sinks.sink import Sink
from coe.crypto.mac import MacKeys
from coe.crypto.row_codes import CodedRows
from coe.db import utcnow

AUDIT_SINKS: Final = AuditSink.metadata.tables["audit_sinks"]
SINK_CODES: Final = CodedRows("audit_sinks", ("name", "kind", "epoch", "tree_size", "note"))


@dataclass(frozen=True, slots=True)
class SinkState:
    """A sink as the database knows it.

    Attributes:
        name: Its name in the file of sinks.
        kind: What kind of place it is.
        tree_size: The size of the newest checkpoint that it keeps; 0 for none.
        kept_at: When it took that; None for never.
        behind_seconds: For how long it has lacked a checkpoint that the log has; 0 if it has all.
        error: Why the last attempt failed; None if it did not.
    """

    name: str
    kind: str
    tree_size: int
    kept_at: datetime | None
    behind_seconds: float
    error: str | None


async def sink_states(session: AsyncSession) -> list[SinkState]:
    """The sinks that the database knows, by name."""
    newest = select(AUDIT_CHECKPOINTS.c.note).order_by(AUDIT_CHECKPOINTS.c.tree_size.desc())
    losses = losses_of(await session.scalar(newest.limit(1)) or "")
    rows = await session.execute(select(AUDIT_SINKS).order_by(AUDIT_SINKS.c.name))
    return [
        SinkState(
            row.name,
            row.kind,
            row.tree_size,
            row.kept_at,
            await _behind(session, _continued_size(row, losses)),
            row.error,
        )
        for row in rows.all()
    ]


def _continued_size(row: Any, losses: tuple[AcceptedLoss, ...]) -> int:
    """Up to which size the log continues what a sink keeps: after a loss, what was kept of it."""
    later = losses[row.epoch - 1 :] if row.epoch else ()
    size: int = row.tree_size
    return min([size, *(each.kept_size for each in later)])


async def _behind(session: AsyncSession, size: int) -> float:
    """Seconds since the first checkpoint beyond a size; 0 without one."""
    checkpoints = AUDIT_CHECKPOINTS.c
    first = select(func.min(checkpoints.at)).where(checkpoints.tree_size > size).scalar_subquery()
    seconds = cast(func.extract("epoch", func.clock_timestamp() - first), Double)
    found: float | None = await session.scalar(select(seconds))
    return max(found or 0.0, 0.0)


async def known_sinks(session: AsyncSession) -> dict[str, Any]:
    """The rows of the sinks, by name."""
    rows = await session.execute(select(AUDIT_SINKS))
    return {row.name: row for row in rows}


async def add_sink(session: AsyncSession, macs: MacKeys, sink: Sink) -> None:
    """Know a sink from now on, as one that keeps nothing yet."""
    values: dict[str, Any] = {
        "name": sink.name,
        "kind": sink.kind,
        "added_at": utcnow(),
        "epoch": 0,
        "tree_size": 0,
        "note": None,
        "kept_at": None,
        "error": None,
        "failing_since": None,
    }
    values["code"] = SINK_CODES.code(macs, values)
    new = insert(AUDIT_SINKS).values(values)
    await session.execute(new.on_conflict_do_update(index_elements=["name"], set_=values))


async def note_kept(
    session: AsyncSession, macs: MacKeys, sink: Sink, checkpoint: Checkpoint
) -> None:
    """Note that a sink has taken a checkpoint; a later one that was noted meanwhile stays."""
    values: dict[str, Any] = {
        "name": sink.name,
        "kind": sink.kind,
        "epoch": checkpoint.epoch,
        "tree_size": checkpoint.tree_size,
        "note": checkpoint.note,
    }
    values |= {"code": SINK_CODES.code(macs, values), "kept_at": utcnow()}
    values |= {"error": None, "failing_since": None}
    noted = tuple_(AUDIT_SINKS.c.epoch, AUDIT_SINKS.c.tree_size)
    this = AUDIT_SINKS.c.name == sink.name, noted <= checkpoint.place
    await session.execute(update(AUDIT_SINKS).where(*this).values(values))


async def note_failure(session: AsyncSession, name: str, error: str) -> None:
    """Note why a sink did not take a checkpoint."""
    since = func.coalesce(AUDIT_SINKS.c.failing_since, func.now())
    await session.execute(
        update(AUDIT_SINKS)
        .where(AUDIT_SINKS.c.name == name)
        .values(error=error[:500], failing_since=since)
    )
