"""Tables of the log: events, the nodes of the Merkle tree over them, signed checkpoints.

An event is inserted in the transaction of the change that it records, without a position; the
sealer gives it one a moment later. From then on triggers refuse every change of the three tables.
The triggers prevent mistakes; the tree and its signature expose a database administrator.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import UserDefinedType
from sqlmodel import Field, SQLModel

from coe.db import new_id


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id, which never wraps round."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The name of the type in DDL."""
        return "xid8"

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:  # noqa: ARG002  # SQLAlchemy's signature
        """No conversion: asyncpg returns an int."""
        return None


class AuditEvent(SQLModel, table=True):
    """An audited action: who did what to which resource, when, and by which rule.

    `reason` and `detail` can contain personal data, so both are sealed. The tree covers the SHA-256
    of the sealed bytes: the log still verifies after the key of a detail is destroyed. All other
    columns are in clear and take no personal data. The sealer sets `position` (from 0, without
    gaps) and `leaf_hash`.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("uq_audit_events_position", "position", unique=True),
        Index("ix_audit_events_unsealed", "xid", "id", postgresql_where=text("position IS NULL")),
        Index("ix_audit_events_actor", "actor", "position"),
        Index("ix_audit_events_action", "action", "position"),
        Index(
            "ix_audit_events_resource",
            "resource",
            "position",
            postgresql_ops={"resource": "text_pattern_ops"},
        ),
        Index("ix_audit_events_correlation", "correlation_id", "position"),
        Index("ix_audit_events_team", "team", "position"),
        Index("ix_audit_events_at", "at"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    at: datetime
    actor: str = Field(sa_column=Column(Text, nullable=False))
    actor_kind: str = Field(sa_column=Column(Text, nullable=False))
    action: str = Field(sa_column=Column(Text, nullable=False))
    resource: str = Field(sa_column=Column(Text, nullable=False))
    team: str = Field(sa_column=Column(Text, nullable=False))
    outcome: str = Field(sa_column=Column(Text, nullable=False))
    rule: str | None = Field(default=None, sa_column=Column(Text))
    correlation_id: str | None = Field(default=None, sa_column=Column(Text))
    request_id: str | None = Field(default=None, sa_column=Column(Text))
    address: str | None = Field(default=None, sa_column=Column(Text))
    reason_sealed: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    reason_digest: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    detail_sealed: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    detail_digest: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    xid: int | None = Field(
        default=None,
        sa_column=Column(Xid8(), nullable=False, server_default=text("pg_current_xact_id()")),
    )
    position: int | None = Field(default=None, sa_column=Column(BigInteger))
    leaf_hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary))


class AuditNode(SQLModel, table=True):
    """The root of a complete subtree of 2^level leaves, the offset-th of its level.

    Level 0 is `audit_events.leaf_hash` and not stored again. A node is written once, when its last
    leaf is sealed; so the reads that a proof needs grow with the logarithm of the log.
    """

    __tablename__ = "audit_nodes"

    level: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    offset: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class AuditCheckpoint(SQLModel, table=True):
    """The signed size and root of the log at a time; the note contains all of it."""

    __tablename__ = "audit_checkpoints"

    tree_size: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    root_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    at: datetime
    note: str = Field(sa_column=Column(Text, nullable=False))


CONTENT_COLUMNS: Final = tuple(
    column.name
    for column in AuditEvent.metadata.tables[AuditEvent.__tablename__].columns
    if column.name not in {"position", "leaf_hash"}
)
"""The columns of an event that its writer sets; the sealer sets the others."""


def _refuse(table: str, when: str, condition: str = "") -> str:
    each = "STATEMENT" if when == "TRUNCATE" else "ROW"
    return (
        f"CREATE OR REPLACE TRIGGER {table}_refuse_{when.lower()} BEFORE {when} ON {table} "
        f"FOR EACH {each} {condition} EXECUTE FUNCTION audit_refuse()"
    )


def _record(side: str) -> str:
    return "ROW(" + ", ".join(f"{side}.{name}" for name in CONTENT_COLUMNS) + ")"


_SEALED_OR_OTHER: Final = (
    f"WHEN (OLD.position IS NOT NULL OR {_record('OLD')} IS DISTINCT FROM {_record('NEW')})"
)

DDL: Final = (
    """
    CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
    END $$
    """,
    _refuse("audit_events", "UPDATE", _SEALED_OR_OTHER),
    _refuse("audit_events", "DELETE"),
    _refuse("audit_events", "TRUNCATE"),
    _refuse("audit_nodes", "UPDATE"),
    _refuse("audit_nodes", "DELETE"),
    _refuse("audit_nodes", "TRUNCATE"),
    _refuse("audit_checkpoints", "UPDATE"),
    _refuse("audit_checkpoints", "DELETE"),
    _refuse("audit_checkpoints", "TRUNCATE"),
)
"""Statements that the metadata cannot express; each can run repeatedly."""
