"""Events as the log has them, and the bytes that the tree covers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, case, literal_column, null

from coe.audit.canonical import canonical_json, digest_of, format_instant
from coe.audit.merkle import leaf_hash
from coe.audit.models import AuditCheckpoint, AuditEvent, AuditNode
from coe.db.records import Columns
from coe.json_types import JSON

AUDIT_EVENTS: Final = AuditEvent.metadata.tables["audit_events"]
AUDIT_NODES: Final = AuditNode.metadata.tables["audit_nodes"]
AUDIT_CHECKPOINTS: Final = AuditCheckpoint.metadata.tables["audit_checkpoints"]


@dataclass(frozen=True, slots=True)
class AuditEventRecord:
    """An event with all its columns.

    `coe.audit.queries.open_reason` and `open_detail` open `reason_sealed` and `detail_sealed`.
    `position` and `leaf_hash` are None until the event is sealed; `written_at`, `mac` and
    `stored_at` are None in rows of earlier releases.
    """

    id: UUID
    at: datetime
    actor: str
    actor_kind: str
    action: str
    resource: str
    team: str
    outcome: str
    rule: str | None
    correlation_id: str | None
    request_id: str | None
    address: str | None
    reason_sealed: bytes | None
    reason_digest: bytes | None
    detail_sealed: bytes | None
    detail_digest: bytes | None
    xid: int
    written_at: datetime | None
    mac: bytes | None
    stored_at: datetime | None
    position: int | None
    leaf_hash: bytes | None

    def document(self, position: int) -> dict[str, JSON]:
        """The event at a position as JSON, with the digests of the sealed bytes instead of them."""
        return {
            "action": self.action,
            "actor": self.actor,
            "actor_kind": self.actor_kind,
            "address": self.address,
            "at": format_instant(self.at),
            "correlation_id": self.correlation_id,
            "detail_digest": None if self.detail_digest is None else self.detail_digest.hex(),
            "id": str(self.id),
            "outcome": self.outcome,
            "position": position,
            "reason_digest": None if self.reason_digest is None else self.reason_digest.hex(),
            "request_id": self.request_id,
            "resource": self.resource,
            "rule": self.rule,
            "team": self.team,
            "xid": self.xid,
        }

    def leaf_at(self, position: int) -> bytes:
        """The leaf hash of the event at a position, computed from its columns."""
        return leaf_hash(canonical_json(self.document(position)))

    @property
    def digests_match(self) -> bool:
        """Whether the sealed bytes have the stored digests."""
        return (
            digest_of(self.reason_sealed) == self.reason_digest
            and digest_of(self.detail_sealed) == self.detail_digest
        )


_TIMES: Final = {"at", "written_at", "stored_at"}
_SEALED: Final = {"reason_sealed", "detail_sealed"}


def _readable(name: str) -> ColumnElement[Any]:
    column = AUDIT_EVENTS.c[name]
    return case((column.between(*_RANGE), column)) if name in _TIMES else column


_RANGE: Final = datetime(1970, 1, 2, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
EVENT_COLUMNS: Final = Columns(AuditEventRecord, AUDIT_EVENTS)
READABLE_COLUMNS: Final = tuple(_readable(name) for name in EVENT_COLUMNS.names)
"""The columns of a row that may have been changed: a time that Python does not have is None."""

UNTRUSTED_COLUMNS: Final = (
    *(null() if name in _SEALED else _readable(name) for name in EVENT_COLUMNS.names),
    literal_column(
        "sha256(reason_sealed) IS NOT DISTINCT FROM reason_digest"
        " AND sha256(detail_sealed) IS NOT DISTINCT FROM detail_digest",
        Boolean,
    ).label("digests_match"),
)
"""The columns of a row that anybody may have written, and whether its digests are right.

The sealed bytes are not read, and a time that Python does not have (infinity, the year 20000) is
None: no row may keep those who read from the others.
"""
