"""Reads from a standby: all that is committed is seen, or the primary answers."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from graphql import parse
from sqlalchemy import text

from coe import content
from coe.api.graphql.context import Context, EngineStatus
from coe.app import NO_ENGINE
from coe.audit.log import append
from coe.audit.readings import Readings
from coe.authentication import RequestInfo
from coe.db import Database
from coe.db import standby as standby_module
from coe.demo.api import create_demo_app
from coe.installation.backup import wal_check
from coe.installation.status import Health, installation_status
from coe.settings import Settings
from coe.work import Platform, Read
from tests.factories.api import Api
from tests.factories.audit import event, open_log
from tests.factories.databases import fill_database, statements_about
from tests.factories.keys import give_keys
from tests.factories.people import SALES_OWNER
from tests.factories.standby import IN_SYNC, NAME, Pair, pair

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def servers(signing_key_file: Path) -> AsyncIterator[Pair]:
    """A primary with an installation, and its standby."""
    async with pair() as made:
        await made.primary.prepare({"coe": "postgres"})
        await fill_database(made.primary.url("coe"), signing_key_file, content.root(ROOT))
        yield made


def opened(settings: Settings, **changes: object) -> Platform:
    return Platform.open(settings.model_copy(update=changes), name="test")


async def where(platform: Platform) -> tuple[bool, int]:
    """Whether a read is done by the standby, and how many events it sees."""

    async def look(read: Read) -> tuple[bool, int]:
        row = await read.session.execute(
            text("SELECT pg_is_in_recovery(), count(*) FROM audit_events")
        )
        stands_by, number = row.one()
        return stands_by, number

    context = Context(
        platform=platform,
        actor=SALES_OWNER,
        request=RequestInfo(),
        document=parse("{ teams { id } }"),
        engine=lambda: EngineStatus(NO_ENGINE, seen=False),
        readings=Readings(),
    )
    return await context.read_from_standby(look)


async def write(platform: Platform) -> None:
    async with platform.database.session() as session:
        await append(session, platform.keyring, event())
        await session.commit()


async def what_the_api_reads_there(settings: Settings) -> None:
    app = create_demo_app(settings.model_copy(update={"loops": False}))
    async with app.router.lifespan_context(app):
        api = Api(app)
        standby = api.services.platform.standby
        assert standby is not None
        query = '{ catalog(search: "order") { nodes { id } } runs(first: 1) { nodes { id } } }'
        read = standby.reader.read

        async def noted(statement: str, *arguments: Any) -> list[Any]:
            there.append(statement)
            return await read(statement, *arguments)

        with (
            statements_about(standby.database, "") as there,
            pytest.MonkeyPatch.context() as patched,
        ):
            patched.setattr(standby.reader, "read", noted)
            await api.persona("sales-owner").ask(query)
    assert any("FROM entries" in statement for statement in there)
    assert any("FROM runs" in statement for statement in there)
    assert not any("access_" in statement or "policy" in statement for statement in there)


@pytest.mark.more
async def test_a_read_sees_what_was_committed_before_it(
    servers: Pair, tmp_path: Path, keys_folder: Path
) -> None:
    settings = give_keys(
        Settings(
            database_url=servers.primary.url("coe"),
            database_replica_url=servers.standby.url("coe"),
            replica_max_lag_seconds=60,
            data_dir=tmp_path,
        ),
        keys_folder,
    )
    platform = opened(settings)
    for number in range(1, 31):  # while the standby replays
        await write(platform)
        assert await where(platform) == (True, number)
    await platform.close()
    await what_the_api_reads_there(settings)
    [standby] = [each for each in await installation_status(settings) if each.part == "standby"]
    assert standby.detail == "has replayed everything"

    former = opened(settings)
    another = standby_module._FLUSHED.replace("::int", "::int + 1")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(standby_module, "_FLUSHED", another)
        assert await where(former) == (False, 30), "it follows another primary than this one"
    await former.close()

    hasty = opened(settings, replica_max_lag_seconds=0.05)
    await servers.tell(servers.standby, "SELECT pg_wal_replay_pause()")
    await write(hasty)
    assert await where(hasty) == (False, 31), "the standby is behind, so the primary answers"
    await servers.tell(servers.standby, "SELECT pg_wal_replay_resume()")
    await hasty.close()

    left = opened(settings)
    assert await where(left) == (True, 31)
    servers.standby.stop()
    assert await where(left) == (False, 31), "the standby is away, so the primary answers"
    await left.close()


@pytest.mark.more
async def test_a_synchronous_standby_has_every_confirmed_event_after_a_failover(
    servers: Pair, tmp_path: Path, keys_folder: Path
) -> None:
    await servers.tell(
        servers.primary,
        f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'",
        "SELECT pg_reload_conf()",
    )
    await servers.until(servers.primary, IN_SYNC)
    before = Database(servers.primary.url("coe"))
    async with before.session() as session:
        kept = await wal_check(session, timedelta(minutes=5))
    assert (kept.health, kept.data["connectedStandbys"]) == (Health.OK, 1)
    log = open_log(before, tmp_path)
    await log.fill(5, 20)
    await log.write(event(100), event(101))
    assert servers.primary.pid is not None
    os.kill(servers.primary.pid, signal.SIGKILL)
    await before.close()

    await servers.tell(servers.standby, "SELECT pg_promote()")
    after = Database(servers.standby.url("coe"))
    continued = open_log(after, tmp_path)
    await continued.seal()
    rows = await continued.rows("SELECT count(*), max(position) FROM audit_events")
    assert rows == [(22, 21)]
    await after.close()


@pytest.mark.parametrize("name", ["no_standby", "away"])
async def test_without_a_standby_the_primary_answers_and_it_is_told(
    name: str, settings: Settings, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    away = database_url.partition("?")[0] + "?host=/nowhere"
    url, why = {"no_standby": (database_url, "it is no standby"), "away": (away, "No such file")}[
        name
    ]
    platform = opened(settings, database_replica_url=url)
    assert await where(platform) == (False, 0)
    assert await where(platform) == (False, 0)
    await platform.close()
    told = [each.getMessage() for each in caplog.records if "standby" in each.getMessage()]
    assert len(told) == 1
    assert why in told[0]
