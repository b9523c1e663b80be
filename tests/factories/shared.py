"""A database that the tests of one module share: for attempts that are refused and change nothing.

A database of its own takes a test longer than most attempts do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from coe.embedded_postgres import EmbeddedPostgres
from coe.settings import Settings
from tests.factories.keys import give_keys


@asynccontextmanager
async def shared_settings(
    postgres: EmbeddedPostgres, template: str, folder: Path, content: Path, keys: Path
) -> AsyncIterator[Settings]:
    """Settings over a new database, which is dropped at the end; `keys` are its keys."""
    name = f"shared_{folder.name.replace('-', '_')}"
    connection = await asyncpg.connect(postgres.url("postgres"))
    await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        url = postgres.url(name)
        made = Settings(database_url=url, data_dir=folder, content_dir=content, loops=False)
        yield give_keys(made, keys)
    finally:
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await connection.close()
