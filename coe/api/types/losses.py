"""Views of losses of the audit log."""

from __future__ import annotations

import strawberry

from coe.api.graphql.nodes import Problem, object_type
from coe.api.graphql.scalars import DateTime, Long
from coe.governance.losses import LossRecord, LossState
from coe.idempotency import Receipt


@object_type
class AuditLoss:
    """Sealed events that a restored database does not have: proven by a checkpoint elsewhere."""

    state: LossState
    found_at: DateTime
    kept_size: Long = strawberry.field(
        description="Events that are left; the log goes on from here"
    )
    lost_size: Long = strawberry.field(description="The size of the newest checkpoint that is lost")
    checkpoint: str = strawberry.field(description="Its C2SP signed note, the evidence")
    proposed_by: str | None
    proposed_at: DateTime | None
    approved_by: str | None
    approved_at: DateTime | None

    @classmethod
    def of(cls, record: LossRecord) -> AuditLoss:
        """The view of a loss."""
        return cls(
            state=record.state,
            found_at=DateTime(record.found_at),
            kept_size=Long(record.kept_size),
            lost_size=Long(record.lost_size),
            checkpoint=record.lost_note,
            proposed_by=record.proposed_by,
            proposed_at=DateTime(record.proposed_at) if record.proposed_at else None,
            approved_by=record.approved_by,
            approved_at=DateTime(record.approved_at) if record.approved_at else None,
        )


@object_type
class AuditLossPayload:
    """How far the acceptance is, or the problems."""

    state: LossState | None
    problems: list[Problem]

    @classmethod
    def of(cls, receipt: Receipt) -> AuditLossPayload:
        """The payload of a receipt."""
        state = receipt.text("state")
        return cls(
            state=LossState(state) if state else None,
            problems=Problem.all_of(receipt.problems),
        )
