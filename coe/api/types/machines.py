"""Views of registered clients and of trust rules."""

from __future__ import annotations

from datetime import datetime

import strawberry

from coe.access.machine_models import MachineClient
from coe.access.machine_models import TrustRule as TrustRuleRecord
from coe.access.machines import subject_of
from coe.api.graphql.ids import to_global
from coe.api.graphql.nodes import Problem, input_type, object_type
from coe.api.graphql.scalars import DateTime, IsoDuration
from coe.idempotency import Receipt
from coe.identity.registrations import ClientRequest, TrustRequest


@object_type
class Client:
    """A machine of a team that is registered, with a secret or with a public key."""

    id: strawberry.ID
    client_id: str = strawberry.field(description="By which it names itself when it signs in")
    name: str
    team: str
    subject: str = strawberry.field(description="Whom it acts as: service:<name>/<team>")
    scopes: list[str]
    has_secret: bool = strawberry.field(description="Whether it has a secret, and no public key")
    created_by: str
    created_at: DateTime
    expires_at: DateTime
    last_seen_at: DateTime | None = strawberry.field(description="When it last signed in")
    last_address: str | None = strawberry.field(description="From where it last signed in")
    revoked_at: DateTime | None
    revoked_by: str | None
    active: bool = strawberry.field(description="Whether it can sign in now")

    @classmethod
    def of(cls, record: MachineClient, now: datetime) -> Client:
        """The view of a client at this time."""
        return cls(
            id=strawberry.ID(to_global("Client", record.id)),
            client_id=str(record.id),
            name=record.name,
            team=record.team,
            subject=subject_of(record),
            scopes=list(record.scopes),
            has_secret=record.secret_mac is not None,
            created_by=record.created_by,
            created_at=DateTime(record.created_at),
            expires_at=DateTime(record.expires_at),
            last_seen_at=_moment(record.last_seen_at),
            last_address=record.last_address,
            revoked_at=_moment(record.revoked_at),
            revoked_by=record.revoked_by,
            active=record.revoked_at is None and record.expires_at > now,
        )


@object_type
class TrustRule:
    """Which tokens of another issuer stand for which machine of a team."""

    id: strawberry.ID
    name: str
    team: str
    subject: str = strawberry.field(description="Whom they act as: service:<name>/<team>")
    issuer: str
    audience: str
    subject_pattern: str
    scopes: list[str]
    created_by: str
    created_at: DateTime
    expires_at: DateTime
    last_seen_at: DateTime | None = strawberry.field(description="When it was last used")
    last_address: str | None = strawberry.field(description="From where it was last used")
    revoked_at: DateTime | None
    revoked_by: str | None
    active: bool = strawberry.field(description="Whether it is in force now")

    @classmethod
    def of(cls, record: TrustRuleRecord, now: datetime) -> TrustRule:
        """The view of a rule at this time."""
        return cls(
            id=strawberry.ID(to_global("TrustRule", record.id)),
            name=record.name,
            team=record.team,
            subject=subject_of(record),
            issuer=record.issuer,
            audience=record.audience,
            subject_pattern=record.subject_pattern,
            scopes=list(record.scopes),
            created_by=record.created_by,
            created_at=DateTime(record.created_at),
            expires_at=DateTime(record.expires_at),
            last_seen_at=_moment(record.last_seen_at),
            last_address=record.last_address,
            revoked_at=_moment(record.revoked_at),
            revoked_by=record.revoked_by,
            active=record.revoked_at is None and record.expires_at > now,
        )


@input_type
class CreateClientInput:
    """The client to register."""

    team: str
    name: str = strawberry.field(description="It acts as service:<name>/<team>")
    scopes: list[str] = strawberry.field(description="What it may do, in its team alone")
    expires_in: IsoDuration
    public_key: str | None = strawberry.field(
        default=None,
        description="An Ed25519 public key in base64url; without it the client gets a secret",
    )
    client_mutation_id: str | None = None

    def request(self) -> ClientRequest:
        """The input of the verb."""
        return ClientRequest(
            team=self.team,
            name=self.name,
            scopes=self.scopes,
            lifetime=self.expires_in,
            public_key=self.public_key,
        )


@input_type
class AddTrustRuleInput:
    """The rule to add: which tokens of an issuer stand for which machine of a team."""

    team: str
    name: str = strawberry.field(description="They act as service:<name>/<team>")
    issuer: str = strawberry.field(description="One that the operator lets teams trust")
    audience: str = strawberry.field(description="For whom the tokens are: this platform")
    subject: str = strawberry.field(
        description="A pattern: * is one whole segment between : and /, ** at the end the rest",
    )
    scopes: list[str] = strawberry.field(description="What they may do, in the team alone")
    expires_in: IsoDuration
    client_mutation_id: str | None = None

    def request(self) -> TrustRequest:
        """The input of the verb."""
        return TrustRequest(
            team=self.team,
            name=self.name,
            issuer=self.issuer,
            audience=self.audience,
            subject=self.subject,
            scopes=self.scopes,
            lifetime=self.expires_in,
        )


@object_type
class ClientPayload:
    """The client, or the problems."""

    id: strawberry.ID | None
    client_id: str | None
    secret: str | None = strawberry.field(
        description="The secret, of which only an HMAC is kept: it is shown once, and not again "
        "for the same clientMutationId",
    )
    problems: list[Problem]

    @classmethod
    def of(cls, receipt: Receipt) -> ClientPayload:
        """The payload of a receipt."""
        client = receipt.id("id")
        return cls(
            id=strawberry.ID(to_global("Client", client)) if client else None,
            client_id=str(client) if client else None,
            secret=receipt.shown.get("secret"),
            problems=Problem.all_of(receipt.problems),
        )


@object_type
class TrustRulePayload:
    """The id of the rule, or the problems."""

    id: strawberry.ID | None
    problems: list[Problem]

    @classmethod
    def of(cls, receipt: Receipt) -> TrustRulePayload:
        """The payload of a receipt."""
        rule = receipt.id("id")
        return cls(
            id=strawberry.ID(to_global("TrustRule", rule)) if rule else None,
            problems=Problem.all_of(receipt.problems),
        )


def _moment(moment: datetime | None) -> DateTime | None:
    return DateTime(moment) if moment else None
