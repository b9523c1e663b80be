"""Tables of teams: changes of members that wait for a second person, and requests for access."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Column, DateTime, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from coe.db import new_id, utcnow


class ProposalState(StrEnum):
    """What became of a proposed change."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REFUSED = "REFUSED"
    WITHDRAWN = "WITHDRAWN"


class RequestState(StrEnum):
    """What became of a request for access."""

    PENDING = "PENDING"
    PROPOSED = "PROPOSED"
    """The lead agrees, and the role needs a second person, who has not decided."""
    GRANTED = "GRANTED"
    REFUSED = "REFUSED"
    WITHDRAWN = "WITHDRAWN"
    ENDED = "ENDED"


def _moment(*, nullable: bool = False) -> Column[datetime]:
    return Column(DateTime(timezone=True), nullable=nullable)


class MembershipProposal(SQLModel, table=True):
    """A change of one membership that waits for a second person.

    `roles` are those that the subject would have; None takes the subject out of the team.
    `roles_before` are those at the time of the proposal (None: not in the team): when they differ,
    the proposal cannot be approved any more. With `until` the roles are granted beside those of the
    team's source, until then. `origin` is who changes: `api`, `scim`, `oidc:<issuer>`. `persons`
    are all that count as the proposer (`coe.access.actor.Actor.persons`).
    """

    __tablename__ = "membership_proposals"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    team: str = Field(index=True)
    subject: str = Field(index=True)
    display_name: str
    roles: list[str] | None = Field(default=None, sa_column=Column(ARRAY(Text), nullable=True))
    roles_before: list[str] | None = Field(
        default=None, sa_column=Column(ARRAY(Text), nullable=True)
    )
    expires_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    until: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    origin: str
    request_id: UUID | None = Field(default=None, index=True)
    proposed_by: str
    persons: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    proposed_at: datetime = Field(default_factory=utcnow, sa_column=_moment())
    reason_sealed: bytes
    state: str = Field(default=ProposalState.PENDING.value, index=True)
    decided_by: str | None = None
    decided_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    answer_sealed: bytes | None = None


class AccessRequest(SQLModel, table=True):
    """A person's request for a role in a team; without a role for the membership alone.

    `until` is when the access ends by itself; None asks for a lasting membership.
    """

    __tablename__ = "access_requests"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    team: str = Field(index=True)
    subject: str = Field(index=True)
    display_name: str
    role: str | None = None
    until: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    requested_at: datetime = Field(default_factory=utcnow, sa_column=_moment())
    reason_sealed: bytes
    state: str = Field(default=RequestState.PENDING.value, index=True)
    decided_by: str | None = None
    decided_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    answer_sealed: bytes | None = None
