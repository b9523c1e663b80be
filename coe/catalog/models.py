"""Tables of the catalog: entries of all kinds, their versions, aliases, approvals and links.

An entry has the title, summary, tags … of its current version: the version of the alias `live`, or
else the newest in the most advanced state. The content of a version (definition, schemas, template
files, problems that may quote them) is sealed; its search document is in clear.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR
from sqlmodel import Field, SQLModel

from coe.access.actor import DataClass
from coe.db import new_id, utcnow
from coe.json_types import JSON

LIVE = "live"
DDL = (
    "CREATE EXTENSION IF NOT EXISTS fuzzystrmatch",
    """
    CREATE OR REPLACE FUNCTION entry_changed() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
    BEGIN
      IF TG_TABLE_NAME = 'entries' THEN
        INSERT INTO entry_changes (entry_id) VALUES (coalesce(NEW.id, OLD.id));
      ELSE
        INSERT INTO entry_changes (entry_id) VALUES (coalesce(NEW.entry_id, OLD.entry_id));
      END IF;
      RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER entries_change AFTER INSERT OR DELETE OR UPDATE ON entries
    FOR EACH ROW EXECUTE FUNCTION entry_changed()
    """,
    """
    CREATE OR REPLACE TRIGGER entry_versions_change AFTER INSERT OR DELETE
    OR UPDATE OF lifecycle, data_class, team, card, created_by, editors ON entry_versions
    FOR EACH ROW EXECUTE FUNCTION entry_changed()
    """,
)


class EntryKind(StrEnum):
    """What an entry of the catalog is."""

    TEMPLATE = "TEMPLATE"
    FLOW = "FLOW"
    SYSTEM = "SYSTEM"
    LESSON = "LESSON"
    DECISION = "DECISION"


class FlowKind(StrEnum):
    """Who runs a flow: the platform (CENTRAL) or the worker of its team (LOCAL)."""

    CENTRAL = "CENTRAL"
    LOCAL = "LOCAL"


class Lifecycle(StrEnum):
    """The state of a version; `coe.catalog.versions.lifecycle` has the transitions."""

    DRAFT = "DRAFT"
    IN_REVIEW = "IN_REVIEW"
    PUBLISHED = "PUBLISHED"
    DEPRECATED = "DEPRECATED"
    RETIRED = "RETIRED"


class LinkKind(StrEnum):
    """Why one entry names another."""

    CALLS = "CALLS"
    SYSTEM = "SYSTEM"


class ReviewVerdict(StrEnum):
    """What a reviewer decided on a version."""

    APPROVED = "APPROVED"
    REFUSED = "REFUSED"


def _enum(kind: type[StrEnum]) -> Enum:
    return Enum(kind, native_enum=False, length=16, create_constraint=False)


def _moment(*, nullable: bool = False) -> Column[datetime]:
    return Column(DateTime(timezone=True), nullable=nullable)


def _sealed() -> Column[bytes]:
    return Column(LargeBinary, nullable=True)


def _texts() -> Column[list[str]]:
    return Column(ARRAY(Text), nullable=False)


_VECTOR = " || ".join(
    f"setweight(to_tsvector('english'::regconfig, {column}), '{weight}')"
    for column, weight in (
        ("search_title", "A"),
        ("search_tags", "B"),
        ("search_summary", "B"),
        ("search_body", "C"),
    )
)


class Entry(SQLModel, table=True):
    """An entry `namespace/name` of the catalog, as its current version describes it.

    `team` (a slug) owns it and decides with `data_class` who may read it. `systems` are refs.
    `uses` counts the flows made from a template, or the flows that call a flow or table.
    `coe.catalog.search.document` writes the `search_…` columns, which only processes of the release
    before read: the index of `coe.search` is in their place.
    """

    __tablename__ = "entries"
    __table_args__ = (
        UniqueConstraint("namespace", "name"),
        Index("ix_entries_search", "search", postgresql_using="gin"),
        Index(
            "ix_entries_search_words",
            "search_words",
            postgresql_using="gin",
            postgresql_ops={"search_words": "gin_trgm_ops"},
        ),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    kind: EntryKind = Field(sa_column=Column(_enum(EntryKind), nullable=False))
    flow_kind: FlowKind | None = Field(
        default=None,
        sa_column=Column(_enum(FlowKind), nullable=True),
    )
    namespace: str
    name: str
    team: str = Field(index=True)
    title: str
    summary: str
    tags: list[str] = Field(default_factory=list, sa_column=_texts())
    systems: list[str] = Field(default_factory=list, sa_column=_texts())
    domain: str | None = None
    data_class: DataClass = Field(sa_column=Column(_enum(DataClass), nullable=False))
    process_owner: str | None = None
    deputy: str | None = None
    code: bytes | None = None
    lifecycle: Lifecycle = Field(sa_column=Column(_enum(Lifecycle), nullable=False))
    current_version: str | None = None
    current_version_id: UUID | None = Field(default=None, index=True)
    uses: int = 0
    created_at: datetime = Field(default_factory=utcnow, sa_column=_moment())
    updated_at: datetime = Field(default_factory=utcnow, sa_column=_moment())
    search_title: str = ""
    search_tags: str = ""
    search_summary: str = ""
    search_body: str = ""
    search_words: str = ""
    search: Any = Field(
        default=None,
        sa_column=Column(TSVECTOR, Computed(_VECTOR, persisted=True), nullable=True),
    )


class EntryVersion(SQLModel, table=True):
    """One version of a flow, a template, a decision table or a system.

    A draft can be replaced and deleted; from its submission on a version never changes.
    `digest` (SHA-256, hex) is over the canonical form of the content, `body_digest` over the
    same without its version number; `signature` (Ed25519, base64) is over the digest, from its
    publication on over `publication` (`coe.catalog.versions.signatures`).
    `precedence` sorts as semver does. `engine` is where a flow runs. `card` is the JSON form of
    `coe.catalog.search.document.SearchDocument`, and `code` is over it (`coe.catalog.owners`). The
    sealed columns contain JSON. `editors` are
    the subjects besides `created_by` who replaced the draft, and `author_persons` all who count as
    an author (`coe.access.persons`). `tests_digest` is over the text of
    the tests that came with it; `evidence_sealed` has their result at the submission. `changelog`
    is in clear only in rows of earlier releases, until `seal_clear_texts` has sealed them.
    """

    __tablename__ = "entry_versions"
    __table_args__ = (
        UniqueConstraint("entry_id", "version"),
        Index("ix_entry_versions_lifecycle", "lifecycle", "submitted_at"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    entry_id: UUID = Field(foreign_key="entries.id", index=True)
    kind: EntryKind = Field(sa_column=Column(_enum(EntryKind), nullable=False))
    flow_kind: FlowKind | None = Field(
        default=None,
        sa_column=Column(_enum(FlowKind), nullable=True),
    )
    namespace: str
    name: str
    team: str
    data_class: DataClass = Field(sa_column=Column(_enum(DataClass), nullable=False))
    version: str
    precedence: str = Field(sa_column=Column(String(collation="C"), nullable=False))
    lifecycle: Lifecycle = Field(sa_column=Column(_enum(Lifecycle), nullable=False))
    digest: str = Field(index=True)
    body_digest: str
    signature: str
    publication: str | None = None
    engine: str | None = None
    changelog: str | None = None
    changelog_sealed: bytes | None = Field(default=None, sa_column=_sealed())
    tests_digest: str | None = None
    tests_sealed: bytes | None = Field(default=None, sa_column=_sealed())
    evidence_sealed: bytes | None = Field(default=None, sa_column=_sealed())
    submission_sealed: bytes | None = Field(default=None, sa_column=_sealed())
    edited_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    editors: list[str] = Field(
        default_factory=list,
        sa_column=Column(ARRAY(Text), nullable=False, server_default="{}"),
    )
    card: dict[str, JSON] = Field(sa_column=Column(JSONB, nullable=False))
    code: bytes | None = None
    content_sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    schemas_sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    problems_sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = Field(default_factory=utcnow, sa_column=_moment())
    created_by: str
    author_persons: list[str] = Field(
        default_factory=list,
        sa_column=Column(ARRAY(Text), nullable=False, server_default="{}"),
    )
    submitted_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    submitted_by: str | None = None
    published_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    published_by: str | None = None


class EntryAlias(SQLModel, table=True):
    """A name of one exact version of an entry, such as `live`."""

    __tablename__ = "entry_aliases"

    entry_id: UUID = Field(foreign_key="entries.id", primary_key=True)
    alias: str = Field(primary_key=True)
    version_id: UUID = Field(foreign_key="entry_versions.id", index=True)
    version: str
    set_by: str
    set_at: datetime = Field(default_factory=utcnow, sa_column=_moment())


class VersionApproval(SQLModel, table=True):
    """The decision of one reviewer on one version, and why; rows are only added.

    `persons` are those who count as having decided (`coe.access.persons`). `digest` is that of the
    content that was reviewed: a version that was sent back may change.
    `comment` is in clear only in rows of earlier releases, until `seal_clear_texts` seals them.
    `signature` is over the whole row (`coe.catalog.versions.approvals`): without it it counts not.
    """

    __tablename__ = "version_approvals"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    version_id: UUID = Field(foreign_key="entry_versions.id", index=True)
    by: str
    persons: list[str] = Field(
        default_factory=list,
        sa_column=Column(ARRAY(Text), nullable=False, server_default="{}"),
    )
    at: datetime = Field(default_factory=utcnow, sa_column=_moment())
    decision: ReviewVerdict = Field(sa_column=Column(_enum(ReviewVerdict), nullable=False))
    comment: str | None = None
    comment_sealed: bytes | None = Field(default=None, sa_column=_sealed())
    digest: str | None = None
    signature: str | None = None


class EntryChange(SQLModel, table=True):
    """That an entry or a version of it changed, in the transaction `xid`; triggers write the rows.

    The index of every process follows them (`coe.catalog.search.following`); rows that all have
    followed are deleted.
    """

    __tablename__ = "entry_changes"

    number: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    entry_id: UUID
    xid: int | None = Field(
        default=None,
        sa_column=Column(
            BigInteger,
            nullable=False,
            index=True,
            server_default=text("(pg_current_xact_id()::text)::bigint"),
        ),
    )
    at: datetime | None = Field(
        default=None,
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=text("now()")),
    )


class EntryLink(SQLModel, table=True):
    """A link from a version to another entry: a flow or table that it calls, a system it uses.

    The target is stored by name, because it may be registered later; `selector` is the part after
    the `@`, empty without one.
    """

    __tablename__ = "entry_links"
    __table_args__ = (Index("ix_entry_links_target", "target_namespace", "target_name"),)

    version_id: UUID = Field(
        sa_column=Column(ForeignKey("entry_versions.id"), primary_key=True),
    )
    kind: LinkKind = Field(sa_column=Column(_enum(LinkKind), primary_key=True))
    target_namespace: str = Field(primary_key=True)
    target_name: str = Field(primary_key=True)
    selector: str = Field(default="", primary_key=True)
