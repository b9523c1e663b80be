"""Connections outside of the pool, for single statements that commit at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import asyncpg
from sqlalchemy.exc import SQLAlchemyError

STATEMENT_SECONDS: Final = 15.0
"""How long a statement of a direct connection may take, with connecting; each finds rows by key."""


_ENDS: Final = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"})
"""Codes after which the server closes the connection: it, or the session, was ended."""


def state_of(error: object) -> str | None:
    """The code of an error of PostgreSQL (SQLSTATE); None if it has none."""
    state = getattr(error, "sqlstate", None)
    return state if isinstance(state, str) else None


def is_end_of_connection(error: object) -> bool:
    """Whether the server says that the connection is over; it may not have closed it yet."""
    state = state_of(error)
    return state is not None and (state in _ENDS or state.startswith("08"))


class ConnectionLost(ConnectionError):
    """The server closed the connection while a statement ran."""


class StatementFailed(SQLAlchemyError):
    """A statement failed, for the reason of its `sqlstate`; the message contains no values."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(type(error).__name__)
        self.sqlstate = state_of(error)


def translated(error: BaseException, connection: Any) -> Exception:
    """The error of the driver as callers know it."""
    if connection.is_closed() or is_end_of_connection(error):
        return ConnectionLost(type(error).__name__)
    return StatementFailed(error)


class NoFreeConnection(ConnectionError):
    """All connections that a process may open were in use for too long; nothing was sent."""

    def __init__(self, size: int) -> None:
        super().__init__(f"all {size} connections for single statements are in use")


class DirectConnections:
    """Connections outside of the pool, for single statements that commit at once.

    A statement takes one round trip: it goes to the driver without a session, and the driver keeps
    it prepared. At most `size` statements run at the same time; further callers wait for at most
    `wait_seconds`. A statement that takes longer than `seconds` fails, and its connection is
    closed: a server that is silent holds up nobody for longer.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Any]],
        *,
        size: int = 1,
        seconds: float = STATEMENT_SECONDS,
        wait_seconds: float = STATEMENT_SECONDS,
        grouped: bool = False,
    ) -> None:
        """`connect` opens an asyncpg connection; it is called when none is idle.

        With `grouped` each statement is a transaction with a beginning and an end: behind a pooler
        the two messages of one statement would else reach two servers.
        """
        self.size = size
        self.seconds = seconds
        self._wait_seconds = wait_seconds
        self._connect = connect
        self._grouped = grouped
        self._idle: list[Any] = []
        self._free = asyncio.Semaphore(size)

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Execute and commit a statement with the arguments `$1`, `$2`, ….

        Returns its rows, which are mappings by column name.

        Raises:
            SQLAlchemyError: The statement failed; the message contains no values.
            ConnectionLost: Whether it was executed is not known.
            OSError: The database cannot be reached, or does not answer in time; or every connection
                is in use (`NoFreeConnection`).
        """
        async with self._connection() as connection:
            if self._grouped:
                async with connection.transaction():
                    return await _rows(connection, statement, arguments)
            return await _rows(connection, statement, arguments)

    async def read(self, statement: str, *arguments: Any) -> list[Any]:
        """The same for a statement that changes nothing: once more if the connection was lost.

        Raises:
            SQLAlchemyError: The statement failed; the message contains no values.
            OSError: As for `fetch`.
        """
        try:
            return await self.fetch(statement, *arguments)
        except ConnectionLost:
            return await self.fetch(statement, *arguments)

    async def close(self) -> None:
        """Close the connections; no statement may be running."""
        while self._idle:
            connection = self._idle.pop()
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=1)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection in a transaction, committed at the end; it has `seconds` in all.

        Raises:
            SQLAlchemyError, OSError: As for `fetch`.
        """
        async with self._connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection of the caller alone for `seconds`; errors of the driver are translated."""
        await self._take()
        connection = None
        try:
            async with asyncio.timeout(self.seconds):
                connection = self._open_idle() or await self._connected()
                yield connection
        except TimeoutError:
            if connection is not None:  # its server does not answer, so it is told nothing
                connection.terminate()
            raise
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if connection is None:
                raise StatementFailed(error) from None
            failed = translated(error, connection)
            if isinstance(failed, ConnectionLost):
                connection.terminate()
            raise failed from None
        finally:
            if connection is not None:
                self._idle.append(connection)
            self._free.release()

    async def _take(self) -> None:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise NoFreeConnection(self.size) from None

    async def _connected(self) -> Any:
        try:
            return await self._connect()
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise ConnectionRefusedError(type(error).__name__) from None

    def _open_idle(self) -> Any:
        """An idle connection that is still open, or None."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None


async def _rows(connection: Any, statement: str, arguments: tuple[Any, ...]) -> list[Any]:
    rows: list[Any] = await connection.fetch(statement, *arguments)
    return rows
