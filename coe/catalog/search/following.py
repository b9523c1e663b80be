"""The index of this process, which follows the changes of entries before each search.

Every change of an entry writes a row with its transaction (`EntryChange`). A search first applies
each row that it can see and has not applied. "Number greater than the last" would lose what commits
late; so a row counts as seen only if its transaction is older than every transaction that was still
open when rows were last read, the horizon. Younger rows are remembered by their numbers.

Applying replaces an entry by what it is now, so that to apply twice changes nothing, and a rebuild
runs beside the index that serves. A process that has not followed for longer than rows are kept
builds anew, and so does one whose database was restored to an earlier state.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID
from weakref import WeakKeyDictionary, ref

import asyncpg
import yaml
from sqlalchemy import delete, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from coe import content
from coe.catalog.search.loading import all_entries, entries_of
from coe.catalog.tables import CHANGES
from coe.db import Database
from coe.db.plans import Connections, OnSession
from coe.search.entries import IndexedEntry
from coe.search.index import EntryIndex
from coe.search.synonyms import Synonyms, SynonymsRefused
from coe.work import Platform, Read, Work

KEPT: Final = timedelta(hours=1)
"""How long changes are kept that everybody may have followed."""
_TOO_LATE: Final = KEPT / 2
FOLLOW_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 5.0
_MOST_CHANGES: Final = 20_000
"""With more changes than this a rebuild is quicker."""
_STATE: Final = """
SELECT (pg_snapshot_xmin(now_seen)::text)::bigint AS horizon,
  (pg_snapshot_xmax(now_seen)::text)::bigint AS newest, clock_timestamp() AS at
FROM pg_current_snapshot() AS now_seen
"""
_CHANGES: Final = f"""
SELECT state.horizon, state.newest, state.at, change.number, change.entry_id, change.xid
FROM ({_STATE}) AS state LEFT JOIN entry_changes AS change
  ON change.xid >= $1 AND NOT change.number = ANY($2::bigint[])
LIMIT {_MOST_CHANGES + 1}
"""  # noqa: S608  # no part is of a caller
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Followed:
    """Until where an index has followed.

    `applied` are the numbers of rows that the horizon does not cover, with their transactions.
    """

    index: EntryIndex
    horizon: int
    at: datetime
    applied: dict[int, int] = field(default_factory=dict)
    times_applied: int = 0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is new at one moment."""

    horizon: int
    newest: int
    at: datetime
    changes: dict[int, int]
    entries: frozenset[UUID]


class OldChanges:
    """Deletes the changes that every index has followed, or else builds anew for.

    A row is deleted once its transaction was over, for everybody to see, as long ago as `KEPT`.
    """

    def __init__(self) -> None:
        self._horizons: list[tuple[datetime, int]] = []

    async def forget(self, session: AsyncSession) -> None:
        """Delete what is old enough, as this object knows from its earlier calls."""
        state = (await session.execute(text(_STATE))).one()
        self._horizons.append((state.at, state.horizon))
        old = [horizon for at, horizon in self._horizons if state.at - at >= KEPT]
        if old:
            await session.execute(delete(CHANGES).where(CHANGES.c.xid < old[-1]))
            self._horizons = [each for each in self._horizons if state.at - each[0] < KEPT]


