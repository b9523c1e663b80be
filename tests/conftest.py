"""Real parts for every test: an own PostgreSQL, a database a test, a platform over it."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from coe import content
from coe.access.content import load_content
from coe.db import Database
from coe.embedded_postgres import EmbeddedPostgres
from coe.settings import Settings
from coe.work import Platform

_numbers = itertools.count()
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server of this test session alone."""
    folder = Path(tempfile.mkdtemp(prefix="coe-tests-"))
    server = EmbeddedPostgres(folder / "data", ephemeral=True)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template_database(postgres: EmbeddedPostgres) -> str:
    """A database with every table and the shipped policies and teams, to be copied."""
    name = "template_coe"

    async def make() -> None:
        await postgres.prepare({name: "postgres"})
        database = Database(postgres.url(name))
        await database.create_all()
        async with database.session() as session:
            await load_content(session, content.root(ROOT))
            await session.commit()
        await database.close()

    asyncio.run(make())
    return name


@pytest.fixture
async def database_url(postgres: EmbeddedPostgres, template_database: str) -> AsyncIterator[str]:
    """The URL of a fresh database, dropped at the end."""
    name = f"test_{next(_numbers)}"
    connection = await asyncpg.connect(postgres.url("postgres"))
    await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template_database}"')
    yield postgres.url(name)
    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh database with every table."""
    opened = Database(database_url, name="test")
    yield opened
    await opened.close()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings over the fresh database, in demo mode, with their data in a folder of the test."""
    return Settings(database_url=database_url, data_dir=tmp_path, content_dir=ROOT, demo=True)


@pytest.fixture
async def platform(settings: Settings) -> AsyncIterator[Platform]:
    """A platform over the fresh database, with the shipped policies and teams."""
    opened = Platform.open(settings, name="test")
    yield opened
    await opened.close()
