"""What a simulated PostgreSQL keeps: row versions, row locks, unique and foreign keys, in memory.

READ COMMITTED as PostgreSQL has it: a statement sees what was committed when it began (and what its
own transaction wrote); who writes a row locks it until the end of the transaction; who waited for
a lock looks at the newest version of the row again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Table, UniqueConstraint
from sqlalchemy.exc import IntegrityError, OperationalError

Data = dict[str, Any]

KEY_SHARE, SHARE, NO_KEY_UPDATE, UPDATE = range(4)
CONFLICTS: Final = (
    frozenset({UPDATE}),
    frozenset({NO_KEY_UPDATE, UPDATE}),
    frozenset({SHARE, NO_KEY_UPDATE, UPDATE}),
    frozenset({KEY_SHARE, SHARE, NO_KEY_UPDATE, UPDATE}),
)
"""Row locks that exclude one another (PostgreSQL documentation, 13.3.2)."""

_NULL: Final = re.compile(r"(\w+) IS NULL")
INDEXED: Final = frozenset({"id", "run_id", "subject", "parent_id", "task_id", "event_id"})
"""Columns by which rows are found without looking at all of them."""


class Deadlock(Exception):
    """Transactions wait for one another; this one is given up."""


def database_error(message: str) -> OperationalError:
    """What the driver raises when the server ends a statement or a connection."""
    return OperationalError("(simulated)", {}, Exception(message))


class Row:
    """One row: what is committed, and what one transaction has made of it since."""

    __slots__ = ("data", "locks", "new", "older", "seq", "writer")

    def __init__(self) -> None:
        self.data: Data | None = None
        self.seq = 0
        self.older: list[tuple[int, Data | None]] = []
        self.writer: Transaction | None = None
        self.new: Data | None = None
        self.locks: dict[Transaction, int] = {}

    def seen(self, transaction: Transaction | None, snapshot: int) -> Data | None:
        """The version that a statement of this transaction sees."""
        if self.writer is not None and self.writer is transaction:
            return self.new
        if self.seq <= snapshot:
            return self.data
        for seq, data in reversed(self.older):
            if seq <= snapshot:
                return data
        return None

    def newest(self, transaction: Transaction) -> Data | None:
        """The version as it is once the row is locked."""
        return self.new if self.writer is transaction else self.data


class Index:
    """Rows by the values of columns. It may name rows that no longer have them: look again.

    One with `only` has the rows alone in which that column is null.
    """

    __slots__ = ("columns", "entries", "only", "unique")

    def __init__(self, columns: tuple[str, ...], *, unique: bool, only: str | None = None) -> None:
        self.columns, self.unique, self.only = columns, unique, only
        self.entries: dict[Any, dict[Row, None]] = {}

    def key(self, data: Data) -> Any:
        """The value by which a version is found; None where a part of it is null, or it is not."""
        if self.only is not None and data.get(self.only) is not None:
            return None
        if len(self.columns) == 1:
            return data[self.columns[0]]
        key = tuple(data[name] for name in self.columns)
        return None if None in key else key

    def add(self, row: Row, data: Data) -> None:
        key = self.key(data)
        if key is not None:
            self.entries.setdefault(key, {})[row] = None

    def drop(self, row: Row, data: Data) -> None:
        key = self.key(data)
        found = self.entries.get(key)
        if found is not None:
            found.pop(row, None)
            if not found:
                del self.entries[key]


class Relation:
    """The rows of one table."""

    def __init__(self, table: Table) -> None:
        self.table, self.name = table, table.name
        self.columns = tuple(column.name for column in table.columns)
        self.rows: dict[Row, None] = {}
        uniques = [tuple(column.name for column in table.primary_key)]
        uniques += [
            tuple(column.name for column in constraint.columns)
            for constraint in table.constraints
            if isinstance(constraint, UniqueConstraint)
        ]
        uniques += [
            tuple(column.name for column in index.columns)
            for index in table.indexes
            if index.unique and index.dialect_options["postgresql"]["where"] is None
        ]
        partial = [
            (tuple(column.name for column in index.columns), only[1])
            for index in table.indexes
            if index.unique
            and (only := _NULL.fullmatch(str(index.dialect_options["postgresql"]["where"])))
        ]
        self.keys = frozenset(name for unique in uniques for name in unique)
        self.keys |= {name for columns, only in partial for name in (*columns, only)}
        plain = [(name,) for name in self.columns if name in INDEXED and (name,) not in uniques]
        self.indexes = [Index(columns, unique=True) for columns in uniques]
        self.indexes += [Index(columns, unique=True, only=only) for columns, only in partial]
        self.indexes += [Index(columns, unique=False) for columns in plain]
        self.by_columns = {index.columns: index for index in self.indexes}
        self.required = tuple(
            column.name
            for column in table.columns
            if not column.nullable and column.identity is None
        )
        self.parents = tuple(
            (key.parent.name, key.column.table.name, key.column.name) for key in table.foreign_keys
        )
        self.identity = next((c.name for c in table.columns if c.identity is not None), None)
        self.counter = 0

    def candidates(self, column: str, value: Any) -> Iterable[Row]:
        """The rows that may have this value."""
        index = self.by_columns.get((column,))
        return self.rows if index is None else list(index.entries.get(value, ()))


def _in_turn(waiting: list[asyncio.Future[None]]) -> None:
    for each in waiting:
        each.set_result(None)


class Store:
    """All tables of one server."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self.relations = {table.name: Relation(table) for table in tables}
        self.seq = 0
        self.waiting = 0
        self.wake: Callable[[list[asyncio.Future[None]]], None] = _in_turn
        """Wakes those that waited for one transaction, in an order of its choice."""
        self._dead: list[tuple[Relation, Row, Data]] = []

    def committed(self, name: str) -> Iterator[Data]:
        """The committed rows of a table: for the oracles, not for statements."""
        for row in list(self.relations[name].rows):
            if row.data is not None:
                yield row.data

    def purge(self) -> None:
        """Forget versions that no statement can see any more."""
        if self.waiting:
            return
        for relation, row, data in self._dead:
            row.older.clear()
            if row.writer is None and row.data is None:
                relation.rows.pop(row, None)
                for index in relation.indexes:
                    index.drop(row, data)
            else:
                current = [each for each in (row.data, row.new) if each is not None]
                for index in relation.indexes:
                    if index.key(data) not in [index.key(each) for each in current]:
                        index.drop(row, data)
        self._dead.clear()

    def retire(self, relation: Relation, row: Row, data: Data) -> None:
        """Note a version that is no longer the newest."""
        self._dead.append((relation, row, data))


