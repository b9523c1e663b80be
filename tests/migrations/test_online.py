"""Revisions are applied to a database in use: short locks, and everything goes on after a kill."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from coe.db import Database
from coe.db.known_revisions import newest_known
from coe.embedded_postgres import EmbeddedPostgres
from coe.errors import Conflict
from coe.migrations import processes, run
from coe.migrations.applying import NoLock, RevisionFailed
from coe.migrations.revisions import BadRevision, load
from tests.factories.databases import fresh_database
from tests.factories.revisions import line, plant

TABLE = "CREATE TABLE things (id int PRIMARY KEY, name text, seen int NOT NULL DEFAULT 0)"
ADD = "ALTER TABLE things ADD COLUMN team text"
DROP = "ALTER TABLE things DROP COLUMN name"
FILL = """
backfills = (
    Backfill('things', ('id',), "UPDATE things SET seen = seen + 1 WHERE {page}", rows=10),
)
"""
KILLED = """
import sys
from pathlib import Path
from coe.migrations.revisions import load
from coe.migrations.run import upgrade
upgrade(sys.argv[1], known=load(Path(sys.argv[2])))
"""


@pytest.fixture
async def url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    async with fresh_database(postgres, "template1") as url:
        yield url


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coe.migrations.revisions.LOCK_SECONDS", 0.05)
    monkeypatch.setattr("coe.migrations.applying.PAUSES", (0.01,) * 3)
    monkeypatch.setattr("coe.migrations.run.WAIT_SECONDS", 0.01)


async def upgrade(url: str, folder: Path, **options: object) -> run.Upgraded:
    return await asyncio.to_thread(partial(run.upgrade, url, known=line(folder), **options))


@asynccontextmanager
async def session(url: str, **settings: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, server_settings=settings)
    yield connection
    await connection.close()


async def until(done: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not done():
            await asyncio.sleep(0.01)


async def test_what_gets_no_lock_lets_others_pass_and_is_tried_again(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, "0001", TABLE)
    await upgrade(url, tmp_path)
    plant(tmp_path, "0002", ADD)
    monkeypatch.setattr("coe.migrations.applying.PAUSES", (0.01,) * 10_000)
    told: list[str] = []
    async with (
        session(url) as reader,
        session(url, application_name="a report") as holder,
        holder.transaction(),
    ):
        await holder.execute("SELECT * FROM things")
        upgrading = asyncio.create_task(upgrade(url, tmp_path, say=told.append))
        await until(lambda: [each for each in told if "no lock" in each])
        assert await reader.fetch("SELECT * FROM things") == [], "it waits behind no migration"
        assert any("a report (pid" in each for each in told)
        assert not upgrading.done()
    assert (await upgrading).applied == ("0002",)


async def test_what_never_gets_a_lock_names_the_holder_and_leaves_nothing(
    url: str, tmp_path: Path
) -> None:
    plant(tmp_path, "0001", TABLE)
    await upgrade(url, tmp_path)
    plant(tmp_path, "0002", "CREATE TABLE others (id int)")
    file = tmp_path / "0002_planted.py"
    file.write_text(file.read_text() + f"    op.execute({ADD!r})\n")
    load.cache_clear()
    async with session(url, application_name="a report") as holder:
        async with holder.transaction():
            await holder.execute("SELECT * FROM things")
            with pytest.raises(NoLock, match=r"revision 0002 .* a report \(pid \d+, idle in tr"):
                await upgrade(url, tmp_path)
        assert await holder.fetchval("SELECT to_regclass('others')") is None
        assert (await upgrade(url, tmp_path)).applied == ("0002",)
        assert await holder.fetchval("SELECT to_regclass('others')") == "others"


async def test_an_index_that_was_left_invalid_is_made_anew(url: str, tmp_path: Path) -> None:
    plant(tmp_path, "0001", TABLE)
    await upgrade(url, tmp_path)
    index = "indexes = (OnlineIndex('uq_things_name', 'things', '(name)', unique=True),)\n"
    plant(tmp_path, "0002", more=index)
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'uq_things_name'::regclass"
    async with session(url) as connection:
        await connection.execute("INSERT INTO things VALUES (1, 'same'), (2, 'same')")
        with pytest.raises(RevisionFailed, match=r"0002 .* unique index") as failed:
            await upgrade(url, tmp_path)
        assert "same" not in str(failed.value)
        assert await connection.fetchval(valid) is False
        standing = await asyncio.to_thread(run.standing, url)
        assert [each.finished for each in standing.state.applied] == [True, False]
        await connection.execute("DELETE FROM things WHERE id = 2")
        assert (await upgrade(url, tmp_path)).applied == ("0002",)
        assert await connection.fetchval(valid) is True
    assert (await upgrade(url, tmp_path)).applied == ()


async def test_a_constraint_is_validated_after_its_rows_are_filled(
    url: str, tmp_path: Path
) -> None:
    plant(tmp_path, "0001", TABLE)
    check = "ALTER TABLE things ADD CONSTRAINT ck_seen CHECK (seen > 0) NOT VALID"
    plant(tmp_path, "0002", check, more=FILL + "validations = (Validation('things', 'ck_seen'),)\n")
    first = partial(run.upgrade, url, known=line(tmp_path)[:1])
    await asyncio.to_thread(first)
    async with session(url) as connection:
        await connection.execute("INSERT INTO things SELECT n, n FROM generate_series(1, 25) n")
        await upgrade(url, tmp_path)
        validated = "SELECT convalidated FROM pg_constraint WHERE conname = 'ck_seen'"
        assert await connection.fetchval(validated) is True
        assert await connection.fetchval("SELECT count(*) FROM things WHERE seen = 1") == 25


async def test_a_back_fill_goes_on_after_its_process_is_killed(url: str, tmp_path: Path) -> None:
    plant(tmp_path, "0001", TABLE)
    await upgrade(url, tmp_path)
    plant(tmp_path, "0002", more=FILL)
    async with session(url) as holder, session(url) as connection:
        await connection.execute("INSERT INTO things SELECT n, n FROM generate_series(1, 35) n")
        async with holder.transaction():
            await holder.execute("SELECT * FROM things WHERE id = 25 FOR UPDATE")
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", KILLED, url, str(tmp_path), env={**os.environ}
            )
            filled = "SELECT to_regclass('schema_backfills') IS NOT NULL AND "
            filled += "EXISTS (SELECT FROM schema_backfills WHERE filled = 20)"
            async with asyncio.timeout(60):
                while not await connection.fetchval(filled):
                    assert process.returncode is None
                    await asyncio.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        assert await connection.fetchval("SELECT sum(seen) FROM things") == 20
        told: list[str] = []
        assert (await upgrade(url, tmp_path, say=told.append)).applied == ("0002",)
        assert await connection.fetch("SELECT DISTINCT seen FROM things") == [(1,)]
        assert any("35 rows changed, all done" in each for each in told)


async def test_only_one_process_migrates_at_a_time(url: str, tmp_path: Path) -> None:
    plant(tmp_path, "0001", TABLE)
    told: list[str] = []
    async with session(url) as other:
        await other.fetchval("SELECT pg_advisory_lock($1)", run.MIGRATION_LOCK)
        upgrading = asyncio.create_task(upgrade(url, tmp_path, say=told.append))
        await until(lambda: told)
        assert "another process migrates" in told[0]
        await other.fetchval("SELECT pg_advisory_unlock($1)", run.MIGRATION_LOCK)
        await upgrading


# ---------------------------------------------------------------- contracts
async def test_a_contract_waits_until_nobody_older_is_connected(url: str, tmp_path: Path) -> None:
    plant(tmp_path, "0001", TABLE)
    await upgrade(url, tmp_path)
    plant(tmp_path, "0002", ADD)
    plant(tmp_path, "0003", DROP, kind="contract", more="works_with = '0002'\n")
    plant(tmp_path, "0004", "CREATE TABLE others (id int)")
    done = await upgrade(url, tmp_path)
    assert (done.applied, done.waiting) == (("0002", "0004"), ("0003",))
    async with session(url, application_name="coe-api/0001"):
        with pytest.raises(Conflict, match=r"0003 would .* coe-api, which knows 0001 \(pid"):
            await upgrade(url, tmp_path, contract=True)
    async with session(url, application_name="coe-api"):  # it does not say what it knows
        with pytest.raises(Conflict, match="which knows 0000"):
            await upgrade(url, tmp_path, contract=True)
    async with (
        session(url, application_name="coe-api/0002"),
        session(url, application_name="psql"),
    ):
        done = await upgrade(url, tmp_path, contract=True)
    assert (done.applied, done.waiting) == (("0003",), ())


async def test_a_session_that_the_role_may_not_look_at_may_be_an_older_process(
    url: str,
) -> None:
    """Roles apart: the one that migrates sees the program of another only if it may."""
    async with session(url) as admin:
        await admin.execute("DROP ROLE IF EXISTS looks_on")
        await admin.execute("CREATE ROLE looks_on LOGIN")
    place = url.replace("postgresql://postgres@", "postgresql://looks_on@")
    assert place != url
    async with session(url, application_name="coe-api/0001") as older:
        hidden = await asyncio.to_thread(_connected, place)
        assert [each.knows for each in hidden] == ["0000"]
        assert "hidden without pg_read_all_stats" in hidden[0].program
        await older.execute("GRANT pg_read_all_stats TO looks_on")
        seen = await asyncio.to_thread(_connected, place)
    assert [(each.program, each.knows) for each in seen] == [("coe-api", "0001")]
    async with session(url) as admin:
        await admin.execute("DROP ROLE looks_on")


def _connected(url: str) -> list[processes.Process]:
    async def look() -> list[processes.Process]:
        database = Database(url, name="psql", pool_size=1)
        try:
            async with database.engine.begin() as connection:
                return await connection.run_sync(processes.connected)
        finally:
            await database.close()

    return asyncio.run(look())


async def test_a_new_database_gets_contracts_at_once(url: str, tmp_path: Path) -> None:
    plant(tmp_path, "0001", TABLE)
    plant(tmp_path, "0002", DROP, kind="contract")
    assert (await upgrade(url, tmp_path)).applied == ("0001", "0002")


async def test_an_expand_that_needs_a_contract_says_so(url: str, tmp_path: Path) -> None:
    plant(tmp_path, "0001", TABLE)
    await upgrade(url, tmp_path)
    plant(tmp_path, "0002", DROP, kind="contract")
    again = "ALTER TABLE things ADD COLUMN name int"
    plant(tmp_path, "0003", again, more="after = ('0002',)\n")
    with pytest.raises(Conflict, match=r"0003 needs 0002.*`coe migrate --contract`"):
        await upgrade(url, tmp_path)
    assert (await upgrade(url, tmp_path, contract=True)).applied == ("0002", "0003")


async def test_an_older_version_changes_nothing_of_a_newer_schema(url: str, tmp_path: Path) -> None:
    plant(tmp_path, "0001", TABLE)
    older = line(tmp_path)
    plant(tmp_path, "0002", ADD)
    await upgrade(url, tmp_path)
    done = await asyncio.to_thread(partial(run.upgrade, url, known=older))
    assert (done.before, done.after, done.applied, done.newer) == ("0002", "0002", (), True)


async def test_processes_say_which_revision_they_know(url: str) -> None:
    database = Database(url, name="coe-central")
    await (connection := await database.dedicated()).fetchval("SELECT 1")
    [process] = (await asyncio.to_thread(run.standing, url)).processes
    assert (process.program, process.knows) == ("coe-central", newest_known())
    await connection.close()
    await database.close()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("revision = '0001'\n", "`kind` has to be"),
        ("revision = '0001'\nkind = 'both'\n", "`kind` has to be"),
        ("revision = '0002'\nkind = 'expand'\n", "`revision` has to be"),
    ],
    ids=["no kind", "another kind", "another number"],
)
def test_a_revision_has_to_say_what_it_is(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "0001_x.py").write_text(text)
    with pytest.raises(BadRevision, match=why):
        load(tmp_path)
