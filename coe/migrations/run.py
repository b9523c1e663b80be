"""Apply the revisions of the schema to a database, and tell how far it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

from sqlalchemy import Connection, Row, inspect, text

from coe.audit.own_key import require_own_key
from coe.crypto.mac import MacKeys
from coe.db import Database
from coe.db.revisions import (
    APPLIED,
    SCHEMA_BACKFILLS,
    SCHEMA_REVISIONS,
    RevisionKind,
    SchemaState,
)
from coe.errors import CoeError, Conflict
from coe.migrations.applying import Say, apply, note
from coe.migrations.processes import Process, connected
from coe.migrations.revisions import Revision, load, pending
from coe.migrations.roles import Roles, grant
from coe.migrations.uncoded import CODED, code_page, code_rows, newest_code

ReturnT = TypeVar("ReturnT")
MIGRATION_LOCK: Final = 0x636F655F6D696772
"""The advisory lock by which only one process migrates at a time; the session has it."""
WAIT_SECONDS: Final = 0.5
"""Between two attempts to get that lock."""
BEFORE_FIRST: Final = "4e0679de"
"""The last commit whose code has the revisions that the first one here took together."""

_FORMER: Final = "alembic_version"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a database is.

    Attributes:
        state: The revisions that it has; None if it has none.
        backfills: The back-fills that were begun.
        processes: The processes that are connected.
    """

    state: SchemaState | None
    backfills: Sequence[Row[tuple[object, ...]]]
    processes: Sequence[Process]


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did.

    Attributes:
        before: The newest revision that the database had; None if it was empty.
        after: The one that it has now.
        applied: The revisions that were applied, or gone on with.
        waiting: The contracts that wait for the end of processes of earlier versions.
        newer: Whether a newer version had migrated it.
        coded: How many rows were given a code.
    """

    before: str | None
    after: str | None
    applied: tuple[str, ...]
    waiting: tuple[str, ...]
    newer: bool
    coded: int


def on(url: str, work: Callable[[Connection], ReturnT]) -> ReturnT:
    """Work on a connection that commits nothing by itself, and close it."""

    async def run() -> ReturnT:
        database = Database(url, name="coe-migrate", pool_size=1)
        try:
            async with database.engine.connect() as connection:
                return await connection.run_sync(work)
        finally:
            await database.close()

    return asyncio.run(run())


@contextmanager
def _alone(connection: Connection, say: Say) -> Iterator[None]:
    """Let no other process migrate meanwhile: the lock is the session's, so it ends with it."""
    told = False
    while not _locked(connection):
        if not told:
            say("another process migrates this database: waiting for it")
        told = True
        time.sleep(WAIT_SECONDS)
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.rollback()
            with connection.begin():
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})


def _locked(connection: Connection) -> bool:
    with connection.begin():
        locked = text("SELECT pg_try_advisory_lock(:key)")
        return bool(connection.scalar(locked, {"key": MIGRATION_LOCK}))


def head() -> str:
    """The newest revision of the code."""
    return load()[-1].name


def revisions() -> list[str]:
    """The revisions of the code, the oldest first."""
    return [each.name for each in load()]


def standing(url: str) -> Standing:
    """How far the database is, and who works on it."""

    def look(connection: Connection) -> Standing:
        state = _state(connection)
        rows = connection.execute(SCHEMA_BACKFILLS.select()).all() if state else []
        return Standing(state, rows, connected(connection))

    return on(url, look)


def current(url: str) -> str | None:
    """The newest revision of the database; None if it is empty."""
    state = on(url, _state)
    return state.newest if state else None


def _state(connection: Connection) -> SchemaState | None:
    if not inspect(connection).has_table(SCHEMA_REVISIONS.name):
        return None
    rows = connection.execute(APPLIED).all()
    return SchemaState.of((row[0], row[1], row[2], row[3]) for row in rows)


