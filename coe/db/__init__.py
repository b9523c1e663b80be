"""The PostgreSQL database: sessions, direct connections, ids and times."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any
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


class DirectConnections:
    """Connections outside of the pool, for single statements that commit at once.

    A statement takes one round trip: it goes to the driver without a session, and the driver keeps
    it prepared. At most `size` statements run at the same time; further callers wait.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]], *, size: int = 1) -> None:
        """`connect` opens an asyncpg connection; it is called when none is idle."""
        self._connect = connect
        self._idle: list[Any] = []
        self._free = asyncio.Semaphore(size)

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Execute and commit a statement with the arguments `$1`, `$2`, ….

        Returns its rows, which are mappings by column name.

        Raises:
            SQLAlchemyError: The statement failed; the message contains no values.
            OSError: The database cannot be reached.
        """
        async with self._free:
            connection = None
            try:
                connection = self._open_idle() or await self._connect()
                rows: list[Any] = await connection.fetch(statement, *arguments)
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise SQLAlchemyError(type(error).__name__) from None
            finally:
                if connection is not None:
                    self._idle.append(connection)
        return rows

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


class Database:
    """A pool of connections to one PostgreSQL database.

    `url` is an SQLAlchemy URL; `postgresql://` means `postgresql+asyncpg://`.
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
        self.url = url.replace("postgresql://", "postgresql+asyncpg://", 1)
        self.engine: AsyncEngine = create_async_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            hide_parameters=True,
            json_serializer=_dumps,
            json_deserializer=orjson.loads,
            connect_args={"server_settings": {"application_name": name, "timezone": "UTC"}},
        )
        self._sessions = async_sessionmaker(
            self.engine, expire_on_commit=False, autoflush=False, info=dict(info or {})
        )

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Open a session; changes that are not committed at its end are rolled back."""
        async with self._sessions() as session:
            yield session

    async def dedicated(self) -> Any:
        """Open an asyncpg connection outside of the pool; the caller closes it.

        Raises:
            OSError, asyncpg.PostgresError: The server does not answer, or refuses.
        """
        url = self.url.replace("postgresql+asyncpg://", "postgresql://", 1)
        return await asyncpg.connect(url, server_settings={"application_name": self.name})

    def direct(self, *, size: int = 1) -> DirectConnections:
        """Create direct connections, which the caller closes; the first statement connects."""
        return DirectConnections(self.dedicated, size=size)

    async def create_all(self) -> None:
        """Create all tables in an empty database, as the migrations do."""
        statements = load_models()
        async with self.engine.begin() as connection:
            await connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
            await connection.run_sync(SQLModel.metadata.create_all)
            for statement in statements:
                await connection.exec_driver_sql(statement)

    async def close(self) -> None:
        """Close all connections of the pool."""
        await self.engine.dispose()
