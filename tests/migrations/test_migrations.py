"""The migrations create the schema of the models, and can run twice."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner

from coe.cli.main import cli
from coe.db import Database
from coe.embedded_postgres import EmbeddedPostgres
from coe.errors import CoeError
from coe.migrations import run
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
    files = sorted((Path(run.__file__).parent / "versions").glob("*.py"))
    texts = [file.read_text() for file in files]
    numbers = [f"{FIRST + number:04}" for number in range(len(files))]
    found = [re.findall(r"^revision.*'(\d+)'", text, re.MULTILINE) for text in texts]
    assert found == [[number] for number in numbers]
    assert all(file.name.startswith(each) for file, each in zip(files, numbers, strict=True))
    assert "down_revision = None" in texts[0]
    for text, before in zip(texts[1:], numbers, strict=False):
        assert f"down_revision = '{before}'" in text.replace(": str", "")


async def test_the_migrations_create_what_the_models_say(
    empty_url: str, database: Database
) -> None:
    await in_thread(run.upgrade, empty_url)
    await in_thread(run.check, empty_url)
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
    await in_thread(run.upgrade, empty_url)
    before = await schema_of(empty_url)
    connection = await asyncpg.connect(empty_url)
    await connection.execute("UPDATE alembic_version SET version_num = '0012'")
    await connection.close()
    with pytest.raises(
        CoeError, match=r"at revision 0012, .* `coe migrate` of commit [0-9a-f]{8} "
    ):
        await in_thread(run.upgrade, empty_url)
    assert await schema_of(empty_url) == before


# ---------------------------------------------------------------- rolling upgrades
COLUMNS = """
SELECT table_name, column_name, is_nullable = 'YES' OR column_default IS NOT NULL
       OR is_identity = 'YES' OR is_generated = 'ALWAYS'
FROM information_schema.columns WHERE table_schema = 'public'
"""


async def columns(url: str) -> dict[tuple[str, str], bool]:
    """Every column as (table, column), and whether a row may be inserted without it."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(COLUMNS)
    await connection.close()
    return {(table, column): free for table, column, free in rows}


async def test_rows_of_earlier_processes_are_still_accepted(empty_url: str) -> None:
    """A process that knows a table as any revision had it can insert rows into that of the newest.

    So an upgrade is a rolling one: a column that came later may be left out, and one that could be
    left out still may.
    """
    optional: dict[str, set[str]] = {}
    known: dict[str, set[str]] = {}
    for revision in await in_thread(run.revisions):
        await in_thread(run.upgrade, empty_url, revision)
        found = await columns(empty_url)
        before = set(known)
        for (table, column), free in found.items():
            if table in before and column not in known[table]:
                optional[table].add(column)
            elif free:
                optional.setdefault(table, set()).add(column)
            known.setdefault(table, set()).add(column)
            optional.setdefault(table, set())
    refused = {
        f"{table}.{column}"
        for (table, column), free in (await columns(empty_url)).items()
        if column in optional[table] and not free
    }
    assert refused == set()
