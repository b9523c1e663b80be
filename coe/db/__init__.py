"""The PostgreSQL database: sessions, direct connections, ids and times."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self
from uuid import UUID

import orjson
import uuid_utils.compat
from sqlalchemy import text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlmodel import SQLModel

from coe.db.after_commit import NotifyingSession
from coe.db.direct import DirectConnections
from coe.db.failures import is_spent, is_unreachable, notice_ends, why_unusable
from coe.db.pings import ping_after_idleness
from coe.db.server import DatabaseAway, DatabaseNotTrusted, Server
from coe.settings.database import DatabaseSettings
from coe.telemetry.pools import watch_pool
from coe.tls import verified_database_url

__all__ = [
    "DRIVER",
    "Database",
    "DatabaseNotTrusted",
    "DirectConnections",
    "PoolSizes",
    "is_spent",
    "is_unreachable",
    "load_models",
    "new_id",
    "utcnow",
    "why_unreachable",
    "why_unusable",
]

DRIVER: Final = "postgresql+asyncpg://"
"""For SQLAlchemy: a database opens each connection itself, of its pool too."""
NOTHING_PREPARED: Final[dict[str, Any]] = {
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": str,
}
"""For SQLAlchemy behind a pooler: every statement has the empty name, which leaves nothing on the
server. A name of its own for each would stay there until the pooler closes the connection."""

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
    "coe.db.revisions",
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


def why_unreachable(error: BaseException) -> str:
    """Why the database cannot be used, without values."""
    spoken = isinstance(error, DatabaseNotTrusted | DatabaseAway)
    return str(error) if spoken else type(error).__name__


def load_models() -> tuple[str, ...]:
    """Import every module with tables; returns the DDL statements that Alembic cannot generate."""
    statements: list[str] = []
    for name in MODELS:
        module = importlib.import_module(name)
        statements.extend(getattr(module, "DDL", ()))
    return tuple(statements)


def _dumps(value: object) -> str:
    return orjson.dumps(value).decode()


def _libpq(url: str) -> str:
    """The URL for the driver, with how the server is verified."""
    return verified_database_url(url.replace("postgresql+asyncpg://", "postgresql://", 1))


def _in_use(database: Database) -> int:
    pool: Any = database.engine.pool
    taken: int = pool.checkedout()
    return taken


@dataclass(frozen=True, slots=True)
class PoolSizes:
    """How many connections a process opens.

    Attributes:
        size: Those that its pool keeps open.
        overflow: Those that it opens beyond them while they are all in use.
        wait_seconds: How long a caller waits for one of both, and then gives up.
        readers: Those beside the pool, for reads of one statement.
    """

    size: int = 10
    overflow: int = 10
    wait_seconds: float = 10.0
    readers: int = 8

    @classmethod
    def of(cls, settings: DatabaseSettings, size: int) -> Self:
        """Those of the settings; `size` is the default of the process."""
        kept = settings.database_pool_size or size
        overflow = settings.database_pool_overflow
        return cls(
            kept,
            kept if overflow is None else overflow,
            settings.database_pool_seconds,
            settings.database_readers,
        )


class Database:
    """A pool of connections to one PostgreSQL database, and direct ones beside it.

    Whoever holds a connection of the pool asks for no second one of it, nor of `readers`, which may
    go through the same pooler: it may ask for a direct one, whose holder asks for none. So callers
    never wait for one another in a circle, however few connections there are.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "coe",
        pool_size: int = 10,
        sizes: PoolSizes | None = None,
        direct_url: str | None = None,
        pooled: bool = False,
        transaction_seconds: float | None = None,
        info: Mapping[Any, Any] | None = None,
    ) -> None:
        """Prepare the pool; the first session connects.

        Args:
            url: That of libpq, with `sslmode` and `sslrootcert`. A server on another machine has to
                prove who it is, unless its `sslmode` says otherwise.
            name: What pg_stat_activity shows.
            pool_size: The size of the pool, and of its overflow, without `sizes`.
            sizes: The connections of this process.
            direct_url: The same database, without the pooler; by default `url`.
            pooled: Whether a pooler in transaction mode is at `url`.
            transaction_seconds: See `Server`.
            info: What every session of the pool has in its `info`.
        """
        self.name = name
        self.url = _libpq(url)
        self.sizes = sizes or PoolSizes(pool_size, pool_size)
        self._pooled = Server(
            self.url, name, pooled=pooled, transaction_seconds=transaction_seconds
        )
        self._own = Server(_libpq(direct_url or url), name, transaction_seconds=transaction_seconds)
        self.engine: AsyncEngine = create_async_engine(
            DRIVER,
            async_creator=self._pooled.connect,
            pool_size=self.sizes.size,
            max_overflow=self.sizes.overflow,
            pool_timeout=self.sizes.wait_seconds,
            connect_args=NOTHING_PREPARED if pooled else {},
            hide_parameters=True,
            json_serializer=_dumps,
            json_deserializer=orjson.loads,
        )
        self._direct: list[DirectConnections] = []
        ping_after_idleness(self.engine.sync_engine)
        notice_ends(self.engine.sync_engine)
        self._sessions = async_sessionmaker(
            self.engine,
            sync_session_class=NotifyingSession,
            expire_on_commit=False,
            autoflush=False,
            info=dict(info or {}),
        )
        watch_pool(self, name, in_use=_in_use, size=self.sizes.size + self.sizes.overflow)

    @classmethod
    def serving(
        cls,
        settings: DatabaseSettings,
        *,
        name: str,
        pool_size: int,
        info: Mapping[Any, Any] | None = None,
    ) -> Self:
        """The database of the settings, as the role that serves."""
        return cls(
            settings.serving_url,
            name=name,
            sizes=PoolSizes.of(settings, pool_size),
            direct_url=settings.direct_url,
            pooled=settings.pooled,
            transaction_seconds=settings.database_transaction_seconds,
            info=info,
        )

    @classmethod
    def standing_by(cls, settings: DatabaseSettings, *, name: str, pool_size: int) -> Self | None:
        """The standby of the settings, of which only is read; None without one."""
        if settings.replica_url is None:
            return None
        return cls(
            settings.replica_url,
            name=name,
            sizes=PoolSizes.of(settings, pool_size),
            pooled=settings.pooled,
            transaction_seconds=settings.database_transaction_seconds,
        )

    @classmethod
    def sealing(cls, settings: DatabaseSettings, *, name: str, pool_size: int) -> Self:
        """The database of the settings, as the role that seals; never by the pooler."""
        return cls(
            settings.sealing_url,
            name=name,
            pool_size=pool_size,
            transaction_seconds=settings.database_transaction_seconds,
        )

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Open a session; changes that are not committed at its end are rolled back."""
        async with self._sessions() as session:
            yield session

    async def dedicated(self) -> Any:
        """Open an asyncpg connection of the caller alone, never by a pooler; the caller closes it.

        Raises:
            DatabaseNotTrusted: The server is not proven to be the right one.
            OSError, asyncpg.PostgresError: The server does not answer, or refuses.
        """
        return await self._own.connect()

    def direct(self, *, size: int = 1) -> DirectConnections:
        """Create direct connections, closed with the database; the first statement connects."""
        return self._kept(DirectConnections(self._own.connect, size=size))

    def readers(self, *, size: int | None = None) -> DirectConnections:
        """The same for reads, of which there are many: through the pooler, if there is one."""
        sizes, server = self.sizes, self._pooled
        return self._kept(
            DirectConnections(
                server.connect,
                size=size or sizes.readers,
                wait_seconds=sizes.wait_seconds,
                grouped=server.pooled,
            )
        )

    def _kept(self, made: DirectConnections) -> DirectConnections:
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
