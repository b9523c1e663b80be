"""Sessions of people who signed in."""

from __future__ import annotations

import strawberry

from coe.access.actor import Actor
from coe.api.graphql.ids import to_global
from coe.api.graphql.nodes import Problem, object_type
from coe.api.graphql.scalars import DateTime
from coe.idempotency import Receipt
from coe.identity.models import Session as SessionModel


@object_type
class Session:
    """An open session of a person in a browser."""

    id: strawberry.ID
    subject: str
    issuer: str = strawberry.field(description="The address of the issuer by which they signed in")
    current: bool = strawberry.field(description="Whether this request belongs to it")
    signed_in_at: DateTime
    authenticated_at: DateTime = strawberry.field(
        description="When the person proved who they are, as the issuer says"
    )
    last_seen_at: DateTime = strawberry.field(description="To a minute")
    expires_at: DateTime
    address: str | None
    client: str | None = strawberry.field(description="The browser, as it calls itself")

    @classmethod
    def of(cls, row: SessionModel, actor: Actor) -> Session:
        """The view of a session for an actor."""
        return cls(
            id=strawberry.ID(to_global("Session", row.id)),
            subject=row.subject,
            issuer=row.issuer,
            current=actor.sign_in is not None and actor.sign_in.session == row.id,
            signed_in_at=DateTime(row.created_at),
            authenticated_at=DateTime(row.authenticated_at),
            last_seen_at=DateTime(row.last_seen_at),
            expires_at=DateTime(row.expires_at),
            address=row.address,
            client=row.client,
        )


@object_type
class SessionPayload:
    """How many sessions ended, or the problems."""

    ended: int | None
    problems: list[Problem]

    @classmethod
    def of(cls, receipt: Receipt) -> SessionPayload:
        """The payload of a receipt."""
        ended = receipt.values.get("ended")
        return cls(
            ended=ended if isinstance(ended, int) else None,
            problems=Problem.all_of(receipt.problems),
        )
