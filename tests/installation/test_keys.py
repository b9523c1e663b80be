"""The keys of an installation are given: nothing that serves makes them, wrong ones are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from coe.audit.log import append
from coe.bootstrap import load_all
from coe.crypto.envelope import Cell
from coe.embedded_postgres import EmbeddedPostgres
from coe.errors import Conflict, Unavailable
from coe.governance.audit_log import open_sealer
from coe.installation.keys import KeysRefused, key_states, make_keys, require_keys, write_keys
from coe.settings import Settings
from coe.work import Platform
from coe.worker import run_central_worker
from tests.cli.commands import run
from tests.factories.audit import event
from tests.factories.databases import fresh_database

ALL = ["kek", "mac", "signing"]
CELL = Cell(table="runs", row="r1", column="input_sealed", team="sales")


@pytest.fixture
async def empty(postgres: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Settings]:
    """Settings of an installation without keys, over a database without tables."""
    async with fresh_database(postgres, "template1") as url:
        yield Settings(database_url=url, data_dir=tmp_path / "new")


@pytest.fixture
async def filled(platform: Platform) -> Settings:
    """Settings of an installation that has sealed, signed and vouched for something."""
    async with platform.database.session() as session:
        await append(session, platform.keyring, event(1))
        await session.commit()
    sealer = open_sealer(platform, platform.database)
    assert await sealer.seal_once()
    await sealer.close()
    return platform.settings


async def test_a_new_installation_is_told_which_command_makes_its_keys(empty: Settings) -> None:
    with pytest.raises(KeysRefused, match="new installation with `coe key new`") as refused:
        await require_keys(empty)
    for variable in ("COE_KEK_FILE", "COE_MAC_KEY_FILE", "COE_SIGNING_KEY_FILE"):
        assert variable in refused.value.message
    assert not empty.data_dir.exists()
    assert [each.name for each in await make_keys(empty)] == ALL
    await require_keys(empty)
    assert await make_keys(empty) == []


@pytest.mark.parametrize("name", ALL)
async def test_a_lost_key_is_told_and_not_made_anew(filled: Settings, name: str) -> None:
    path = filled.data_dir / "keys" / name
    path.unlink()
    with pytest.raises(KeysRefused, match="restore its backup"):
        await require_keys(filled)
    with pytest.raises(Conflict, match=f"{name} is missing"):
        await make_keys(filled)
    for start in (load_all(filled), run_central_worker(filled.model_copy(update=PREFECT))):
        with pytest.raises(KeysRefused, match=f"{name} is missing"):
            await start
    done = await asyncio.to_thread(run, "up", **_variables(filled))
    assert done.exit_code == 1
    assert f"{name} is missing" in done.stderr
    assert not path.exists()


@pytest.mark.parametrize("name", ALL)
async def test_keys_of_another_installation_are_refused(filled: Settings, name: str) -> None:
    other = filled.data_dir / "other"
    write_keys(other, filled.log_origin)
    (other / name).replace(filled.data_dir / "keys" / name)
    with pytest.raises(KeysRefused, match="another installation"):
        await require_keys(filled)


async def test_a_row_that_somebody_added_stops_no_start(
    filled: Settings, platform: Platform
) -> None:
    async with platform.database.session() as session:
        await session.execute(text("UPDATE data_keys SET kek_id = 'x' WHERE purpose = 'audit'"))
        await session.commit()
    await platform.keyring.seal(CELL, "run", b"x")
    async with _connected(filled) as connection:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(FORGED)
    await require_keys(filled)


async def test_only_what_is_missing_and_not_needed_is_made(filled: Settings) -> None:
    """An installation of a release without these codes gets the file that it lacks."""
    (filled.data_dir / "keys" / "mac").unlink()
    async with _connected(filled) as connection:
        await connection.execute("ALTER TABLE audit_events DROP COLUMN mac CASCADE")
    assert [each.name for each in await make_keys(filled)] == ["mac"]
    await require_keys(filled)


async def test_without_the_database_the_files_are_looked_at(settings: Settings) -> None:
    away = settings.model_copy(update={"database_url": "postgresql://coe@127.0.0.1:9/coe"})
    await require_keys(away)
    with pytest.raises(Unavailable):
        await make_keys(away)
    (settings.data_dir / "keys" / "mac").chmod(0o644)
    with pytest.raises(KeysRefused, match=r"COE_MAC_KEY_FILE.*0644"):
        await require_keys(away)


async def test_the_states_name_each_key(filled: Settings) -> None:
    states = {each.file.name: each for each in await key_states(filled)}
    assert list(states) == ALL
    assert all(each.problem is None and each.needed and each.ids for each in states.values())
    assert states["signing"].ids[0].startswith(filled.log_origin)


def test_keys_are_made_in_a_folder_to_be_given(tmp_path: Path) -> None:
    done = run("key", "new", "--to", str(tmp_path / "keys"), "--output", "json")
    assert [each["key"] for each in json.loads(done.stdout)] == ALL
    assert sorted(each.name for each in (tmp_path / "keys").iterdir()) == ALL
    again = run("key", "new", "--to", str(tmp_path / "keys"))
    assert again.exit_code == 8
    assert "there already" in again.stderr


async def test_the_command_lists_and_makes(empty: Settings) -> None:
    given = _variables(empty)
    listed = await asyncio.to_thread(run, "key", "list", **given)
    assert listed.exit_code == 1
    assert "coe key new" in listed.stderr
    made = await asyncio.to_thread(run, "key", "new", **given)
    assert made.exit_code == 0, made.output
    assert (await asyncio.to_thread(run, "key", "list", **given)).exit_code == 0


FORGED = """
    INSERT INTO audit_events
    SELECT (jsonb_populate_record(e, jsonb_build_object(
        'id', gen_random_uuid(), 'position', NULL, 'leaf_hash', NULL,
        'mac', '\\x' || repeat('00', 32),
        'at', CASE WHEN n % 2 = 0 THEN 'infinity' ELSE e.at::text END))).*
    FROM audit_events e, generate_series(1, 40) n
"""
PREFECT = {"prefect_url": "http://127.0.0.1:9/api"}


def _variables(settings: Settings) -> dict[str, str]:
    return {"COE_DATABASE_URL": settings.database_url, "COE_DATA_DIR": str(settings.data_dir)}


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(settings.database_url)
    yield connection
    await connection.close()
