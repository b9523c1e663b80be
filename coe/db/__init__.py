"""PostgreSQL: the one database dialect, its sessions, ids and times."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
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
    "coe.access.models",
    "coe.audit.models",
    "coe.catalog.models",
    "coe.crypto.models",
    "coe.idempotency",
    "coe.outbox",
    "coe.runs.models",
    "coe.templates.models",
)


def new_id() -> UUID:
    """A UUID of version 7 (RFC 9562): unique, and in order of time."""
    return uuid_utils.compat.uuid7()


def utcnow() -> datetime:
    """Now, with its time zone."""
    return datetime.now(UTC)


def is_unreachable(error: BaseException) -> bool:
    """Whether the database is gone or its pool is spent; a refused statement is neither."""
    if isinstance(error, PoolTimeout | InterfaceError | OSError):
        return True
    return isinstance(error, DBAPIError) and (
        error.connection_invalidated or isinstance(error, OperationalError)
    )


def load_models() -> tuple[str, ...]:
    """Import every module with tables, and give the statements that autogeneration cannot see."""
    statements: list[str] = []
    for name in MODELS:
        module = importlib.import_module(name)
        statements.extend(getattr(module, "DDL", ()))
    return tuple(statements)


def _dumps(value: object) -> str:
    return orjson.dumps(value).decode()


class Direct:
    """Connections outside of the pool, for statements that are transactions of their own.

    They go straight to the driver, which keeps them prepared: a round trip each, with nothing of a
    session around it. `size` statements at once have each a connection; who comes then waits.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]], *, size: int = 1) -> None:
        """Take what connects to asyncpg; it is called when a sound connection is wanted."""
        self._connect = connect
        self._idle: list[Any] = []
        self._free = asyncio.Semaphore(size)

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Execute a statement with arguments `$1`, `$2`, …; when this returns, it is committed.

        Gives its rows: mappings by the names of columns.

        Raises:
            SQLAlchemyError: The database failed; the message holds no value.
            OSError: It cannot be reached.
        """
        async with self._free:
            connection = None
            try:
                connection = self._sound() or await self._connect()
                rows: list[Any] = await connection.fetch(statement, *arguments)
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise SQLAlchemyError(type(error).__name__) from None
            finally:
                if connection is not None:
                    self._idle.append(connection)
        return rows

    async def close(self) -> None:
        """Close the connections; nobody may be waiting for a statement."""
        while self._idle:
            connection = self._idle.pop()
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=1)

    def _sound(self) -> Any:
        """An idle connection that was not cut, or None."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None


class Database:
    """A pool of connections to one PostgreSQL database.

    `url` is an SQLAlchemy URL; `postgresql://` is taken as `postgresql+asyncpg://`.
    """

    def __init__(self, url: str, *, name: str = "coe", pool_size: int = 10) -> None:
        """Prepare the pool; the first session connects. `name` shows in pg_stat_activity."""
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
            connect_args={"server_settings": {"application_name": name}},
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False, autoflush=False)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session; what was not committed when it ends is rolled back."""
        async with self._sessions() as session:
            yield session

    async def dedicated(self) -> Any:
        """A connection of asyncpg outside of the pool; the caller closes it.

        Raises:
            OSError, asyncpg.PostgresError: The server does not answer, or refuses.
        """
        url = self.url.replace("postgresql+asyncpg://", "postgresql://", 1)
        return await asyncpg.connect(url, server_settings={"application_name": self.name})

    def direct(self, *, size: int = 1) -> Direct:
        """A way round the sessions for one user, who closes it; it connects when first used."""
        return Direct(self.dedicated, size=size)

    async def create_all(self) -> None:
        """Create every table and object in an empty database (the migrations say the same)."""
        statements = load_models()
        async with self.engine.begin() as connection:
            await connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
            await connection.run_sync(SQLModel.metadata.create_all)
            for statement in statements:
                await connection.exec_driver_sql(statement)

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self.engine.dispose()