class Transaction:
    """One transaction: what it wrote, what it locks, what it will notify."""

    __slots__ = (
        "appended",
        "closed",
        "ended",
        "failed",
        "locked",
        "notices",
        "owner",
        "pending",
        "started",
        "store",
        "waits_for",
        "written",
    )

    def __init__(self, store: Store, owner: Any, started: datetime) -> None:
        self.store, self.owner, self.started = store, owner, started
        self.written: dict[Row, Relation] = {}
        self.locked: dict[Row, None] = {}
        self.notices: dict[tuple[str, str], None] = {}
        self.ended: list[asyncio.Future[None]] = []
        self.waits_for: tuple[Transaction, ...] = ()
        self.pending: asyncio.Future[None] | None = None
        self.failed = False
        self.closed = False
        self.appended: list[tuple[UUID, int, int]] = []
        """Runs that were written: which, the fence that was given, that of the row."""

    # ------------------------------------------------------------------ locks

    async def lock(self, row: Row, mode: int, *, skip: bool = False) -> bool:
        """Lock a row, waiting for its lockers; false if `skip` and it is locked."""
        while True:
            locks = row.locks
            mine = locks.get(self, -1)
            if mine >= mode:
                return True
            others = CONFLICTS[mode]
            blockers = [t for t, held in locks.items() if held in others and t is not self]
            if not blockers:
                locks[self] = mode
                self.locked[row] = None
                return True
            if skip:
                return False
            await self.wait(blockers)

    async def wait(self, blockers: list[Transaction]) -> None:
        """Wait until one of these transactions has ended."""
        if any(blocker.reaches(self) for blocker in blockers):
            self.failed = True
            raise Deadlock
        ended = asyncio.get_running_loop().create_future()
        for blocker in blockers:
            blocker.ended.append(ended)
        self.waits_for, self.pending = tuple(blockers), ended
        self.store.waiting += 1
        try:
            await ended
        finally:
            self.waits_for, self.pending = (), None
            self.store.waiting -= 1
        if self.closed:
            raise database_error("the connection was lost")

    def reaches(self, other: Transaction) -> bool:
        """Whether this transaction waits, however indirectly, for the other."""
        seen: set[int] = set()
        todo = [self]
        while todo:
            each = todo.pop()
            if each is other:
                return True
            if id(each) not in seen:
                seen.add(id(each))
                todo.extend(each.waits_for)
        return False

    # ------------------------------------------------------------------ writing

    def write(self, relation: Relation, row: Row, data: Data | None) -> None:
        """Give a locked row a new version; None deletes it."""
        before = row.new if row.writer is self else row.data
        row.writer, row.new = self, data
        self.written[row] = relation
        if data is None:
            return
        if before is None:
            for index in relation.indexes:
                index.add(row, data)
            return
        for index in relation.indexes:
            if index.key(before) != index.key(data):
                index.add(row, data)

    async def insert(self, relation: Relation, data: Data) -> Row:
        """Insert a row.

        Raises:
            IntegrityError: A key is there already, one that it names is not, a value is missing.
        """
        for name in relation.required:
            if data.get(name) is None:
                raise _broken(f"null value in column {name} of {relation.name}")
        clash = await self.clash(relation, data)
        if clash is not None:
            raise _broken(f"duplicate key in {relation.name}")
        row = Row()
        relation.rows[row] = None
        row.locks[self] = UPDATE
        self.locked[row] = None
        row.seq = self.store.seq
        self.write(relation, row, data)
        await self.check_parents(relation, data, relation.parents)  # as its trigger does: last
        return row

    async def clash(  # noqa: C901  # the cases of one question
        self,
        relation: Relation,
        data: Data,
        *,
        but: Row | None = None,
        columns: tuple[str, ...] | None = None,
    ) -> Row | None:
        """The row that conflicts with a version; waits for rows that are not yet committed."""
        while True:
            unsettled: list[Transaction] = []
            for index in relation.indexes:
                if not index.unique or (columns is not None and index.columns != columns):
                    continue
                key = index.key(data)
                if key is None:
                    continue
                for row in index.entries.get(key, ()):
                    if row is but:
                        continue
                    if row.writer is None or row.writer is self:
                        current = row.newest(self)
                        if current is not None and index.key(current) == key:
                            return row
                    elif any(
                        each is not None and index.key(each) == key for each in (row.data, row.new)
                    ):
                        unsettled.append(row.writer)
            if not unsettled:
                return None
            await self.wait(unsettled)

    async def check_parents(
        self, relation: Relation, data: Data, parents: Iterable[tuple[str, str, str]]
    ) -> None:
        """Lock the rows that foreign keys name, so that they cannot go."""
        for name, parent, column in parents:
            value = data.get(name)
            if value is None:
                continue
            for row in list(self.store.relations[parent].candidates(column, value)):
                await self.lock(row, KEY_SHARE)
                current = row.newest(self)
                if current is not None and current[column] == value:
                    break
            else:
                raise _broken(f"{relation.name}.{name} names no row of {parent}")

    # ------------------------------------------------------------------ the end

    def commit(self) -> list[tuple[str, str]]:
        """Make all changes visible at once; returns the notifications to send."""
        store = self.store
        if self.failed:
            self.rollback()
            return []
        if self.written:
            store.seq += 1
            for row, relation in self.written.items():
                before = row.data
                if store.waiting:
                    row.older.append((row.seq, before))
                row.data, row.seq = row.new, store.seq
                row.writer = row.new = None
                if before is not None:
                    store.retire(relation, row, before)
                elif row.data is None:
                    relation.rows.pop(row, None)
        self._end()
        return list(self.notices)

    def rollback(self) -> None:
        """Undo it all."""
        for row, relation in self.written.items():
            new = row.new
            row.writer = row.new = None
            if new is not None:
                self.store.retire(relation, row, new)
            elif row.data is None:
                relation.rows.pop(row, None)
        self._end()

    def _end(self) -> None:
        self.closed = True
        if self.pending is not None and not self.pending.done():
            self.pending.set_result(None)
        for row in self.locked:
            row.locks.pop(self, None)
        self.written.clear()
        self.locked.clear()
        waiting = dict.fromkeys(each for each in self.ended if not each.done())
        self.store.wake(list(waiting))
        self.ended.clear()
        self.store.purge()


def _broken(message: str) -> IntegrityError:
    return IntegrityError("(simulated)", {}, Exception(message))


Change = Callable[[Data], Data]
