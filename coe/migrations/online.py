"""What a revision does without holding up anybody: indexes, back-fills, validations.

Each can be repeated: what a process left half done when it was killed is gone on with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from coe.db.revisions import SCHEMA_BACKFILLS
from coe.errors import CoeError

PAGE_ROWS: Final = 5000
"""How many rows of a back-fill are one transaction."""
_INDEX: Final = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
_VALIDATED: Final = text("""
    SELECT convalidated FROM pg_constraint
    WHERE conrelid = CAST(:table AS regclass) AND conname = :name
""")
_ESTIMATE: Final = text(
    "SELECT reltuples::bigint FROM pg_class WHERE oid = CAST(:name AS regclass)"
)
_TYPES: Final = text("""
    SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = CAST(:name AS regclass) AND attname = ANY (:keys)
""")


@dataclass(frozen=True, slots=True)
class OnlineIndex:
    """An index that is made while others write: `CREATE INDEX CONCURRENTLY name ON table …`.

    `definition` is what follows the table, such as `(team, id) WHERE ended_at IS NULL`.
    """

    name: str
    table: str
    definition: str
    unique: bool = False

    @property
    def create(self) -> str:
        """The statement that makes it, outside of a transaction."""
        unique = "UNIQUE " if self.unique else ""
        return f"CREATE {unique}INDEX CONCURRENTLY {self.name} ON {self.table} {self.definition}"

    def make(self, connection: Connection) -> bool:
        """Make it, and first drop what a crash or a duplicate left of it; whether it was missing.

        The connection commits each statement. Nobody waits for a lock of these statements, and they
        wait for the transactions that are open, so they may wait long.
        """
        valid = connection.scalar(_INDEX, {"name": self.name})
        if valid:
            return False
        if valid is not None:
            connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY {self.name}")
        connection.exec_driver_sql(self.create)
        return True


@dataclass(frozen=True, slots=True)
class Validation:
    """The check of the rows under a constraint that was added as NOT VALID; others go on."""

    table: str
    constraint: str

    @property
    def statement(self) -> str:
        """The statement that checks."""
        return f"ALTER TABLE {self.table} VALIDATE CONSTRAINT {self.constraint}"

    def make(self, connection: Connection) -> bool:
        """Validate the constraint unless it is; whether it was not."""
        found = connection.scalar(_VALIDATED, {"table": self.table, "name": self.constraint})
        if found is None:
            message = f"there is no constraint {self.constraint} on {self.table} to be validated"
            raise CoeError(message, code="INVALID")
        if found:
            return False
        connection.exec_driver_sql(self.statement)
        return True


@dataclass(frozen=True, slots=True)
class Backfill:
    """A change of the rows of a table, a page a transaction, in the order of a key.

    The transaction of a page keeps how far it is, so each row is changed once; and `change` leaves
    alone what needs no change, so that it can be repeated.

    Attributes:
        table: The table.
        key: The columns of its primary key.
        change: A statement in which `{page}` stands for the condition of the page, such as
            `UPDATE runs SET team = 'coe' WHERE {page} AND team IS NULL`.
        rows: How many rows are a page.
    """

    table: str
    key: tuple[str, ...]
    change: str
    rows: int = PAGE_ROWS

    def page(self, after: str | None, until: str | None) -> str:
        """The statement that changes the rows after one key until another, both in SQL."""
        key = f"({', '.join(self.key)})"
        bounds = [f"{key} > ({after})"] if after else []
        bounds += [f"{key} <= ({until})"] if until else []
        return self.change.replace("{page}", f"({' AND '.join(bounds) or 'true'})")

    def estimate(self, connection: Connection) -> int:
        """About how many rows the table has."""
        return max(connection.scalar(_ESTIMATE, {"name": self.table}) or 0, 0)

    def fill_page(self, connection: Connection, revision: str) -> tuple[int, bool]:
        """Change the next page, in the transaction of the connection.

        Returns:
            How many rows were changed so far, and whether this was the last page.
        """
        row = SCHEMA_BACKFILLS.c.revision == revision, SCHEMA_BACKFILLS.c.name == self.table
        known = connection.execute(
            SCHEMA_BACKFILLS.select().where(*row).with_for_update()
        ).one_or_none()
        if known is None:
            start = SCHEMA_BACKFILLS.insert().values(revision=revision, name=self.table)
            connection.execute(start)
        elif known.finished_at is not None:
            return known.filled, True
        after: list[str] | None = known.after if known else None
        found = connection.execute(_TYPES, {"name": self.table, "keys": list(self.key)})
        types: dict[str, str] = {row[0]: row[1] for row in found}
        values = _values("after", after)
        until = self._end_of_page(connection, types, values)
        values |= _values("until", until)
        statement = self.page(
            self._casts("after", types) if after else None,
            self._casts("until", types) if until else None,
        )
        done = (known.filled if known else 0) + connection.execute(text(statement), values).rowcount
        ended = {"finished_at": text("clock_timestamp()")} if until is None else {}
        connection.execute(
            SCHEMA_BACKFILLS.update().where(*row).values(after=until or after, filled=done, **ended)
        )
        return done, until is None

    def _end_of_page(
        self, connection: Connection, types: dict[str, str], values: dict[str, str]
    ) -> list[str] | None:
        """The key of the last row of the page; None if it is the last page."""
        keys = ", ".join(self.key)
        where = f"WHERE ({keys}) > ({self._casts('after', types)})" if values else ""
        texts = ", ".join(f"CAST({each} AS text)" for each in self.key)
        ordered = ", ".join(f"{self.table}.{each}" for each in self.key)  # not the texts
        statement = (
            f"SELECT {texts} FROM {self.table} {where} "  # noqa: S608  # a revision's own names
            f"ORDER BY {ordered} OFFSET {self.rows - 1} LIMIT 1"
        )
        row = connection.execute(text(statement), values).one_or_none()
        return list(row) if row is not None else None

    def _casts(self, name: str, types: dict[str, str]) -> str:
        return ", ".join(
            f"CAST(CAST(:{name}_{number} AS text) AS {types[each]})"
            for number, each in enumerate(self.key)
        )


def _values(name: str, key: list[str] | None) -> dict[str, str]:
    return {f"{name}_{number}": each for number, each in enumerate(key or ())}
