"""The migrations create the schema of the models, and can run twice."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from click.testing import CliRunner

from coe.cli.main import cli
from coe.db import Database
from coe.embedded_postgres import EmbeddedPostgres
from coe.migrations import run

TRIGGERS = "SELECT tgname, tgrelid::regclass::text AS on FROM pg_trigger WHERE NOT tgisinternal"


@pytest.fixture
async def empty_url(postgres: EmbeddedPostgres) -> str:
    connection = await asyncpg.connect(postgres.url("postgres"))
    await connection.execute("DROP DATABASE IF EXISTS migrated WITH (FORCE)")
    await connection.execute("CREATE DATABASE migrated")
    await connection.close()
    return postgres.url("migrated")


async def triggers(url: str) -> set[tuple[str, str]]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(TRIGGERS)
    await connection.close()
    return {(row["tgname"], row["on"]) for row in rows}


def in_thread(function, *arguments):
    """Alembic runs its own loop, so it needs a thread without one."""
    return asyncio.get_running_loop().run_in_executor(None, function, *arguments)


async def test_the_migrations_create_the_schema(empty_url: str, database: Database) -> None:
    await in_thread(run.upgrade, empty_url)
    await in_thread(run.check, empty_url)
    made = await triggers(empty_url)
    assert made
    assert made == await triggers(database.url.replace("+asyncpg", ""))


async def test_migrating_twice_changes_nothing(empty_url: str) -> None:
    def coe(*arguments: str):
        return CliRunner().invoke(cli, list(arguments), env={"COE_DATABASE_URL": empty_url})

    assert (await in_thread(coe, "migrate", "--check")).exit_code == 1
    first = await in_thread(coe, "migrate")
    assert first.exit_code == 0, first.output
    assert "was empty" in first.output
    again = await in_thread(coe, "migrate")
    assert again.exit_code == 0
    assert "was" not in again.output
    assert (await in_thread(coe, "migrate", "--check")).exit_code == 0