class CatalogIndex:
    """The index of one database in this process."""

    def __init__(self, database: Database, synonyms: Path) -> None:
        """`synonyms` is the file with the words of one meaning; it is read again if it changes."""
        self._own = ref(database)
        self._file = synonyms
        self._stamp: tuple[int, int] | None = None
        self._synonyms = Synonyms()
        self._followed: _Followed | None = None
        self._lock = asyncio.Lock()
        self.old = OldChanges()

    async def current(self, connections: Connections) -> EntryIndex:
        """The index with every change that is committed and visible now.

        Nobody waits here for somebody who waits for a connection: a build has one of its own, and
        what is applied was read before.
        """
        built = False
        while True:
            followed = self._followed
            if followed is None:
                followed, built = await self._build(None), True
            applied = followed.times_applied
            seen = await _look(connections, followed)
            usable = self._usable(followed, seen) and len(seen.changes) <= _MOST_CHANGES
            if not usable and not built:
                await self._build(followed)
                built = True
                continue
            if not seen.changes:
                self._advance(followed, seen)
                return await self._with_synonyms(followed.index)
            entries = await entries_of(connections, sorted(seen.entries))
            # A caller who goes away must not leave an older state to be applied after a newer one.
            if await asyncio.shield(self._apply(followed, seen, entries, applied)):
                return await self._with_synonyms(followed.index)

    async def _apply(
        self, followed: _Followed, seen: _Seen, entries: list[IndexedEntry], applied: int
    ) -> bool:
        """Apply what was read, unless something was applied meanwhile that may be newer."""
        async with self._lock:
            if followed.times_applied != applied or self._followed is not followed:
                return False
            gone = seen.entries - {each.id for each in entries}
            await asyncio.to_thread(followed.index.apply, entries, gone)
            followed.times_applied += 1
            followed.applied.update(seen.changes)
            self._advance(followed, seen)
            return True

    async def _build(self, instead_of: _Followed | None) -> _Followed:
        """Build from all entries; what changes meanwhile is applied by the next search."""
        async with self._lock:
            if self._followed is not None and self._followed is not instead_of:
                return self._followed
            index = EntryIndex(self._synonyms)
            async with _own_connection(self._own()) as connections:
                [state] = await connections.read(_STATE)
                with index.building() as add:
                    async for entries in all_entries(connections):
                        await asyncio.to_thread(add, entries)
            self._followed = _Followed(index, state["horizon"], state["at"])
            if instead_of is not None:
                await asyncio.to_thread(instead_of.index.close)
            return self._followed

    def _usable(self, followed: _Followed, seen: _Seen) -> bool:
        """Whether the rows since then are still kept, and the database is not an earlier one."""
        return seen.newest >= followed.horizon and seen.at - followed.at < _TOO_LATE

    def _advance(self, followed: _Followed, seen: _Seen) -> None:
        followed.at = max(followed.at, seen.at)
        if seen.horizon > followed.horizon:
            followed.horizon = seen.horizon
            followed.applied = {
                number: xid for number, xid in followed.applied.items() if xid >= seen.horizon
            }

    async def _with_synonyms(self, index: EntryIndex) -> EntryIndex:
        """The index, with the synonyms as their file has them now."""
        try:
            status = self._file.stat()
        except OSError:
            return index
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                given = await asyncio.to_thread(self._file.read_text)
                self._synonyms = Synonyms.of(await asyncio.to_thread(yaml.safe_load, given))
            except (OSError, ValueError, yaml.YAMLError, SynonymsRefused) as refused:
                _log.error("%s is not used: %s", self._file.name, refused)
        index.synonyms = self._synonyms
        return index


_INDEXES: WeakKeyDictionary[Database, CatalogIndex] = WeakKeyDictionary()


def index_of(platform: Platform) -> CatalogIndex:
    """The index of the platform's database; nothing is read yet."""
    found = _INDEXES.get(platform.database)
    if found is None:
        file = content.root(platform.settings.content_dir) / "catalog" / "synonyms.yaml"
        found = _INDEXES[platform.database] = CatalogIndex(platform.database, file)
    return found


async def current_index(read: Read) -> EntryIndex:
    """The index as this reader has to find it: with everything that is committed.

    Raises:
        TypeError: The reader can write: what it has not committed must not get into the index.
    """
    if isinstance(read, Work):
        raise TypeError("search with `platform.read`: a transaction that writes finds its own rows")
    # A connection that is held serves, as a second could not come; but a standby says less than
    # the primary of which transactions are over.
    held = read.session.in_transaction() and read.reader is None
    connections: Connections = OnSession(read.session) if held else read.platform.reader
    return await index_of(read.platform).current(connections)


class _Own:
    """A connection of its own, for a build: it holds up no caller, and waits for none."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def read(self, statement: str, *arguments: Any) -> list[Any]:
        """The rows of a statement."""
        return list(await self._connection.fetch(statement, *arguments))


@asynccontextmanager
async def _own_connection(database: Database | None) -> AsyncIterator[_Own]:
    if database is None:
        raise OSError("the platform is closed")
    try:
        connection = await database.dedicated()
        try:
            yield _Own(connection)
        finally:
            await connection.close()
    except asyncpg.PostgresError as error:
        raise SQLAlchemyError(type(error).__name__) from None


async def follow_forever(platform: Platform) -> None:
    """Build the index before somebody searches, and follow even if nobody does."""
    while True:
        wait = FOLLOW_SECONDS
        try:
            await index_of(platform).current(platform.reader)
        except (SQLAlchemyError, OSError) as error:
            _log.warning("the index of the search waits for the database: %s", type(error).__name__)
            wait = RETRY_SECONDS
        await asyncio.sleep(wait)


async def _look(connections: Connections, followed: _Followed) -> _Seen:
    rows: list[Any] = await connections.read(_CHANGES, followed.horizon, list(followed.applied))
    changes = [row for row in rows if row["number"] is not None]
    state = rows[0]
    return _Seen(
        state["horizon"],
        state["newest"],
        state["at"],
        {row["number"]: row["xid"] for row in changes},
        frozenset(row["entry_id"] for row in changes),
    )