def upgrade(
    url: str,
    *,
    contract: bool = False,
    roles: Roles | None = None,
    vouch_with: MacKeys | None = None,
    say: Say = lambda _: None,
    known: Sequence[Revision] | None = None,
) -> Upgraded:
    """Apply the revisions that the database lacks, each in a transaction of its own.

    Args:
        url: The database, with the role that owns its tables; not by a pooler of transactions.
        contract: Also apply those that take away what processes of earlier versions may use.
        roles: Grant these roles what they need, and revoke the rest.
        vouch_with: Give a code by these keys to rows without one, by which access is decided.
        say: Is told the progress.
        known: The revisions of the code; by default those of this version.

    Raises:
        CoeError: A role does not exist, or has powers that no grant takes away; the keys are not
            those of this database; the database is older than the first revision here; processes
            of an earlier version are connected; or a lock was not had for some minutes.
    """
    line = load() if known is None else known

    def migrate(connection: Connection) -> Upgraded:
        with _alone(connection, say):
            with connection.begin():
                _keep_books(connection, line)
                before = _state(connection)
                todo = pending(line, before, contract=contract)
                _require_nobody_older(todo, Standing(before, (), connected(connection)))
            if vouch_with is not None and before is not None:
                with connection.begin():
                    require_own_key(connection, vouch_with)
            for revision in todo:
                apply(connection, revision, say)
            with connection.begin():
                number = code_rows(connection, vouch_with) if vouch_with is not None else 0
                after = _state(connection)
                newer = after is not None and after.newest > line[-1].name
                if roles is not None and not newer:
                    grant(connection, roles)
        done = after.finished if after else frozenset()
        return Upgraded(
            before=before.newest if before else None,
            after=after.newest if after else None,
            applied=tuple(each.name for each in todo),
            waiting=tuple(each.name for each in line if each.name not in done),
            newer=newer,
            coded=number,
        )

    return on(url, migrate)


def _keep_books(connection: Connection, line: Sequence[Revision]) -> None:
    """Create the tables of revisions, and note what the former table says.

    Raises:
        CoeError: The database is of before the first revision here.
    """
    for table in (SCHEMA_REVISIONS, SCHEMA_BACKFILLS):
        table.create(connection, checkfirst=True)
    if not inspect(connection).has_table(_FORMER):
        return
    former = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if former is not None and former < line[0].name:
        message = (
            f"the database is at revision {former}, and the first one of this version is "
            f"{line[0].name}: run `coe migrate` of commit {BEFORE_FIRST} once, then this one. "
            "Nothing was changed"
        )
        raise CoeError(message, code="INVALID")
    for revision in line:
        if former is not None and revision.name <= former:
            note(connection, revision, finished=True)
    connection.execute(text("DROP TABLE alembic_version"))


def older_processes(todo: Sequence[Revision], found: Standing) -> list[Process]:
    """The processes that do not know what the contracts to be applied need."""
    if found.state is None:
        return []
    begun = {each.revision for each in found.state.applied}
    needed = [
        each.works_with
        for each in todo
        if each.kind is RevisionKind.CONTRACT and each.name not in begun
    ]
    return [each for each in found.processes if needed and each.knows < max(needed)]


def _require_nobody_older(todo: Sequence[Revision], found: Standing) -> None:
    """Require that every process that is connected knows what the contracts need.

    Raises:
        CoeError: One does not.
    """
    older = older_processes(todo, found)
    if older:
        names = ", ".join(each.name for each in todo if each.kind is RevisionKind.CONTRACT)
        message = (
            f"{names} would take away what processes of an earlier version use, and some are "
            f"connected: {'; '.join(map(str, older))}. Wait until they have ended, and run it "
            "again. Nothing was changed"
        )
        raise Conflict(message)


def recode(url: str, keys: MacKeys) -> int:
    """Give a code of the newest key to each row whose code is of an older one of the file.

    Each page is a transaction of its own, so processes serve meanwhile, and it can be repeated.

    Returns:
        How many they are.

    Raises:
        SecretFileRefused: The keys are not those of this database.
    """

    def give(connection: Connection) -> int:
        number = 0
        with connection.begin():
            require_own_key(connection, keys)
        for codes in CODED:
            last: UUID | None = UUID(int=0)
            while last is not None:
                with connection.begin():
                    last, given = code_page(connection, keys, codes, last, newest_code)
                number += given
        return number

    return on(url, give)
