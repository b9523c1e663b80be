"""What passes by itself is told from what comes again however often it is tried."""

from __future__ import annotations

from types import SimpleNamespace

import asyncpg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from coe.db import Database, is_unreachable, why_unusable
from coe.db.direct import ConnectionLost, DirectConnections
from coe.db.failures import GONE, HELD_UP
from tests.factories.databases import cut_connections


def failed(state: str, *, lost: bool = False) -> DBAPIError:
    """The error of a statement with this code."""
    orig = Exception()
    orig.sqlstate = state  # type: ignore[attr-defined]  # as the driver does
    kind = IntegrityError if state.startswith("23") else DBAPIError
    return kind("SELECT 1", None, orig, connection_invalidated=lost)


@pytest.mark.parametrize(
    ("state", "passes"),
    [
        ("57P01", True),
        ("57014", True),
        ("40P01", True),
        ("40001", True),
        ("53300", True),
        ("55P03", True),
        ("08006", True),
        ("23505", False),
        ("42P01", False),
        ("22P02", False),
    ],
)
def test_what_passes_is_tried_again(state: str, *, passes: bool) -> None:
    assert is_unreachable(failed(state)) is passes


def test_who_is_held_up_by_others_is_told_so() -> None:
    assert why_unusable(failed("40P01")) == HELD_UP
    assert why_unusable(failed("57P01", lost=True)) == GONE


async def test_a_statement_whose_connection_was_ended_says_that_the_database_is_away(
    database: Database,
) -> None:
    other = Database(database.url, name="cut")
    async with other.session() as session:
        await session.execute(text("SELECT 1"))
        await cut_connections(database, "cut")
        with pytest.raises(DBAPIError) as lost:
            await session.execute(text("SELECT 1"))
    await other.close()
    assert is_unreachable(lost.value)
    assert why_unusable(lost.value) == GONE


async def test_the_end_is_noticed_by_what_the_server_says_before_it_closes_the_connection() -> None:
    ended = asyncpg.exceptions.AdminShutdownError("terminating connection")
    terminated: list[bool] = []

    class Open:
        """A connection whose end was not read yet."""

        def is_closed(self) -> bool:
            return bool(terminated)

        def terminate(self) -> None:
            terminated.append(True)

        async def fetch(self, *_: object) -> list[object]:
            raise ended

    async def connect() -> Open:
        return Open()

    with pytest.raises(ConnectionLost):
        await DirectConnections(connect).fetch("SELECT 1")
    assert terminated, "nobody gets this connection again"


def test_the_pool_notices_it_too(database: Database) -> None:
    context = SimpleNamespace(
        original_exception=asyncpg.exceptions.AdminShutdownError("ending"), is_disconnect=False
    )
    engine: Engine = database.engine.sync_engine
    for listener in engine.dialect.dispatch.handle_error:
        listener(context)
    assert context.is_disconnect is True
