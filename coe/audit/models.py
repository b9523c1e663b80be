"""Tables of the log: events, the nodes of the Merkle tree over them, signed checkpoints.

An event is inserted in the transaction of the change that it records, without a position; the
sealer gives it one a moment later, if its code shows that the platform wrote it. From then on
triggers refuse every change of the three tables. The triggers prevent mistakes; the codes, the tree
and its signature expose a database administrator.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
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
    columns are in clear and take no personal data. `mac` is a code over them all and `written_at`,
    the time of the insertion by the clock of its process (`coe.audit.admission`); `stored_at` is
    the same by the clock of the database, and `xid` its transaction. The sealer sets `position`
    (from 0, without gaps) and `leaf_hash`, or else `refused`: why the row is no event.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("uq_audit_events_position", "position", unique=True),
        Index(
            "ix_audit_events_waiting",
            "xid",
            "id",
            postgresql_where=text("position IS NULL AND refused IS NULL"),
        ),
        Index("ix_audit_events_refused", "id", postgresql_where=text("refused IS NOT NULL")),
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
    written_at: datetime | None = None
    mac: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    stored_at: datetime | None = None
    refused: str | None = Field(default=None, sa_column=Column(Text))
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
    """The signed size and root of the log at a time; the note contains all of it.

    `fence` is that of the sealer; a trigger refuses it if another one has sealed since.
    """

    __tablename__ = "audit_checkpoints"

    tree_size: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    root_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    at: datetime
    note: str = Field(sa_column=Column(Text, nullable=False))
    fence: int | None = Field(default=None, sa_column=Column(BigInteger))


class AuditSealer(SQLModel, table=True):
    """Who seals, and until when unless that is renewed: one row, which only sealers may write.

    `fence` grows with each holder.
    """

    __tablename__ = "audit_sealer"

    id: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    holder: str = Field(sa_column=Column(Text, nullable=False))
    fence: int = Field(sa_column=Column(BigInteger, nullable=False))
    until: datetime


class AuditLoss(SQLModel, table=True):
    """A loss of sealed events that the sealer has found, and who accepted it (`coe.audit.losses`).

    `lost_note` is the newest signed note that the log does not continue: it stays as evidence.
    """

    __tablename__ = "audit_losses"

    id: UUID = Field(primary_key=True)
    found_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    kept_size: int = Field(sa_column=Column(BigInteger, nullable=False))
    kept_root: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    lost_size: int = Field(sa_column=Column(BigInteger, nullable=False))
    lost_note: str = Field(sa_column=Column(Text, nullable=False))
    proposed_by: str | None = Field(default=None, sa_column=Column(Text))
    proposer_persons: list[str] | None = Field(default=None, sa_column=Column(ARRAY(Text)))
    proposed_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    approved_by: str | None = Field(default=None, sa_column=Column(Text))
    approver_persons: list[str] | None = Field(default=None, sa_column=Column(ARRAY(Text)))
    approved_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    code: bytes | None = Field(default=None, sa_column=Column(LargeBinary))


class AuditSink(SQLModel, table=True):
    """A place outside the database that keeps checkpoints, and what was last kept there.

    `note` is the newest checkpoint that it has acknowledged: one that is older there now, or gone,
    is refused. `error` is why the last attempt failed, since `failing_since`.
    """

    __tablename__ = "audit_sinks"

    name: str = Field(sa_column=Column(Text, primary_key=True))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    added_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    epoch: int = Field(sa_column=Column(SmallInteger, nullable=False))
    tree_size: int = Field(sa_column=Column(BigInteger, nullable=False))
    note: str | None = Field(default=None, sa_column=Column(Text))
    kept_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    error: str | None = Field(default=None, sa_column=Column(Text))
    failing_since: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    code: bytes | None = Field(default=None, sa_column=Column(LargeBinary))


CONTENT_COLUMNS: Final = tuple(
    column.name
    for column in AuditEvent.metadata.tables[AuditEvent.__tablename__].columns
    if column.name not in {"position", "leaf_hash", "refused"}
)
"""The columns of an event that its writer sets; the sealer sets the others."""


CLOCK_BOUND: Final = 300
"""Seconds by which the clock of a process may differ from the database's: else no event is written.

So a row whose two times differ more is none of the platform's, and the sealer refuses it.
"""

_MAX_BYTES: Final = 4 * 500
_TEXTS: Final = tuple(
    column.name
    for column in AuditEvent.metadata.tables[AuditEvent.__tablename__].columns
    if isinstance(column.type, Text) and column.name != "refused"
)


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

_ACCEPT: Final = f"""
    CREATE OR REPLACE FUNCTION audit_accept() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog AS $$
    BEGIN
      IF NEW.position IS NOT NULL OR NEW.leaf_hash IS NOT NULL OR NEW.refused IS NOT NULL
        OR NEW.xid <> pg_current_xact_id() OR NEW.at NOT BETWEEN '1970-01-02' AND '9999-01-01'
        OR greatest({", ".join(f"octet_length(NEW.{name})" for name in _TEXTS)}) > {_MAX_BYTES}
      THEN
        RAISE EXCEPTION 'this is not how events of the audit log are written'
          USING ERRCODE = 'restrict_violation';
      END IF;
      NEW.stored_at := clock_timestamp();
      IF abs(extract(epoch FROM NEW.written_at - NEW.stored_at)) > {CLOCK_BOUND} THEN
        RAISE EXCEPTION 'by the clock of the process it is %, and by the clock of the database'
          ' %: no event is written while they differ by more than {CLOCK_BOUND} seconds',
          NEW.written_at, NEW.stored_at USING ERRCODE = 'restrict_violation';
      END IF;
      RETURN NEW;
    END $$
"""
_FENCE: Final = """
    CREATE OR REPLACE FUNCTION audit_fence() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NEW.fence IS DISTINCT FROM (SELECT max(fence) FROM audit_sealer) THEN
        RAISE EXCEPTION 'another sealer of the audit log has taken over'
          USING ERRCODE = 'restrict_violation';
      END IF;
      RETURN NEW;
    END $$
"""

DDL: Final = (
    """
    CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
    END $$
    """,
    _ACCEPT,
    _FENCE,
    """
    CREATE OR REPLACE TRIGGER audit_events_accept BEFORE INSERT ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_accept()
    """,
    """
    CREATE OR REPLACE TRIGGER audit_checkpoints_fence BEFORE INSERT ON audit_checkpoints
    FOR EACH ROW EXECUTE FUNCTION audit_fence()
    """,
    """
    INSERT INTO audit_sealer (id, holder, fence, until) VALUES (1, '', 0, '-infinity')
    ON CONFLICT DO NOTHING
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
