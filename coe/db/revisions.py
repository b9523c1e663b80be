"""The revisions of the schema that were applied to a database, and how far back-fills are.

A revision expands the schema, and code that does not know it works on; or it contracts the schema,
and from then on only code that knows the revision it names does. The database says of each revision
which of both it is, so code can read of a revision that is newer than itself whether it may go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import BigInteger, Column, DateTime, Text, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel


class RevisionKind(StrEnum):
    """Whom a revision of the schema concerns."""

    EXPAND = "expand"
    """It adds: code that does not know it works on. It is applied before new processes start."""
    CONTRACT = "contract"
    """It takes away: it is applied when no process runs any more that needs what goes."""


class SchemaRevision(SQLModel, table=True):
    """A revision that was applied; `kind` is a `RevisionKind`.

    `works_with` is the newest revision that code has to know to work on. `finished_at` is empty
    while indexes, back-fills or validations of it are not done.
    """

    __tablename__ = "schema_revisions"

    revision: str = Field(sa_column=Column(Text, primary_key=True))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    works_with: str = Field(sa_column=Column(Text, nullable=False))
    started_at: datetime = Field(
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=func.now())
    )
    finished_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))


class SchemaBackfill(SQLModel, table=True):
    """How far a back-fill of a revision is: the key of the last row that was looked at, as text."""

    __tablename__ = "schema_backfills"

    revision: str = Field(sa_column=Column(Text, primary_key=True))
    name: str = Field(sa_column=Column(Text, primary_key=True))
    after: list[str] | None = Field(default=None, sa_column=Column(ARRAY(Text)))
    filled: int = Field(
        sa_column=Column(BigInteger, nullable=False, server_default=text("0")), default=0
    )
    finished_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))


SCHEMA_REVISIONS: Final = SchemaRevision.metadata.tables["schema_revisions"]
SCHEMA_BACKFILLS: Final = SchemaBackfill.metadata.tables["schema_backfills"]
APPLIED: Final = select(
    SCHEMA_REVISIONS.c.revision,
    SCHEMA_REVISIONS.c.kind,
    SCHEMA_REVISIONS.c.works_with,
    SCHEMA_REVISIONS.c.finished_at.is_not(None).label("finished"),
).order_by(SCHEMA_REVISIONS.c.revision)
"""The statement that reads the revisions of a database, for `Applied`."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A revision that a database has."""

    revision: str
    kind: str
    works_with: str
    finished: bool


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The revisions that a database has, the oldest first; there is one at least."""

    applied: tuple[Applied, ...]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, str, bool]]) -> SchemaState | None:
        """What `APPLIED` found; None if that is nothing."""
        found = tuple(Applied(*row) for row in rows)
        return cls(found) if found else None

    @property
    def newest(self) -> str:
        """The newest revision, whatever its kind."""
        return self.applied[-1].revision

    @property
    def expanded(self) -> str | None:
        """The newest expand of which nothing is left to do."""
        expand = RevisionKind.EXPAND
        found = [each.revision for each in self.applied if each.kind == expand and each.finished]
        return found[-1] if found else None

    @property
    def finished(self) -> frozenset[str]:
        """The revisions of which nothing is left to do."""
        return frozenset(each.revision for each in self.applied if each.finished)

    def beyond(self, known: str) -> tuple[Applied, ...]:
        """The contracts with which code that knows revisions up to this one does not work."""
        contract = RevisionKind.CONTRACT
        return tuple(
            each for each in self.applied if each.kind == contract and each.works_with > known
        )
