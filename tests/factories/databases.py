"""Databases of tests: copies of a template, which are quick to make."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from sqlalchemy import event

from coe.db import Database
from coe.embedded_postgres import EmbeddedPostgres

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
