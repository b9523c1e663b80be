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
from coe.formats import uuids
from coe.governance.tokens import TokenFilter, TokenRequest
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
    """A bearer token without its text, of which only a code is kept."""

    id: strawberry.ID
    name: str
    subject: str
    kind: ActorKind
    scopes: list[str]
    team: str | None = strawberry.field(
        description="The only team for whose resources it counts; null if it is bound to none",
    )
    parent_id: strawberry.ID | None = strawberry.field(
        description="The token with which it was issued: it ends with that, and is revoked with it",
    )
    created_at: DateTime
    created_by: str
    expires_at: DateTime
    revoked_at: DateTime | None
    last_used_at: DateTime | None = strawberry.field(
        description="When it was used last, noted at most once a minute",
    )
    last_address: str | None = strawberry.field(
        description="The network address from which it was used then",
    )
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
            team=record.team,
            parent_id=(
                strawberry.ID(to_global("Token", record.parent_id)) if record.parent_id else None
            ),
            created_at=DateTime(record.created_at),
            created_by=record.created_by,
            expires_at=DateTime(record.expires_at),
            revoked_at=DateTime(record.revoked_at) if record.revoked_at else None,
            last_used_at=DateTime(record.last_used_at) if record.last_used_at else None,
            last_address=record.last_address,
            active=record.revoked_at is None and record.expires_at > now,
        )


@input_type
class IssueTokenInput:
    """The token to issue: its subject, its scopes and its lifetime."""

    name: str
    subject: str
    scopes: list[str]
    expires_in: IsoDuration
    team: str | None = strawberry.field(
        default=None,
        description="The only team for whose resources it counts; a service's token always has one",
    )
    client_mutation_id: str | None = None

    def request(self) -> TokenRequest:
        """The input of the verb."""
        return TokenRequest(
            name=self.name,
            subject=self.subject,
            scopes=self.scopes,
            lifetime=self.expires_in,
            team=self.team,
        )


@input_type
class RevokeTokensInput:
    """Which tokens to revoke at once: every part that is given must hold; one must be given."""

    subject: str | None = strawberry.field(default=None, description="Those of this subject")
    team: str | None = strawberry.field(
        default=None,
        description="Those that are bound to this team, and the unbound ones of its members",
    )
    made_by: str | None = strawberry.field(
        default=None, description="Those that this subject issued, for itself or for a service"
    )
    reason: str
    client_mutation_id: str | None = None

    def filter(self) -> TokenFilter:
        """The filter of the verb."""
        return TokenFilter(subject=self.subject, team=self.team, made_by=self.made_by)


@object_type
class RevokedTokensPayload:
    """The tokens that were revoked, those among them that were issued with others; or problems."""

    ids: list[strawberry.ID]
    problems: list[Problem]

    @classmethod
    def of(cls, receipt: Receipt) -> RevokedTokensPayload:
        """The payload of a receipt."""
        kept = receipt.values.get("ids")
        ids = kept if isinstance(kept, list) else []
        return cls(
            ids=[strawberry.ID(to_global("Token", uuids.read(str(each)))) for each in ids],
            problems=Problem.all_of(receipt.problems),
        )


@object_type
class TokenPayload:
    """The token, or the problems."""

    token: str | None = strawberry.field(
        description="The bearer token, of which only a code is kept: it is shown in this answer "
        "only. A repeat with the same clientMutationId has its id, and a problem that says so",
    )
    id: strawberry.ID | None
    problems: list[Problem]

    @classmethod
    def of(cls, receipt: Receipt) -> TokenPayload:
        """The payload of a receipt."""
        token_id = receipt.id("id")
        return cls(
            token=receipt.shown.get("token"),
            id=strawberry.ID(to_global("Token", token_id)) if token_id else None,
            problems=Problem.all_of(receipt.problems),
        )
