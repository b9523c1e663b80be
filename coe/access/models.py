"""Tables of access: people, teams and their members, policy lines, the policy's version, tokens."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from coe.db import new_id, utcnow

FROM_CONTENT = "content"


class PersonState(StrEnum):
    """Whether a person may use the platform."""

    ACTIVE = "ACTIVE"
    """They may."""
    SUSPENDED = "SUSPENDED"
    """Not for now, whatever they present; what they hold stays."""
    LEFT = "LEFT"
    """No more; their subject is never given to anybody else."""


class Person(SQLModel, table=True):
    """A person with an account: who they are elsewhere, and whether they may use the platform.

    Policies, the log and the catalog name the `subject`, which is chosen once and is never given to
    another person: no two differ only in case. `issuer` (its URL) and `external_id` (the `sub`
    there) are who signs in as this person; both are None until the first sign-in. `source` says
    what made the account: `oidc:<issuer>` at a first sign-in, or `scim` (whose `externalId` is
    `provisioned_id`, and whose `userName` is `user_name`). `suspended_by` is `scim` if the
    directory suspended the person, which may lift that again, and `both` if somebody here ordered
    it too; without it only somebody here did.
    `attributes_sealed` is what the directory says beside that (`coe.access.people`).
    A person who is only named in `catalog/teams/` has no row, and is active.
    """

    __tablename__ = "people"
    __table_args__ = (
        UniqueConstraint("issuer", "external_id"),
        Index("ix_people_subject_lower", text("lower(subject)"), unique=True),
    )

    subject: str = Field(primary_key=True)
    id: UUID = Field(default_factory=new_id, unique=True)
    issuer: str | None = None
    external_id: str | None = None
    provisioned_id: str | None = Field(default=None, index=True)
    user_name: str | None = Field(default=None, index=True)
    display_name: str
    attributes_sealed: bytes | None = None
    source: str
    state: str = Field(
        default=PersonState.ACTIVE.value,
        sa_column_kwargs={"server_default": PersonState.ACTIVE.value},
    )
    suspended_by: str | None = None
    state_changed_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=True)
    )
    created_at: datetime = Field(
        default_factory=utcnow, sa_column=Column(DateTime(timezone=True), nullable=False)
    )
    changed_at: datetime = Field(
        default_factory=utcnow, sa_column=Column(DateTime(timezone=True), nullable=False)
    )
    last_sign_in_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=True)
    )


class TeamState(StrEnum):
    """Whether a team works with the platform."""

    ACTIVE = "ACTIVE"
    """It does."""
    RETIRED = "RETIRED"
    """No more: its flows are retired and it has no members; its namespace stays taken."""


class Team(SQLModel, table=True):
    """A team: it owns a namespace of the catalog, and its members hold their roles in it.

    `members_source` says where its people come from
    (`coe.access.membership_changes.MembersSource`): a change of another source is refused.
    `members_digest` is the SHA-256 over its memberships, of which the signed digest of the policy
    is made (`coe.access.signed_policy`).
    """

    __tablename__ = "teams"

    slug: str = Field(primary_key=True)
    id: UUID = Field(default_factory=new_id, unique=True)
    name: str
    domain: str | None = None
    contact: str | None = None
    members_digest: str | None = None
    members_source: str = Field(
        default=FROM_CONTENT, sa_column_kwargs={"server_default": FROM_CONTENT}
    )
    state: str = Field(
        default=TeamState.ACTIVE.value,
        sa_column_kwargs={"server_default": TeamState.ACTIVE.value},
    )


class Membership(SQLModel, table=True):
    """A person or a service in a team, with its roles there.

    `origin` names the owner of the row: the rows of `content` equal the files in `catalog/teams/`
    (`coe.access.load.load_access_files`), those of `oidc:<issuer>` follow the groups of a person
    at the last sign-in (`coe.access.replacement.replace_memberships`), those of `grant` have only
    granted roles. It counts until `expires_at`. `granted` are further roles, each until its time
    (RFC 3339); the role "" is the membership alone. Only `coe.access.membership_changes` writes it.
    """

    __tablename__ = "memberships"

    team: str = Field(
        sa_column=Column(Text, ForeignKey("teams.slug", ondelete="CASCADE"), primary_key=True)
    )
    subject: str = Field(primary_key=True, index=True)
    display_name: str
    roles: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    origin: str = FROM_CONTENT
    expires_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=True)
    )
    granted: dict[str, str] = Field(
        default_factory=dict, sa_column=Column(JSONB, nullable=False, server_default="{}")
    )


class PolicyRule(SQLModel, table=True):
    """One policy line, with its fields as an array: they are never joined and parsed again.

    `ptype` is `p` (subject, team, permission, data class, effect), `n` (team, host, network, port),
    `a` (team, role) or `s` (team, permission, data class, minutes). `note` is the comment above the
    line in its file. `source` is `file:line`, or who added it.
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
    """The policy in force, in one row.

    `version` grows in the transaction of each change of the model, the lines or the memberships.
    `digest` is the SHA-256 over all three, and `signature` is over version and digests
    (`coe.access.signed_policy`). `model` is the text of `policies/model.conf`.
    """

    __tablename__ = "policy_state"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    version: int
    digest: str
    signature: str | None = None
    model: str = Field(sa_column=Column(Text, nullable=False))
    changed_at: datetime = Field(
        default_factory=utcnow, sa_column=Column(DateTime(timezone=True), nullable=False)
    )


class AccessToken(SQLModel, table=True):
    """A bearer token, of which only a message authentication code is stored, as `token_hash`.

    `scopes` narrow what the policy allows its subject; `*` does not narrow. With a `team` it counts
    for the resources of that team only. `parent_id` is the token with which it was issued, and
    `maker` who counts as one with the service that has it. `mac` is the code of all these; a
    revocation deletes it. When and from where it was used is noted at most once a minute.
    """

    __tablename__ = "access_tokens"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    name: str
    subject: str = Field(index=True)
    kind: str
    token_hash: bytes = Field(unique=True)
    scopes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    team: str | None = None
    parent_id: UUID | None = Field(default=None, foreign_key="access_tokens.id", index=True)
    maker: str | None = None
    mac: bytes | None = None
    expires_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    revoked_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=True)
    )
    created_at: datetime = Field(
        default_factory=utcnow, sa_column=Column(DateTime(timezone=True), nullable=False)
    )
    created_by: str = Field(index=True)
    last_used_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=True)
    )
    last_address: str | None = None
