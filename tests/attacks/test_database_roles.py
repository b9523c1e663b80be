"""Somebody took over a process that serves, and does what its role of the database can.

The roles are apart: `roles-owner` migrates, `roles-serving` serves, `roles-sealing` seals.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from coe.audit.losses import Loss, note_loss
from coe.audit.queries import newest_checkpoint
from coe.audit.sealer import LogSealer
from coe.audit.sinks.file import FileSink
from coe.audit.sinks.keeper import SinkKeeper
from coe.audit.sinks.state import add_sink
from coe.audit.verification import verify
from coe.db import Database
from coe.embedded_postgres import EmbeddedPostgres
from coe.errors import CoeError
from coe.migrations.roles import Roles
from coe.migrations.run import upgrade
from tests.attacks.test_audit_log import forged
from tests.audit.test_losses import decide
from tests.factories.audit import Log, event
from tests.factories.keys import keyring_of, signing_key

OWNER, SERVING, SEALING = "roles-owner", "roles-serving", "roles-sealing"
ROLES = Roles(OWNER, SERVING, SEALING)
NAME = "database_with_roles"


@pytest.fixture(scope="module")
def urls(postgres: EmbeddedPostgres) -> Iterator[dict[str, str]]:
    """The URL of a migrated database for each role."""

    async def make() -> None:
        connection = await asyncpg.connect(postgres.url("postgres"))
        for role in (OWNER, SERVING, SEALING):
            await connection.execute(f'CREATE ROLE "{role}" LOGIN')
        await connection.execute(f'CREATE DATABASE {NAME} OWNER "{OWNER}"')
        await connection.close()

    async def drop() -> None:
        connection = await asyncpg.connect(postgres.url("postgres"))
        await connection.execute(f"DROP DATABASE {NAME} WITH (FORCE)")
        for role in (OWNER, SERVING, SEALING):
            await connection.execute(f'DROP ROLE "{role}"')
        await connection.close()

    asyncio.run(make())
    found = {role: postgres.url(NAME, role) for role in (OWNER, SERVING, SEALING)}
    upgrade(found[OWNER], roles=ROLES)
    upgrade(found[OWNER], roles=ROLES)  # again changes nothing
    yield found
    asyncio.run(drop())


@pytest.fixture
async def log(urls: dict[str, str], tmp_path: Path) -> AsyncIterator[Log]:
    """The log as a process that serves has it."""
    database = Database(urls[SERVING])
    yield Log(database, keyring_of(database, tmp_path / "kek"), signing_key(), tmp_path / "points")
    await database.close()
    # Each test begins with an empty log and files of its own.
    owner = await asyncpg.connect(urls[OWNER])
    for table in ("audit_events", "audit_nodes", "audit_checkpoints"):
        await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER; DELETE FROM {table}")
        await owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    await owner.execute("DELETE FROM data_keys; UPDATE audit_sealer SET until = '-infinity'")
    await owner.close()


@pytest.fixture
async def sealer(log: Log, urls: dict[str, str]) -> AsyncIterator[LogSealer]:
    database = Database(urls[SEALING], pool_size=2)
    yield replace(log, database=database).sealer()
    await database.close()


async def connected(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url)


async def test_the_parts_do_their_work_with_their_own_roles(log: Log, sealer: LogSealer) -> None:
    await log.write(event(1), event(2))
    assert await sealer.seal_once() == 2
    async with log.database.session() as session:
        found = await verify(session, log.signer.public, log.file, admission=log.admission)
    assert found.ok
    assert found.checked_events == 2
    await sealer.close()


async def test_the_roles_know_sinks_and_write_a_loss_down(
    log: Log, urls: dict[str, str], tmp_path: Path
) -> None:
    database = Database(urls[SEALING], pool_size=2)
    sealing = replace(log, database=database)
    sink = FileSink("copy", tmp_path / "copy")
    keeper = SinkKeeper(database, log.keyring.macs, log.signer.public, [sink])
    async with database.session() as session:
        await add_sink(session, log.keyring.macs, sink)
        await session.commit()
    await log.write(event(1))
    await sealing.seal()
    async with database.session() as session:
        newest = await newest_checkpoint(session)
        assert newest is not None
        keeper.offer(newest)
        assert await keeper.keep(sink)
        await note_loss(session, log.keyring.macs, Loss(None, newest))
        await session.commit()
    await decide(log)
    owner = await asyncpg.connect(urls[OWNER])
    await owner.execute("DELETE FROM audit_losses; DELETE FROM audit_sinks")
    await owner.close()
    await database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'nobody'",
        "UPDATE audit_events SET position = NULL, leaf_hash = NULL",
        "UPDATE audit_events SET refused = 'NO_CODE'",
        "UPDATE audit_events SET mac = NULL",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "SELECT * FROM audit_events FOR UPDATE",
        "SELECT * FROM audit_events FOR KEY SHARE",
        "BEGIN; LOCK TABLE audit_events IN SHARE MODE",
        "BEGIN; LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE",
        "UPDATE audit_nodes SET hash = ''",
        "DELETE FROM audit_nodes",
        "INSERT INTO audit_nodes (level, \"offset\", hash) VALUES (1, 0, '')",
        "INSERT INTO audit_checkpoints (tree_size, root_hash, at, note) VALUES (9, '', now(), '')",
        "UPDATE audit_checkpoints SET note = ''",
        "DELETE FROM audit_checkpoints",
        "UPDATE audit_sealer SET until = 'infinity'",
        "DELETE FROM audit_sealer",
        "INSERT INTO audit_sealer (id, holder, fence, until) VALUES (2, '', 9, now())",
        "DELETE FROM audit_losses",
        "INSERT INTO audit_losses SELECT * FROM audit_losses",
        "UPDATE audit_sinks SET tree_size = 0",
        "DELETE FROM audit_sinks",
        "SELECT * FROM audit_sealer FOR UPDATE",
        "SELECT * FROM audit_sealer FOR KEY SHARE",
        "BEGIN; LOCK TABLE audit_sealer IN ROW SHARE MODE",
        "SET session_replication_role = replica",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "ALTER TABLE audit_events DISABLE TRIGGER audit_events_accept",
        "DROP TRIGGER audit_events_accept ON audit_events",
        "CREATE TRIGGER mine BEFORE UPDATE ON audit_events EXECUTE FUNCTION audit_refuse()",
        "CREATE OR REPLACE FUNCTION audit_accept() RETURNS trigger LANGUAGE sql AS 'SELECT 1'",
        "ALTER FUNCTION audit_accept() RENAME TO audit_accepted",
        "CREATE RULE mine AS ON UPDATE TO audit_events DO INSTEAD NOTHING",
        "DROP TABLE audit_events",
        "ALTER TABLE audit_events OWNER TO CURRENT_USER",
        "CREATE TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION now_too() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "UPDATE schema_revisions SET kind = 'expand'",
        "DELETE FROM schema_revisions",
        f'GRANT ALL ON audit_events TO "{SERVING}"; UPDATE audit_events SET mac = NULL',
        f'GRANT "{OWNER}" TO "{SERVING}"',
        f'SET ROLE "{OWNER}"',
        f'SET ROLE "{SEALING}"',
        f'SET SESSION AUTHORIZATION "{OWNER}"',
        f'ALTER ROLE "{SERVING}" SUPERUSER',
        "COPY audit_events TO PROGRAM 'true'",
        "TRUNCATE runs",
    ],
)
async def test_the_role_that_serves_changes_the_log(
    log: Log, urls: dict[str, str], statement: str
) -> None:
    await log.write(event(1))
    connection = await connected(urls[SERVING])
    with pytest.raises(asyncpg.PostgresError) as refused:
        await connection.execute(statement)
    await connection.close()
    refusals = asyncpg.InsufficientPrivilegeError, asyncpg.InvalidGrantOperationError
    assert isinstance(refused.value, refusals), refused.value


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'nobody'",
        "UPDATE audit_events SET mac = NULL",
        "DELETE FROM audit_events",
        pytest.param(forged(), id="a forged event"),
        "UPDATE audit_nodes SET hash = ''",
        "DELETE FROM audit_checkpoints",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "SELECT * FROM access_tokens",
        "SELECT * FROM data_keys",
        "SELECT * FROM runs",
    ],
)
async def test_the_role_that_seals_does_more_than_that(
    log: Log, urls: dict[str, str], statement: str
) -> None:
    await log.write(event(1))
    connection = await connected(urls[SEALING])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_advisory_lock(x'636f6510'::bigint)",
        "SELECT pg_advisory_lock(id) FROM audit_sealer",
        "LOCK TABLE audit_sealer IN ACCESS SHARE MODE",
        "LOCK TABLE audit_events IN ROW EXCLUSIVE MODE",
    ],
)
async def test_the_role_that_serves_keeps_the_sealer_from_its_work(
    log: Log, sealer: LogSealer, urls: dict[str, str], statement: str
) -> None:
    await log.write(event(1))
    connection = await connected(urls[SERVING])
    async with connection.transaction():
        await connection.execute(statement)
        assert await sealer.seal_once() == 1
    await connection.close()
    await sealer.close()


async def test_the_role_that_serves_forges_rows(
    log: Log, sealer: LogSealer, urls: dict[str, str]
) -> None:
    connection = await connected(urls[SERVING])
    await connection.execute(forged("now() - interval '1 year'"))
    await connection.close()
    await log.write(event(1))
    assert await sealer.seal_once() == 2
    rows = await log.rows("SELECT request_id FROM audit_events WHERE position IS NOT NULL")
    assert rows == [("request-1",)]
    await sealer.close()


@pytest.mark.parametrize(
    ("power", "undo", "message"),
    [
        ('ALTER ROLE "{}" SUPERUSER', 'ALTER ROLE "{}" NOSUPERUSER', "is a superuser"),
        ('GRANT "roles-owner" TO "{}"', 'REVOKE "roles-owner" FROM "{}"', "is a member of roles-"),
        ('GRANT pg_write_all_data TO "{}"', 'REVOKE pg_write_all_data FROM "{}"', "write_all"),
        ('ALTER TABLE timers OWNER TO "{}"', 'ALTER TABLE timers OWNER TO "roles-owner"', "owns t"),
    ],
)
async def test_a_role_with_powers_beyond_its_grants_serves(
    urls: dict[str, str], postgres: EmbeddedPostgres, power: str, undo: str, message: str
) -> None:
    administrator = await connected(postgres.url(NAME))
    await administrator.execute(power.format(SERVING))
    try:
        with pytest.raises(CoeError, match=message):
            await asyncio.to_thread(upgrade, urls[OWNER], roles=ROLES)
    finally:
        await administrator.execute(undo.format(SERVING))
        await administrator.close()


async def test_a_role_that_does_not_exist_serves(urls: dict[str, str]) -> None:
    with pytest.raises(CoeError, match="there is no role nobody"):
        await asyncio.to_thread(upgrade, urls[OWNER], roles=Roles(OWNER, "nobody", SEALING))
