"""What passes by itself is told from what comes again however often it is tried."""

from __future__ import annotations

from types import SimpleNamespace

import asyncpg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from coe.db import Database, is_unreachable, why_unusable
from coe.db.direct import ConnectionLost, DirectConnections, StatementFailed
from coe.db.failures import GONE, HELD_UP
from coe.db.plans import OnSession
from coe.db.server import DatabaseAway
from coe.installation.status import schema_state
from tests.factories.databases import cut_connections


class _DriverError(Exception):
    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


def failed(state: str, *, lost: bool = False) -> DBAPIError:
    """The error of a statement with this code."""
    orig = _DriverError(state)
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


async def test_an_ended_connection_is_told_from_a_failed_statement_in_a_session_too(
    database: Database,
) -> None:
    other = Database(database.url, name="cut")
    async with other.session() as session:
        with pytest.raises(StatementFailed) as refused:
            await OnSession(session).read("SELECT 1 / 0")
    assert not is_unreachable(refused.value)
    async with other.session() as session:
        await OnSession(session).read("SELECT 1")
        await cut_connections(database, "cut")
        with pytest.raises(ConnectionLost) as lost:
            await OnSession(session).read("SELECT 1")
    assert is_unreachable(lost.value)
    async with other.session() as session:
        assert await OnSession(session).read("SELECT 1"), "the pool does not give it away again"
    await other.close()


def test_what_passes_of_a_direct_statement_is_tried_again() -> None:
    assert is_unreachable(StatementFailed(asyncpg.exceptions.DeadlockDetectedError("x")))
    assert not is_unreachable(StatementFailed(asyncpg.exceptions.UniqueViolationError("x")))


async def test_a_missing_file_is_no_missing_database() -> None:
    assert not is_unreachable(FileNotFoundError("keys/kek"))
    away = Database("postgresql://coe@/coe?host=/nowhere")
    with pytest.raises(DatabaseAway) as error:
        await away.dedicated()
    assert is_unreachable(error.value)
    await away.close()


async def test_a_refused_look_at_the_revisions_is_no_empty_database(database: Database) -> None:
    async with database.session() as session:
        await session.execute(text("SET LOCAL statement_timeout = '1ms'"))
        async with database.session() as other:
            await other.execute(text("LOCK TABLE schema_revisions IN ACCESS EXCLUSIVE MODE"))
            with pytest.raises(DBAPIError):
                await schema_state(session)


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
