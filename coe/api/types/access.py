"""Views of decisions, grants and tokens."""

from __future__ import annotations

from datetime import datetime

import strawberry

from coe.access.actor import ActorKind
from coe.access.decision import Decision as PolicyDecision
from coe.access.explain import Grant
from coe.access.models import AccessToken
from coe.api.graphql.ids import to_global
from coe.api.graphql.nodes import Problem, input_type, object_type
from coe.api.graphql.scalars import DateTime, IsoDuration
from coe.governance.tokens import TokenRequest
from coe.idempotency import Receipt


@object_type
class Decision:
    """Whether a subject may do something, and why."""

    allowed: bool
    permission: str
    rules: list[str] = strawberry.field(
        description="The policy lines that matched, the deciding one first; empty if none did",
    )
    explanation: str

    @classmethod
    def of(cls, record: PolicyDecision) -> Decision:
        """The view of a decision."""
        return cls(
            allowed=record.allowed,
            permission=record.permission,
            rules=list(record.rules),
            explanation=record.explanation,
        )


@object_type
class AccessGrant:
    """One permission that a subject has in a team's namespace."""

    subject: str
    permission: str
    via: str
    resource: str

    @classmethod
    def of(cls, record: Grant) -> AccessGrant:
        """The view of a grant."""
        return cls(
            subject=record.subject,
            permission=record.permission,
            via=record.via,
            resource=record.resource,
        )


@object_type
class Token:
    """A bearer token without its text, of which only a hash is kept."""

    id: strawberry.ID
    name: str
    subject: str
    kind: ActorKind
    scopes: list[str]
    created_at: DateTime
    created_by: str
    expires_at: DateTime
    revoked_at: DateTime | None
    active: bool = strawberry.field(description="Whether it works now")

    @classmethod
    def of(cls, record: AccessToken, now: datetime) -> Token:
        """The view of a token at this time."""
        return cls(
            id=strawberry.ID(to_global("Token", record.id)),
            name=record.name,
            subject=record.subject,
            kind=ActorKind(record.kind),
            scopes=list(record.scopes),
            created_at=DateTime(record.created_at),
            created_by=record.created_by,
            expires_at=DateTime(record.expires_at),
            revoked_at=DateTime(record.revoked_at) if record.revoked_at else None,
            active=record.revoked_at is None and record.expires_at > now,
        )


@input_type
class IssueTokenInput:
    """The token to issue: its subject, its scopes and its lifetime."""

    name: str
    subject: str
    scopes: list[str]
    expires_in: IsoDuration
    client_mutation_id: str | None = None

    def request(self) -> TokenRequest:
        """The input of the verb."""
        return TokenRequest(
            name=self.name,
            subject=self.subject,
            scopes=self.scopes,
            lifetime=self.expires_in,
        )


@object_type
class TokenPayload:
    """The token, or the problems."""

    token: str | None = strawberry.field(
        description="The bearer token, of which only a hash is kept: it cannot be shown later. "
        "The same clientMutationId returns it again for 24 hours",
    )
    id: strawberry.ID | None
    problems: list[Problem]

    @classmethod
    def of(cls, receipt: Receipt) -> TokenPayload:
        """The payload of a receipt."""
        token_id = receipt.id("id")
        return cls(
            token=receipt.text("token"),
            id=strawberry.ID(to_global("Token", token_id)) if token_id else None,
            problems=Problem.all_of(receipt.problems),
        )
