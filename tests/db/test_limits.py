"""What bounds a connection: how long a caller waits for one, and how long its transaction lasts."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from coe.db import Database
from coe.db.limits import allow_long_reading
from coe.demo.api import create_demo_app
from coe.settings import Settings
from tests.factories.api import Api
from tests.factories.settings import ONE_CONNECTION

LIMITS = (
    "SELECT name, setting FROM pg_settings WHERE name IN"
    " ('transaction_timeout', 'idle_in_transaction_session_timeout') ORDER BY name"
)


async def test_a_process_without_a_free_connection_is_unavailable(settings: Settings) -> None:
    few = settings.model_copy(
        update=ONE_CONNECTION | {"database_pool_seconds": 0.01, "loops": False}
    )
    api = Api(create_demo_app(few))
    query = '{ catalog(search: "order") { totalCount } }'
    async with api.services.platform.database.session() as held:
        await held.execute(text("SELECT 1"))
        async with (
            api.app.router.lifespan_context(api.app),
            api.client("demo-sales-owner") as client,
        ):
            answer = await api.persona("sales-owner").send(query)
            door = await client.get("/audit/bundle")
            directory = await client.get("/scim/v2/Users")
            event = await client.post("/events", json={})
    [error] = answer["errors"]
    assert error["extensions"]["code"] == "UNAVAILABLE"
    assert "COE_DATABASE_POOL_SIZE" in error["message"]
    for response in (door, directory, event):
        assert response.status_code == 503
        assert "Every connection to the database is in use" in response.text


async def test_the_server_ends_a_transaction_of_ours_that_stays_open(settings: Settings) -> None:
    database = Database.serving(settings, name="bounded", pool_size=1)
    async with database.session() as session:
        rows = await session.execute(text(LIMITS))
        assert rows.all() == [
            ("idle_in_transaction_session_timeout", "60000"),
            ("transaction_timeout", "300000"),
        ]
        await allow_long_reading(session)
        rows = await session.execute(text(LIMITS))
        assert rows.all() == [
            ("idle_in_transaction_session_timeout", "600000"),
            ("transaction_timeout", "0"),
        ]
    await database.close()


async def test_one_that_reads_for_long_is_not_ended(database_url: str) -> None:
    database = Database(database_url, transaction_seconds=0.2)
    async with database.session() as session:
        await allow_long_reading(session)
        await session.execute(text("SELECT pg_sleep(0.4)"))
    async with database.session() as session:
        with pytest.raises(DBAPIError):
            await session.execute(text("SELECT pg_sleep(60)"))
    await database.close()


def test_a_pooler_needs_the_direct_url_too() -> None:
    with pytest.raises(ValidationError, match="COE_DATABASE_DIRECT_URL"):
        Settings(database_pooler="transaction")


async def test_callers_wait_for_a_connection_that_comes_back(settings: Settings) -> None:
    few = settings.model_copy(update=ONE_CONNECTION)
    database = Database.serving(few, name="few", pool_size=20)

    async def ask() -> None:
        async with database.session() as session:
            await session.execute(text("SELECT 1"))

    await asyncio.gather(*(ask() for _ in range(20)))
    assert database.sizes.size == 1
    await database.close()
