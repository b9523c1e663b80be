"""Tables of access: teams and their members, policy lines, the policy's version, tokens."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from coe.db import new_id, utcnow

FROM_CONTENT = "content"


class Team(SQLModel, table=True):
    """A team: the owner of a namespace in the catalog, and the domain of its members' roles."""

    __tablename__ = "teams"

    slug: str = Field(primary_key=True)
    id: UUID = Field(default_factory=new_id, unique=True)
    name: str
    domain: str | None = None
    contact: str | None = None


class Membership(SQLModel, table=True):
    """What roles a subject (a person or a service) has in a team.

    `origin` says who keeps the row: `content` is the files in `catalog/teams/`, which
    `coe.access.load.load_access_files` makes the table equal to.
    """

    __tablename__ = "memberships"

    team: str = Field(
        sa_column=Column(Text, ForeignKey("teams.slug", ondelete="CASCADE"), primary_key=True)
    )
    subject: str = Field(primary_key=True, index=True)
    display_name: str
    roles: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    origin: str = FROM_CONTENT


class PolicyRule(SQLModel, table=True):
    """One policy line, its fields apart: they are never joined and parsed again.

    `fields` are subject, team, permission, data class and effect. `note` is the comment above the
    line in its file: why it is there. `source` is `file:line`, or who added it.
    """

    __tablename__ = "policy_rules"
    __table_args__ = (
        UniqueConstraint("ptype", "fields"),
        CheckConstraint("array_position(fields, '') IS NULL", name="no_empty_field"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    ptype: str
    fields: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    note: str | None = None
    source: str
    origin: str = FROM_CONTENT


class PolicyState(SQLModel, table=True):
    """The one row that says which policy is in force.

    `version` grows with each change of the model, the lines or the memberships, in the transaction
    of that change. `digest` is the SHA-256 over all three. `model` is the text of
    `policies/model.conf`.
    """

    __tablename__ = "policy_state"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    version: int
    digest: str
    model: str = Field(sa_column=Column(Text, nullable=False))
    changed_at: datetime = Field(
        default_factory=utcnow, sa_column=Column(DateTime(timezone=True), nullable=False)
    )


class AccessToken(SQLModel, table=True):
    """A bearer token. The token itself is not kept: `token_hash` is its SHA-256.

    `scopes` narrow what the policy allows its subject; none in the list means all of it.
    """

    __tablename__ = "access_tokens"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    name: str
    subject: str = Field(index=True)
    kind: str
    token_hash: bytes = Field(unique=True)
    scopes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    expires_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    revoked_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=True)
    )
    created_at: datetime = Field(
        default_factory=utcnow, sa_column=Column(DateTime(timezone=True), nullable=False)
    )
    created_by: str
