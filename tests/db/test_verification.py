"""PostgreSQL over TLS: whoever answers has to prove that it is the right server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from coe.cli.main import cli
from coe.crypto.keys import Keyring
from coe.db import Database, DatabaseNotTrusted
from coe.db.notifications import Listener
from coe.settings import Settings
from tests.factories.certificates import Authority
from tests.factories.tls_postgres import Front, before

ONE = text("SELECT 1")
VARIABLES = ("database_url", "migrate_database_url", "sealer_database_url")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def other(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "other")


@pytest.fixture
async def front(database_url: str, authority: Authority) -> AsyncIterator[Front]:
    """TLS before the database, at 127.0.0.1, which its certificate names, and at 127.0.0.2."""
    async with before(database_url, authority.issue("127.0.0.1")) as made:
        yield made


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url, pool_size=1)
    try:
        yield database
    finally:
        await database.close()


async def test_a_server_that_is_proven_is_used_by_every_connection(
    front: Front, authority: Authority, database_url: str, tmp_path: Path
) -> None:
    query = f"sslmode=verify-full&sslrootcert={authority.file}"
    async with opened(front.url(database_url, query=query)) as database:
        async with database.session() as session:
            assert await session.scalar(ONE) == 1
        direct = database.direct()
        assert len(await direct.fetch("SELECT 1")) == 1
        await direct.close()
        async with Keyring(database, tmp_path / "kek").engine.connect() as connection:
            assert await connection.scalar(ONE) == 1
        listener, heard = Listener(database), asyncio.Event()
        with listener.subscribe("news", lambda _: heard.set()):
            await listener.start()
            await asyncio.wait_for(heard.wait(), 10)
        await listener.close()
    assert front.sessions == ["TLSv1.3"] * 4


async def test_the_authorities_of_the_settings_count_for_each_role(
    front: Front, authority: Authority, other: Authority, database_url: str
) -> None:
    names = {name: front.url(database_url, query="sslmode=verify-full") for name in VARIABLES}
    made = Settings(**names, ca_file=authority.file)
    for url in (made.serving_url, made.migrating_url, made.sealing_url):
        async with opened(url) as database, database.session() as session:
            assert await session.scalar(ONE) == 1
    wrong = Settings(**names, ca_file=other.file)
    for url in (wrong.serving_url, wrong.migrating_url, wrong.sealing_url):
        async with opened(url) as database:
            with pytest.raises(DatabaseNotTrusted):
                await database.dedicated()


@pytest.mark.parametrize("variable", ["COE_DATABASE_URL", "COE_MIGRATE_DATABASE_URL"])
async def test_migrate_says_why_it_does_not_trust_the_database(
    front: Front,
    authority: Authority,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    url = front.url(database_url, "127.0.0.2", f"sslrootcert={authority.file}")
    monkeypatch.setenv(variable, url)
    done = await asyncio.to_thread(CliRunner().invoke, cli, ["migrate", "--check"])
    assert done.exit_code == 7, done.output
    assert "the database is not trusted: its certificate is not trusted: IP address" in done.output
