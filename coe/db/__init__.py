"""The PostgreSQL database: sessions, direct connections, ids and times."""

from __future__ import annotations

import asyncio
import importlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
import uuid_utils.compat
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlmodel import SQLModel

from coe.db.after_commit import NotifyingSession
from coe.db.pings import ping_after_idleness
from coe.telemetry.pools import watch_pool
from coe.tls import distrust, verified_database_url

DRIVER: Final = "postgresql+asyncpg://"
"""For SQLAlchemy: a database opens each connection itself, of its pool too."""

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

MODELS = (
    "coe.access.machine_models",
    "coe.access.models",
    "coe.audit.models",
    "coe.catalog.models",
    "coe.crypto.models",
    "coe.idempotency",
    "coe.identity.models",
    "coe.identity.scim.models",
    "coe.identity.teams.models",
    "coe.outbox",
    "coe.rate_limits",
    "coe.runs.models",
    "coe.templates.models",
)


def new_id() -> UUID:
    """Create a UUID of version 7 (RFC 9562): unique, and ordered by time."""
    return uuid_utils.compat.uuid7()


def utcnow() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


class DatabaseNotTrusted(ConnectionError):
    """The server of the database does not prove that it is the right one; it was sent nothing."""


def why_unreachable(error: BaseException) -> str:
    """Why the database cannot be used, without values."""
    return str(error) if isinstance(error, DatabaseNotTrusted) else type(error).__name__


def is_unreachable(error: BaseException) -> bool:
    """Whether the database is gone or its pool is spent; a refused statement is neither."""
    if isinstance(error, PoolTimeout | InterfaceError | OSError):
        return True
    return isinstance(error, DBAPIError) and (
        error.connection_invalidated or isinstance(error, OperationalError)
    )


def load_models() -> tuple[str, ...]:
    """Import every module with tables; returns the DDL statements that Alembic cannot generate."""
    statements: list[str] = []
    for name in MODELS:
        module = importlib.import_module(name)
        statements.extend(getattr(module, "DDL", ()))
    return tuple(statements)


def _dumps(value: object) -> str:
    return orjson.dumps(value).decode()


def _distrust(error: BaseException) -> str | None:
    """Why the server is not trusted; None if it is, but cannot be reached."""
    if isinstance(error, ssl.SSLError):
        return distrust(error) or f"TLS with it fails ({error.reason or type(error).__name__})"
    return "it does not speak TLS" if "rejected SSL upgrade" in str(error) else None


STATEMENT_SECONDS: Final = 15.0
"""How long a statement of a direct connection may take, with connecting; each finds rows by key."""


class ConnectionLost(ConnectionError):
    """The server closed the connection while a statement ran."""


