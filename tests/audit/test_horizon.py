"""How far may be sealed: what runs in other databases holds up nothing, what runs in this does."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from coe.audit.horizon import horizon, horizon_holder
from coe.audit.log import append
from coe.audit.watch import SealingWatch
from coe.db import Database
from coe.embedded_postgres import EmbeddedPostgres
from tests.factories.audit import Log, event

WRITES = "SELECT pg_current_xact_id()"


@asynccontextmanager
async def writing(url: str) -> AsyncIterator[Any]:
    """A transaction that has written, and stays open."""
    connection = await asyncpg.connect(url, server_settings={"application_name": "slow"})
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(WRITES)
    try:
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()


async def test_a_transaction_of_another_database_holds_up_nothing(
    log: Log, postgres: EmbeddedPostgres
) -> None:
    async with writing(postgres.url("postgres")):
        await log.write(event(1), event(2))
        assert await log.sealer().seal_once() == 2
        async with log.database.session() as session:
            assert not (await horizon(session)).blocked
            assert await horizon_holder(session) is None


async def test_one_of_this_database_does_and_is_named(
    log: Log, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    watch = SealingWatch(late_seconds=0.0)
    async with writing(database_url) as slow:
        pid = slow.get_server_pid()
        await log.write(event(1))
        assert await log.sealer().seal_once() == 0
        async with log.database.session() as session:
            await watch.look(session)
        assert watch.blocker is not None
        assert (watch.blocker.pid, watch.blocker.program) == (pid, "slow")
        assert watch.blocker.state == "idle in transaction"
        assert watch.blocker.seconds is not None
        assert f"process {pid} of PostgreSQL" in caplog.text
    assert await log.sealer().seal_once() == 1
    async with log.database.session() as session:
        await watch.look(session)
    assert watch.blocker is None


@pytest.fixture
async def plain_role(postgres: EmbeddedPostgres, database_url: str) -> AsyncIterator[str]:
    """The URL of the database with a role that may see no statistics of others."""
    connection = await asyncpg.connect(postgres.url("postgres"))
    await connection.execute("CREATE ROLE plain_watcher LOGIN")
    yield database_url.replace("postgres@", "plain_watcher@", 1)
    await connection.execute("DROP ROLE plain_watcher")
    await connection.close()


async def test_a_role_without_statistics_tells_both_apart_too(
    log: Log, postgres: EmbeddedPostgres, database_url: str, plain_role: str
) -> None:
    plain = Database(plain_role)
    async with writing(postgres.url("postgres")), plain.session() as session:
        await log.write(event(1))
        assert not (await horizon(session)).blocked
        async with writing(database_url) as slow:
            await log.write(event(2))
            holder = await horizon_holder(session)
            assert holder is not None
            assert (holder.pid, holder.program) == (slow.get_server_pid(), "slow")
            assert (holder.state, holder.seconds) == (None, None)
            assert str(holder).endswith("role postgres, slow)")
    await plain.close()


async def test_the_order_is_that_of_the_transactions_whatever_runs_elsewhere(
    log: Log, postgres: EmbeddedPostgres, database_url: str
) -> None:
    wide = Database(database_url, pool_size=8)
    numbers = itertools.count()
    ended = asyncio.Event()

    async def elsewhere() -> None:
        while not ended.is_set():
            async with writing(postgres.url("postgres")):  # each by another process
                await asyncio.sleep(0)

    async def write() -> None:
        for _ in range(15):
            async with wide.session() as session:
                await session.execute(text(WRITES))
                await asyncio.sleep(0)
                await append(session, log.keyring, event(next(numbers)))
                await asyncio.sleep(0.005)
                await session.commit()

    async def seal() -> None:
        sealer = log.sealer()
        while not ended.is_set():
            await sealer.seal_once()

    others = [asyncio.create_task(each()) for each in (elsewhere, elsewhere, seal)]
    await asyncio.gather(*(write() for _ in range(6)))
    ended.set()
    await asyncio.gather(*others)
    await wide.close()
    await log.seal()
    rows = await log.rows("SELECT xid::text::bigint FROM audit_events ORDER BY position")
    assert len(rows) == 90
    assert rows == sorted(rows)
