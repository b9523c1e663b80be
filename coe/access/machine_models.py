"""Tables of machines: workers' codes and keys, clients, trust rules, assertions that were used."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, DateTime, ForeignKey, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from coe.db import new_id


def _time(*, nullable: bool = False, index: bool = False) -> Column[datetime]:
    return Column(DateTime(timezone=True), nullable=nullable, index=index)


def _team() -> Column[str]:
    return Column(Text, ForeignKey("teams.slug", ondelete="CASCADE"), nullable=False, index=True)


class EnrolmentCode(SQLModel, table=True):
    """A one-time code with which a worker of a team enrols.

    Of the code only `code_mac` is kept: an HMAC with a key that is not in the database. `worker` is
    the key that was enrolled with it.
    """

    __tablename__ = "enrolment_codes"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    team: str = Field(sa_column=_team())
    code_mac: bytes = Field(unique=True)
    created_by: str
    created_at: datetime = Field(sa_column=_time())
    expires_at: datetime = Field(sa_column=_time())
    used_at: datetime | None = Field(default=None, sa_column=_time(nullable=True))
    worker: UUID | None = None


class WorkerKey(SQLModel, table=True):
    """The public key of a worker of a team; the private one never leaves the worker.

    `enrolled_by` is who made the code; `renewed_at` is when the worker put this key in the place of
    the one before. `mac` is an HMAC over what must not change, with a key that
    is not in the database: a row that was written into the table by another way is worth nothing.
    """

    __tablename__ = "worker_keys"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    team: str = Field(sa_column=_team())
    name: str
    public_key: bytes = Field(unique=True)
    enrolled_by: str
    enrolled_at: datetime = Field(sa_column=_time())
    address: str | None = None
    renewed_at: datetime | None = Field(default=None, sa_column=_time(nullable=True))
    expires_at: datetime = Field(sa_column=_time())
    last_seen_at: datetime | None = Field(default=None, sa_column=_time(nullable=True))
    last_address: str | None = None
    revoked_at: datetime | None = Field(default=None, sa_column=_time(nullable=True))
    revoked_by: str | None = None
    mac: bytes


class MachineClient(SQLModel, table=True):
    """A machine of a team that is registered, with a secret or with a public key.

    It acts as `service:<name>/<team>`, in its team alone and within its scopes. Of its secret only
    `secret_mac` is kept. `mac` is as that of `WorkerKey`.
    """

    __tablename__ = "machine_clients"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    team: str = Field(sa_column=_team())
    name: str
    scopes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    secret_mac: bytes | None = None
    public_key: bytes | None = None
    created_by: str
    created_at: datetime = Field(sa_column=_time())
    expires_at: datetime = Field(sa_column=_time())
    last_seen_at: datetime | None = Field(default=None, sa_column=_time(nullable=True))
    last_address: str | None = None
    revoked_at: datetime | None = Field(default=None, sa_column=_time(nullable=True))
    revoked_by: str | None = None
    mac: bytes


class TrustRule(SQLModel, table=True):
    """Which tokens of another issuer stand for a machine of a team, such as those of a CI.

    A token of `issuer` for `audience` whose `sub` fits `subject_pattern` (`coe.identity.patterns`)
    stands for `service:<name>/<team>`, in its team alone and within the scopes.
    """

    __tablename__ = "trust_rules"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    team: str = Field(sa_column=_team())
    name: str
    issuer: str = Field(index=True)
    audience: str
    subject_pattern: str
    scopes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    created_by: str
    created_at: datetime = Field(sa_column=_time())
    expires_at: datetime = Field(sa_column=_time())
    last_seen_at: datetime | None = Field(default=None, sa_column=_time(nullable=True))
    last_address: str | None = None
    revoked_at: datetime | None = Field(default=None, sa_column=_time(nullable=True))
    revoked_by: str | None = None
    mac: bytes


class SpentAssertion(SQLModel, table=True):
    """An assertion that a machine has signed in with, until it has expired: none is used twice."""

    __tablename__ = "spent_assertions"

    digest: bytes = Field(primary_key=True)
    expires_at: datetime = Field(sa_column=_time(index=True))