class DirectConnections:
    """Connections outside of the pool, for single statements that commit at once.

    A statement takes one round trip: it goes to the driver without a session, and the driver keeps
    it prepared. At most `size` statements run at the same time; further callers wait. A statement
    that takes longer than `seconds` fails, and its connection is closed: a server that is silent
    holds up nobody for longer.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Any]],
        *,
        size: int = 1,
        seconds: float = STATEMENT_SECONDS,
    ) -> None:
        """`connect` opens an asyncpg connection; it is called when none is idle."""
        self.seconds = seconds
        self._connect = connect
        self._idle: list[Any] = []
        self._free = asyncio.Semaphore(size)

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Execute and commit a statement with the arguments `$1`, `$2`, ….

        Returns its rows, which are mappings by column name.

        Raises:
            SQLAlchemyError: The statement failed; the message contains no values.
            OSError: The database cannot be reached, or does not answer in time.
        """
        async with self._free:
            connection = None
            try:
                async with asyncio.timeout(self.seconds):
                    connection = self._open_idle() or await self._connect()
                    rows: list[Any] = await connection.fetch(statement, *arguments)
            except TimeoutError:
                _terminate(connection)
                raise
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise SQLAlchemyError(type(error).__name__) from None
            finally:
                if connection is not None:
                    self._idle.append(connection)
        return rows

    async def read(self, statement: str, *arguments: Any) -> list[Any]:
        """The same for a statement that changes nothing: once more if the connection was lost.

        Raises:
            SQLAlchemyError: The statement failed; the message contains no values.
            OSError: The database cannot be reached, or does not answer in time.
        """
        try:
            return await self._read(statement, *arguments)
        except ConnectionLost:
            return await self._read(statement, *arguments)

    async def _read(self, statement: str, *arguments: Any) -> list[Any]:
        async with self._free:
            connection = None
            try:
                async with asyncio.timeout(self.seconds):
                    connection = self._open_idle() or await self._connected()
                    rows: list[Any] = await connection.fetch(statement, *arguments)
            except TimeoutError:
                _terminate(connection)
                raise
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if connection is not None and connection.is_closed():
                    raise ConnectionLost(type(error).__name__) from None
                raise SQLAlchemyError(type(error).__name__) from None
            finally:
                if connection is not None:
                    self._idle.append(connection)
        return rows

    async def _connected(self) -> Any:
        try:
            return await self._connect()
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise ConnectionRefusedError(type(error).__name__) from None

    async def close(self) -> None:
        """Close the connections; no statement may be running."""
        while self._idle:
            connection = self._idle.pop()
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=1)

    def _open_idle(self) -> Any:
        """An idle connection that is still open, or None."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None


def _in_use(database: Database) -> int:
    pool: Any = database.engine.pool
    taken: int = pool.checkedout()
    return taken


def _terminate(connection: Any) -> None:
    """Close a connection whose server does not answer, without telling it."""
    if connection is not None:
        connection.terminate()


class Database:
    """A pool of connections to one PostgreSQL database.

    `url` is that of libpq, with `sslmode` and `sslrootcert`. A server on another machine has to
    prove who it is, unless its `sslmode` says otherwise.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "coe",
        pool_size: int = 10,
        info: Mapping[Any, Any] | None = None,
    ) -> None:
        """Prepare the pool; the first session connects. pg_stat_activity shows `name`.

        `info` is what every session of the pool has in its `info`.
        """
        self.name = name
        self.url = verified_database_url(url.replace("postgresql+asyncpg://", "postgresql://", 1))
        self.engine: AsyncEngine = create_async_engine(
            DRIVER,
            async_creator=self.dedicated,
            pool_size=pool_size,
            max_overflow=pool_size,
            hide_parameters=True,
            json_serializer=_dumps,
            json_deserializer=orjson.loads,
        )
        self._direct: list[DirectConnections] = []
        ping_after_idleness(self.engine.sync_engine)
        self._sessions = async_sessionmaker(
            self.engine,
            sync_session_class=NotifyingSession,
            expire_on_commit=False,
            autoflush=False,
            info=dict(info or {}),
        )
        watch_pool(self, name, in_use=_in_use, size=2 * pool_size)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Open a session; changes that are not committed at its end are rolled back."""
        async with self._sessions() as session:
            yield session

    async def dedicated(self) -> Any:
        """Open an asyncpg connection outside of the pool; the caller closes it.

        Raises:
            DatabaseNotTrusted: The server is not proven to be the right one.
            OSError, asyncpg.PostgresError: The server does not answer, or refuses.
        """
        settings = {"application_name": self.name, "timezone": "UTC"}
        try:
            return await asyncpg.connect(self.url, server_settings=settings)
        except (ssl.SSLError, ConnectionError) as error:
            why = _distrust(error)
            if why is None:
                raise
            message = f"the database is not trusted: {why}; see sslmode and sslrootcert of its URL"
            raise DatabaseNotTrusted(message) from None

    def direct(self, *, size: int = 1) -> DirectConnections:
        """Create direct connections, closed with the database; the first statement connects."""
        made = DirectConnections(self.dedicated, size=size)
        self._direct.append(made)
        return made

    async def create_all(self) -> None:
        """Create all tables in an empty database, as the migrations do."""
        statements = load_models()
        async with self.engine.begin() as connection:
            await connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
            await connection.run_sync(SQLModel.metadata.create_all)
            for statement in statements:
                await connection.exec_driver_sql(statement)

    async def close(self) -> None:
        """Close all connections of the pool, and the direct ones; no statement may be running."""
        for each in self._direct:
            await each.close()
        await self.engine.dispose()
