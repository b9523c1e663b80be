"""An event as it stands in the log, and the bytes of it that the tree covers."""

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
    """A row of the log with all its columns, in their order in the table.

    `reason_sealed` and `detail_sealed` open with `coe.audit.queries.open_reason` and
    `open_detail`. `position` and `leaf_hash` are None until the sealer has been there.
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
    position: int | None
    leaf_hash: bytes | None

    def document(self, position: int) -> dict[str, JSON]:
        """The event at a position as JSON: every column but the sealed bytes and the leaf hash.

        The sealed bytes are in it as their SHA-256 digests.
        """
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
        """The leaf hash that the row has at a position, whatever is stored."""
        return leaf_hash(canonical_json(self.document(position)))

    @property
    def is_sealed_as_digested(self) -> bool:
        """Whether the sealed bytes are those that the digests are of."""
        return (
            digest_of(self.reason_sealed) == self.reason_digest
            and digest_of(self.detail_sealed) == self.detail_digest
        )


EVENT_COLUMNS: Final = Columns(AuditEventRecord, AUDIT_EVENTS)
