"""Databases of tests: copies of a template, which are quick to make."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from coe.access.load import load_access_files
from coe.access.signed_policy import SIGNER
from coe.crypto.signing import SigningKey
from coe.db import Database
from coe.embedded_postgres import EmbeddedPostgres
from coe.errors import Unavailable
from coe.migrations.applying import note
from coe.migrations.revisions import load
from coe.settings import Settings

ReturnT = TypeVar("ReturnT")
_numbers = itertools.count()


@asynccontextmanager
async def fresh_database(server: EmbeddedPostgres, template: str) -> AsyncIterator[str]:
    """The URL of a copy of the template, dropped at the end."""
    name = f"test_{next(_numbers)}"
    connection = await asyncpg.connect(server.url("postgres"))
    await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield server.url(name)
    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()


async def stamp(database: Database) -> None:
    """Note that a database has every revision."""
    async with database.engine.begin() as connection:
        for revision in load():
            await connection.run_sync(note, revision, finished=True)


async def fill_database(url: str, signing_key_file: Path, folder: Path) -> None:
    """Make every table, and load the policies and teams of a folder of content."""
    signer = SigningKey.load(signing_key_file, Settings().log_origin)
    database = Database(url, info={SIGNER: signer})
    await database.create_all()
    await stamp(database)
    async with database.session() as session:
        await load_access_files(session, folder)
        await session.commit()
    await database.close()


@contextmanager
def statements_about(database: Database, text: str) -> Iterator[list[str]]:
    """The statements that name something, such as a table, while this is open."""
    found: list[str] = []

    def note(*about: Any) -> None:
        if text in about[2]:
            found.append(about[2])

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield found
    event.remove(engine, "before_cursor_execute", note)


async def cut_connections(database: Database, name: str = "%") -> None:
    """End every other connection to the database, or those whose name is like that.

    Their processes have ended when this returns; who holds a connection may not have noticed yet.
    """
    others = text(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND split_part(application_name, '/', 1) LIKE :name"
    )
    ended = text("SELECT pg_terminate_backend(:pid, 10000)")
    left = text("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(:pids)")
    async with database.session() as session:
        pids = list(await session.scalars(others, {"name": name}))
        for pid in pids:
            await session.scalar(ended, {"pid": pid})
        await session.commit()  # pg_stat_activity stays the same within a transaction
        assert await session.scalar(left, {"pids": pids}) == 0


async def despite_cuts(attempt: Callable[[], Awaitable[ReturnT]], cuts: int = 50) -> ReturnT:
    """Make an attempt, and again while it meets one of the connections that were cut.

    A process that has ended commits nothing, so an attempt that met it left nothing.
    """
    for _ in range(cuts):
        try:
            return await attempt()
        except (DBAPIError, Unavailable):
            continue
    return await attempt()
