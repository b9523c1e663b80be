"""The migrations create the schema of the models, and can run twice."""

from __future__ import annotations

import asyncio
from functools import partial

import asyncpg
import pytest
from click.testing import CliRunner

from coe.cli.main import cli
from coe.db import Database
from coe.db.known_revisions import newest_known
from coe.embedded_postgres import EmbeddedPostgres
from coe.errors import CoeError
from coe.migrations import run
from coe.migrations.developing import differences
from coe.migrations.revisions import load
from tests.factories.databases import fresh_database
from tests.factories.schemas import schema_of

FIRST = 31


@pytest.fixture
async def empty_url(postgres: EmbeddedPostgres) -> str:
    connection = await asyncpg.connect(postgres.url("postgres"))
    await connection.execute("DROP DATABASE IF EXISTS migrated WITH (FORCE)")
    await connection.execute("CREATE DATABASE migrated")
    await connection.close()
    return postgres.url("migrated")


def in_thread(function, *arguments):
    """Alembic runs its own loop, so it needs a thread without one."""
    return asyncio.get_running_loop().run_in_executor(None, function, *arguments)


def test_revisions_stand_in_one_line_by_their_numbers() -> None:
    numbers = [each.name for each in load()]
    assert numbers == [f"{FIRST + number:04}" for number in range(len(numbers))]
    assert numbers[-1] == newest_known()


async def test_the_migrations_create_what_the_models_say(
    empty_url: str, database: Database
) -> None:
    await in_thread(run.upgrade, empty_url)
    assert await in_thread(differences, empty_url) == []
    made, said = await schema_of(empty_url), await schema_of(database.url)
    assert len(made) > 1000
    assert made - said == set()
    assert said - made == set()


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


async def test_a_database_of_before_the_first_revision_is_told_what_upgrades_it(
    empty_url: str,
) -> None:
    connection = await asyncpg.connect(empty_url)
    await connection.execute("CREATE TABLE alembic_version (version_num text)")
    await connection.execute("INSERT INTO alembic_version VALUES ('0012')")
    await connection.close()
    with pytest.raises(
        CoeError, match=r"at revision 0012, .* `coe migrate` of commit [0-9a-f]{8} "
    ):
        await in_thread(run.upgrade, empty_url)
    names = {each[1] for each in await schema_of(empty_url) if each[0] == "relation"}
    assert names == {"alembic_version"}


async def test_a_database_of_the_former_book_keeping_goes_on(empty_url: str) -> None:
    await in_thread(run.upgrade, empty_url)
    before = await schema_of(empty_url)
    connection = await asyncpg.connect(empty_url)
    await connection.execute("CREATE TABLE alembic_version (version_num text)")
    await connection.execute("INSERT INTO alembic_version VALUES ($1)", run.head())
    await connection.execute("DROP TABLE schema_revisions, schema_backfills")
    await connection.close()
    done = await in_thread(run.upgrade, empty_url)
    assert (done.before, done.after, done.applied) == (run.head(), run.head(), ())
    assert await schema_of(empty_url) == before


async def test_what_is_contracted_later_comes_to_the_same(
    empty_url: str, postgres: EmbeddedPostgres
) -> None:
    """A new database gets the revisions in their line, an old one each contract after expands."""
    line = load()
    await in_thread(partial(run.upgrade, empty_url, known=line[:1]))
    await in_thread(run.upgrade, empty_url)
    await in_thread(partial(run.upgrade, empty_url, contract=True))
    later = await schema_of(empty_url)
    async with fresh_database(postgres, "template1") as url:
        await in_thread(run.upgrade, url)
        assert await schema_of(url) == later
