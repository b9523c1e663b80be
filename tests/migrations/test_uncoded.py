"""Rows of an earlier release get the code that the platform would have given them."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import asyncpg
from sqlalchemy import text

from coe.crypto.mac import MacKeys, create_keys
from coe.execution.runtime import Runtime
from coe.migrations import run
from coe.migrations.uncoded import CODED, code_rows
from tests.factories.events import paid, send
from tests.factories.human_tasks import complete, open_waiting, running
from tests.factories.people import FINANCE_APPROVER
from tests.migrations.test_migrations import empty_url

NEEDED = (
    "SELECT column_name FROM information_schema.columns "
    "WHERE table_name = 'entries' AND is_nullable = 'NO' AND column_name <> 'id'"
)
__all__ = ["empty_url", "running"]


async def test_the_code_is_that_of_the_platform(running: Runtime) -> None:
    platform = running.platform
    _, task = await open_waiting(running, more="        approvals: 2\n")
    await complete(platform, task, FINANCE_APPROVER)
    await send(platform, paid())
    async with platform.database.engine.begin() as connection:
        for codes in CODED:
            query = text(f"SELECT id, code FROM {codes.table} ORDER BY id")  # ours
            before = (await connection.execute(query)).all()
            assert before, codes.table
            await connection.execute(text(f"UPDATE {codes.table} SET code = NULL"))
            number = await connection.run_sync(code_rows, platform.keyring.macs)
            assert number == len(before)
            assert (await connection.execute(query)).all() == before


async def test_the_upgrade_that_brings_codes_gives_them(empty_url: str, tmp_path: Path) -> None:
    create_keys(tmp_path / "mac")
    keys = MacKeys(tmp_path / "mac")
    upgrade = partial(asyncio.to_thread, run.upgrade, empty_url)
    await upgrade("0029", keys=keys)
    connection = await asyncpg.connect(empty_url)
    await connection.execute("SET session_replication_role = replica")
    for name in await connection.fetch(NEEDED):
        await connection.execute(f'ALTER TABLE entries ALTER "{name[0]}" DROP NOT NULL')
    insert = "INSERT INTO entries (id, name) VALUES (gen_random_uuid(), $1)"
    coded = "SELECT name FROM entries WHERE code IS NOT NULL ORDER BY name"
    await connection.execute(insert, "before")
    assert await upgrade(keys=keys) == 1
    await connection.execute(insert, "late")  # by a process of the earlier release
    assert await upgrade(keys=keys) == 0
    assert [row["name"] for row in await connection.fetch(coded)] == ["before"]
    assert await upgrade(keys=keys, vouch=True) == 1
    assert [row["name"] for row in await connection.fetch(coded)] == ["before", "late"]
    await connection.close()
