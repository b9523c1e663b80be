"""Views of rows that are no events of the audit log."""

from __future__ import annotations

import strawberry

from coe.api.graphql.ids import to_global
from coe.api.graphql.nodes import Problem, object_type
from coe.api.graphql.scalars import DateTime
from coe.audit.refused import RefusedRow as Record
from coe.idempotency import Receipt


@object_type
class RefusedRow:
    """A row of the log's table that the platform did not write: no event, and not to be trusted."""

    id: strawberry.ID
    stored_at: DateTime | None = strawberry.field(
        description="When the database stored it, by what the row says"
    )
    why: str = strawberry.field(description="Why it is no event")
    actor: str = strawberry.field(description="What the row says; nobody has checked it")
    action: str
    resource: str
    settled: bool

    @classmethod
    def of(cls, record: Record) -> RefusedRow:
        """The view of a row."""
        return cls(
            id=strawberry.ID(to_global("RefusedRow", record.id)),
            stored_at=DateTime(record.stored_at) if record.stored_at else None,
            why=record.why,
            actor=record.actor,
            action=record.action,
            resource=record.resource,
            settled=record.settled,
        )


@object_type
class RefusedRowPayload:
    """The id of the row, or the problems."""

    id: strawberry.ID | None
    problems: list[Problem]

    @classmethod
    def of(cls, receipt: Receipt) -> RefusedRowPayload:
        """The payload of a receipt."""
        key = receipt.id("id")
        return cls(
            id=strawberry.ID(to_global("RefusedRow", key)) if key else None,
            problems=Problem.all_of(receipt.problems),
        )
