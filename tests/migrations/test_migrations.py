"""The migrations create the schema of the models, and can run twice."""

from __future__ import annotations

import asyncio
import json
import re
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner

from coe.cli.main import cli
from coe.db import Database
from coe.embedded_postgres import EmbeddedPostgres
from coe.migrations import run
from tests.factories.audit import open_log

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


def test_revisions_stand_in_one_line_by_their_numbers() -> None:
    files = sorted((Path(run.__file__).parent / "versions").glob("*.py"))
    texts = [file.read_text() for file in files]
    numbers = [f"{number:04}" for number in range(len(files) + 1)]
    found = [re.findall(r"^revision.*'(\d+)'", text, re.MULTILINE) for text in texts]
    assert found == [[number] for number in numbers[1:]]
    for file, text, number, before in zip(files, texts, numbers[1:], numbers, strict=False):
        assert file.name.startswith(number)
        assert before == "0000" or f"down_revision = '{before}'" in text.replace(": str", "")


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


# ---------------------------------------------------------------- rolling upgrades
COLUMNS = """
SELECT table_name, column_name, is_nullable = 'YES' OR column_default IS NOT NULL
       OR is_identity = 'YES' OR is_generated = 'ALWAYS'
FROM information_schema.columns WHERE table_schema = 'public'
"""
DEFAULTS = """
SELECT table_name, column_name, is_nullable, column_default
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
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
    revisions = await in_thread(run.revisions)
    assert revisions[0] == "0001"
    for revision in revisions:
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
    assert len(revisions) >= 11
    assert refused == set()


async def test_the_models_have_the_defaults_of_the_migrations(
    empty_url: str, database: Database
) -> None:
    async def defaults(url: str) -> set[tuple[str, ...]]:
        connection = await asyncpg.connect(url)
        rows = await connection.fetch(DEFAULTS)
        await connection.close()
        return {tuple(map(str, row)) for row in rows}

    await in_thread(run.upgrade, empty_url)
    migrated = await defaults(empty_url)
    made = await defaults(database.url.replace("+asyncpg", ""))
    assert migrated == made


async def test_events_that_wait_during_the_upgrade_are_sealed(
    empty_url: str, tmp_path: Path
) -> None:
    """Those of an earlier release, which have no code, get one by whoever upgrades."""
    before = "base"
    for revision in await in_thread(run.revisions):
        await in_thread(run.upgrade, empty_url, revision)
        if ("audit_events", "mac") in await columns(empty_url):
            break
        before = revision
    database = Database(empty_url)
    log = open_log(database, tmp_path)
    await in_thread(run.downgrade, empty_url, before)
    insert = (
        "INSERT INTO audit_events (id, at, actor, actor_kind, action, resource, team, outcome)"
        " VALUES (gen_random_uuid(), now(), 'sales-owner', 'PERSON', 'catalog:flow:publish',"
        " 'flow:sales/x', 'sales', 'ALLOWED')"
    )
    connection = await asyncpg.connect(empty_url)
    await connection.execute(insert)
    await in_thread(partial(run.upgrade, empty_url, keys=log.keyring.macs))
    await connection.execute(insert)  # by a process of the earlier release, too late
    await connection.close()
    await log.seal()
    rows = await log.rows("SELECT position, refused FROM audit_events ORDER BY position")
    assert rows == [(0, None), (None, "NO_CODE")]
    await database.close()


async def test_the_times_of_steps_that_ended_before_are_kept(empty_url: str) -> None:
    """What waited longer than it lasted, as earlier versions could count it, is cut to that."""
    await in_thread(partial(run.upgrade, empty_url, to="0012"))
    connection = await asyncpg.connect(empty_url)
    await connection.execute("SET session_replication_role = replica")  # rows without their runs
    for table in ("run_steps", "human_tasks"):
        for name in await connection.fetch(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_name = $1 AND is_nullable = 'NO' AND column_name <> 'id'",
            table,
        ):
            await connection.execute(f'ALTER TABLE {table} ALTER "{name[0]}" DROP NOT NULL')
    start, at = "2026-01-05 09:00+00", "2026-01-05 09:00:10+00"
    kinds = ("humanTask", "listen", "localFlow", "run", "wait", "call")
    for kind, waited, ended in (
        *((kind, 4.0, f"'{at}'") for kind in kinds),
        ("for", 99.0, f"'{at}'"),
        ("set", 0.0, f"'{at}'"),
        ("fork", 4.0, "NULL"),
        ("switch", 4.0, "'2026-01-05 08:59+00'"),
    ):
        await connection.execute(
            "INSERT INTO run_steps (id, kind, waited_seconds, started_at, ended_at, changed_at) "
            f"VALUES (gen_random_uuid(), '{kind}', {waited}, '{start}', {ended}, '{start}')"
        )
    for state, who in (("CLAIMED", "'fiona'"), ("OPEN", "NULL"), ("COMPLETED", "'farid'")):
        await connection.execute(
            "INSERT INTO human_tasks (id, state, assignee) "
            f"VALUES (gen_random_uuid(), '{state}', {who})"
        )
    await connection.close()
    await in_thread(partial(run.upgrade, empty_url, to="0013"))
    connection = await asyncpg.connect(empty_url)
    rows = await connection.fetch("SELECT kind, waited_seconds, waits, held_seconds FROM run_steps")
    holders = await connection.fetch('SELECT "by", until FROM human_task_holders')
    await connection.close()
    found = {
        row["kind"]: (row["waited_seconds"], json.loads(row["waits"] or "null")) for row in rows
    }
    assert found == {
        "humanTask": (4.0, {"PEOPLE_QUEUE": 4}),
        "listen": (4.0, {"EVENT": 4}),
        "localFlow": (4.0, {"OTHER_TEAM": 4}),
        "run": (4.0, {"OTHER_TEAM": 4}),
        "wait": (4.0, {"TIMER": 4}),
        "call": (4.0, {"TIMER": 4}),
        "for": (10.0, {"TIMER": 10}),
        "set": (0.0, None),
        "fork": (4.0, None),
        "switch": (0.0, {"TIMER": 0}),
    }
    assert {row["held_seconds"] for row in rows} == {0.0}
    assert [(row["by"], row["until"]) for row in holders] == [("fiona", None)]
