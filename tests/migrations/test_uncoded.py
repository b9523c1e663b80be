"""Rows without a code get the one that the platform would have given them."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from coe.crypto.mac import MacKeys, add_key, create_keys
from coe.crypto.row_codes import ChangedInDatabase
from coe.execution.advance import advance
from coe.execution.runtime import Runtime
from coe.migrations import run
from coe.migrations.uncoded import CODED, code_rows
from coe.runs.row_codes import all_good
from coe.schedules.event_triggers import settle
from coe.secret_files import SecretFileRefused, replace_secret
from tests.cli.commands import run as cli
from tests.factories.events import paid, send
from tests.factories.human_tasks import complete, open_waiting, running, task_of
from tests.factories.people import FINANCE_APPROVER
from tests.factories.runs import APPROVAL, central, publish, start
from tests.factories.schedules import flow, publish_scheduled
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


async def test_vouching_gives_codes_and_recoding_those_of_the_newest_key(
    empty_url: str, tmp_path: Path
) -> None:
    create_keys(tmp_path / "mac")
    keys = MacKeys(tmp_path / "mac")
    given = {"COE_DATABASE_URL": empty_url, "COE_MAC_KEY_FILE": str(keys.path)}

    async def migrate(*options: str) -> dict[str, object]:
        done = await asyncio.to_thread(cli, "migrate", *options, "--output", "json", **given)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    await migrate()
    connection = await asyncpg.connect(empty_url)
    await connection.execute("SET session_replication_role = replica")
    for name in await connection.fetch(NEEDED):
        await connection.execute(f'ALTER TABLE entries ALTER "{name[0]}" DROP NOT NULL')
    await connection.execute("INSERT INTO entries (id, name) VALUES (gen_random_uuid(), 'x')")
    assert (await migrate())["coded"] == 0
    assert await connection.fetchval("SELECT code FROM entries") is None
    assert (await migrate("--vouch"))["coded"] == 1
    assert await connection.fetchval("SELECT code FROM entries") is not None
    await connection.close()
    add_key(keys.path)
    assert [(await migrate("--recode"))["recoded"] for _ in range(2)] == [1, 0]


async def test_what_is_made_of_a_row_without_a_code_is_vouched_for_with_it(
    running: Runtime,
) -> None:
    """While old processes still write runs and events, new ones make tasks and runs of them."""
    platform = running.platform
    await publish(platform, central("asks", APPROVAL))
    run_id = (await start(platform, "sales/asks")).id
    await publish_scheduled(platform, flow("{on: {one: {with: {type: com.example.paid}}}}"))
    [sent] = await send(platform, paid(type="com.example.paid"))
    async with platform.database.engine.begin() as connection:
        for table in ("runs", "events"):
            await connection.execute(text(f"UPDATE {table} SET code = NULL"))
    await advance(running, run_id)
    task_id = await task_of(platform, run_id)
    await settle(platform, sent.id)
    with pytest.raises(ChangedInDatabase):
        await complete(platform, task_id, FINANCE_APPROVER)
    async with platform.database.engine.begin() as connection:
        # The run, its task, the event, and the run that it starts.
        assert await connection.run_sync(code_rows, platform.keyring.macs) == 4
    await complete(platform, task_id, FINANCE_APPROVER)


@pytest.mark.parametrize(
    ("found", "good"),
    [([True, True], True), ([True, None], None), ([None, False], False), ([False, True], False)],
)
def test_something_made_of_several_rows_is_as_good_as_the_worst(
    found: list[bool | None],
    good: bool | None,  # noqa: FBT001  # of the parameters
) -> None:
    assert all_good(found) is good


async def test_codes_of_an_older_key_are_made_anew(
    running: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the line of the older key can go; a code that does not fit stays as it is."""
    monkeypatch.setattr("coe.migrations.uncoded._AT_ONCE", 2)  # more than one page
    platform = running.platform
    _, task_id = await open_waiting(running)
    events = [sent.id for each in "abcde" for sent in await send(platform, paid(id=each))]
    async with platform.database.engine.begin() as connection:
        await connection.execute(
            text("UPDATE events SET code = ''  WHERE id = :id"), {"id": events[0]}
        )
    path = platform.settings.mac_key_path
    add_key(path)
    recode = partial(
        asyncio.to_thread, run.recode, platform.settings.database_url, platform.keyring.macs
    )
    number = await recode()
    assert number > len(events)
    assert await recode() == 0
    replace_secret(path, path.read_bytes().splitlines(keepends=True)[-1])
    async with platform.database.session() as session:
        for codes in CODED:
            columns = ", ".join((*(f'"{name}"' for name in codes.columns), "code"))
            rows = (await session.execute(text(f"SELECT {columns} FROM {codes.table}"))).all()
            bad = [row.id for row in rows if not codes.fits(platform.keyring.macs, row)]
            assert bad == (events[:1] if codes.table == "events" else []), codes.table
    await complete(platform, task_id, FINANCE_APPROVER)


@pytest.mark.parametrize("how", ["vouch", "recode"])
async def test_keys_of_another_installation_code_no_rows(
    running: Runtime, tmp_path: Path, how: str
) -> None:
    platform = running.platform
    await send(platform, paid())
    async with platform.database.engine.begin() as connection:
        await connection.execute(text("UPDATE events SET code = NULL"))
    create_keys(tmp_path / "mac")
    keys = MacKeys(tmp_path / "mac")
    url = platform.settings.database_url
    act = partial(run.recode, url, keys)
    if how == "vouch":
        act = partial(run.upgrade, url, vouch_with=keys)
    with pytest.raises(SecretFileRefused, match="COE_MAC_KEY_FILE"):
        await asyncio.to_thread(act)
    async with platform.database.session() as session:
        assert await session.scalar(text("SELECT code FROM events")) is None
