"""Events as the log has them, and the bytes that the tree covers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

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


EVENT_COLUMNS: Final = Columns(AuditEventRecord, AUDIT_EVENTS)
