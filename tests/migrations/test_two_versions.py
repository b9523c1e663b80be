"""The recorded statements of former versions run on the new schema, and ours on the old one.

`tests.migrations.recorder` says how they are recorded.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from coe.db.revisions import RevisionKind
from coe.embedded_postgres import EmbeddedPostgres
from coe.migrations import run
from coe.migrations.revisions import load
from tests.factories.databases import fresh_database
from tests.factories.revisions import line, plant
from tests.migrations.recorder import read, recordings

_INSERT = re.compile(r'INSERT INTO "?(\w+)"?(?: AS \w+)? \(([^)]*)\)')
_REQUIRED = """
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND is_nullable = 'NO' AND column_default IS NULL
      AND is_identity = 'NO' AND is_generated = 'NEVER'
"""
NEWEST = recordings()[-1]


async def broken(connection: Any, statements: Sequence[dict[str, Any]]) -> list[str]:
    """The statements that do not run any more, or take or return other types, and why."""
    required: dict[str, set[str]] = {}
    for table, column in await connection.fetch(_REQUIRED):
        required.setdefault(table, set()).add(column)
    found = []
    for each in statements:
        why = await _broken(connection, each, required)
        if why is not None:
            found.append(f"{why}: {each['sql'][:200]}")
    return found


async def _broken(
    connection: Any, recorded: dict[str, Any], required: dict[str, set[str]]
) -> str | None:
    sql = recorded["sql"]
    try:
        made = await connection.prepare(sql)
        await connection.execute(f"EXPLAIN (GENERIC_PLAN) {sql}")
    except asyncpg.PostgresError as error:
        return str(error).splitlines()[0]
    takes = [each.name for each in made.get_parameters()]
    if takes != recorded["takes"]:
        return f"takes {takes} and not {recorded['takes']}"
    returns = [[each.name, each.type.name] for each in made.get_attributes()]
    if returns != recorded["returns"]:
        return f"returns {returns} and not {recorded['returns']}"
    for table, columns in _INSERT.findall(sql):
        lacking = required.get(table, set()) - {each.strip(' "') for each in columns.split(",")}
        if lacking:
            return f"leaves out {', '.join(sorted(lacking))} of {table}"
    return None


def test_a_contract_is_tested_with_a_recording_of_the_code_that_lives_with_it() -> None:
    """Else its statements would not be tried on the schema before it."""
    contracts = [each.works_with for each in load() if each.kind is RevisionKind.CONTRACT]
    assert max(contracts, default="") <= NEWEST.name[:4], "record: see tests.migrations.recorder"
    assert all(file.stat().st_size < 300_000 for file in recordings())
    assert len(read(NEWEST)) > 300


def _schemas() -> list[tuple[Path, tuple[str, ...]]]:
    """Each recording with the contracts of a schema: none, and those with which it works."""
    contracts = [each for each in load() if each.kind is RevisionKind.CONTRACT]
    found: dict[tuple[Path, tuple[str, ...]], None] = {}
    for file in recordings():
        lived = tuple(each.name for each in contracts if each.works_with <= file.name[:4])
        found |= {(file, ()): None, (file, lived): None}
    return list(found)


@pytest.mark.parametrize(
    ("recording", "contracts"),
    _schemas(),
    ids=lambda each: each.name[:4] if isinstance(each, Path) else f"with {len(each)} contracts",
)
async def test_a_version_works_before_and_after_its_contracts(
    postgres: EmbeddedPostgres, recording: Path, contracts: tuple[str, ...]
) -> None:
    known = [each for each in load() if each.kind is RevisionKind.EXPAND or each.name in contracts]
    async with fresh_database(postgres, "template1") as url:
        await asyncio.to_thread(partial(run.upgrade, url, known=known))
        connection = await asyncpg.connect(url, statement_cache_size=0)
        assert await broken(connection, read(recording)) == []
        await connection.close()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("ALTER TABLE runs DROP COLUMN requester", "column.*requester.* does not exist"),
        ("ALTER TABLE runs ADD COLUMN cost int NOT NULL", "leaves out cost of runs"),
        ("ALTER TABLE runs ALTER COLUMN flow TYPE bytea USING ''", "bytea"),
        ("ALTER TABLE data_keys DROP CONSTRAINT uq_data_keys_team_purpose_version", "ON CONFLICT"),
    ],
    ids=["a column is gone", "a column is required", "another type", "no unique index"],
)
async def test_a_revision_that_breaks_a_version_is_found(
    database_url: str, tmp_path: Path, change: str, why: str
) -> None:
    plant(tmp_path, "9999", change)
    await asyncio.to_thread(partial(run.upgrade, database_url, known=[*load(), *line(tmp_path)]))
    connection = await asyncpg.connect(database_url, statement_cache_size=0)
    found = await broken(connection, read(NEWEST))
    await connection.close()
    assert any(re.search(why, each) for each in found)
