"""Views of the workers of teams, and of the codes with which they enrol."""

from __future__ import annotations

from datetime import datetime

import strawberry

from coe.access.machine_models import WorkerKey
from coe.api.graphql.ids import to_global
from coe.api.graphql.nodes import Problem, object_type
from coe.api.graphql.scalars import DateTime
from coe.formats import instants
from coe.idempotency import Receipt
from coe.identifiers import worker_subject
from coe.identity.workers import is_active


@object_type
class Worker:
    """A worker of a team: the public key with which it signs in."""

    id: strawberry.ID
    name: str = strawberry.field(description="What it called itself when it enrolled")
    team: str
    subject: str = strawberry.field(description="Whom it acts as: service:worker/<team>")
    enrolled_by: str = strawberry.field(description="Who made the code with which it enrolled")
    enrolled_at: DateTime
    renewed_at: DateTime | None = strawberry.field(
        description="When it put its present key in the place of the one before"
    )
    expires_at: DateTime
    address: str | None = strawberry.field(description="From where it enrolled")
    last_seen_at: DateTime | None = strawberry.field(description="When it last signed in")
    last_address: str | None = strawberry.field(description="From where it last signed in")
    revoked_at: DateTime | None
    revoked_by: str | None
    active: bool = strawberry.field(description="Whether its key is good now")

    @classmethod
    def of(cls, record: WorkerKey, now: datetime) -> Worker:
        """The view of a worker at this time."""
        return cls(
            id=strawberry.ID(to_global("Worker", record.id)),
            name=record.name,
            team=record.team,
            subject=worker_subject(record.team),
            enrolled_by=record.enrolled_by,
            enrolled_at=DateTime(record.enrolled_at),
            renewed_at=DateTime(record.renewed_at) if record.renewed_at else None,
            expires_at=DateTime(record.expires_at),
            address=record.address,
            last_seen_at=DateTime(record.last_seen_at) if record.last_seen_at else None,
            last_address=record.last_address,
            revoked_at=DateTime(record.revoked_at) if record.revoked_at else None,
            revoked_by=record.revoked_by,
            active=is_active(record, now),
        )


@object_type
class EnrolmentCodePayload:
    """The code, or the problems."""

    code: str | None = strawberry.field(
        description="The one-time code, of which only an HMAC is kept: it is shown once, and not "
        "again for the same clientMutationId",
    )
    team: str | None
    expires_at: DateTime | None
    problems: list[Problem]

    @classmethod
    def of(cls, receipt: Receipt) -> EnrolmentCodePayload:
        """The payload of a receipt."""
        until = receipt.text("expiresAt")
        return cls(
            code=receipt.shown.get("code"),
            team=receipt.text("team"),
            expires_at=DateTime(instants.read(until)) if until else None,
            problems=Problem.all_of(receipt.problems),
        )


@object_type
class WorkerPayload:
    """The id of the worker, or the problems."""

    id: strawberry.ID | None
    problems: list[Problem]

    @classmethod
    def of(cls, receipt: Receipt) -> WorkerPayload:
        """The payload of a receipt."""
        worker = receipt.id("id")
        return cls(
            id=strawberry.ID(to_global("Worker", worker)) if worker else None,
            problems=Problem.all_of(receipt.problems),
        )
