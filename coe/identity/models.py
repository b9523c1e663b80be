"""Tables of identity: the sessions of people who signed in."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, DateTime, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from coe.db import new_id, utcnow


class Session(SQLModel, table=True):
    """A person's session in a browser, from the sign-in until it ends.

    `mac` binds the secret of the cookie to the row's subject, issuer and times, with a key outside
    of the database (`coe.identity.signin.sessions`); it is emptied when the session is revoked, so
    that clearing `revoked_at` revives nothing. `issuer` is the issuer's URL, `external_id` the
    person's `sub` there, and `issuer_session` the `sid` of its session. `authenticated_at` is when
    the person last proved who they are, as the issuer says.
    """

    __tablename__ = "sessions"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    mac: bytes
    subject: str = Field(index=True)
    issuer: str
    external_id: str = Field(index=True)
    issuer_session: str | None = Field(default=None, index=True)
    acr: str | None = None
    amr: list[str] = Field(
        default_factory=list,
        sa_column=Column(ARRAY(Text), nullable=False, server_default="{}"),
    )
    authenticated_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    created_at: datetime = Field(
        default_factory=utcnow, sa_column=Column(DateTime(timezone=True), nullable=False)
    )
    last_seen_at: datetime = Field(
        default_factory=utcnow, sa_column=Column(DateTime(timezone=True), nullable=False)
    )
    expires_at: datetime = Field(
        sa_column=Column(DateTime(timezone=True), nullable=False, index=True)
    )
    address: str | None = None
    client: str | None = None
    revoked_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=True)
    )
    revoked_by: str | None = None
    revoked_why: str | None = None
