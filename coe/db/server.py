"""One address of a database: how a connection is opened there, directly or by a pooler."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from coe.db.known_revisions import newest_known
from coe.tls import distrust

IDLE_IN_TRANSACTION_SECONDS: Final = 60
"""How long an open transaction may send nothing; the server then ends its session."""
_KNOWS_TRANSACTION_TIMEOUT: Final = 17
"""The first version of PostgreSQL that ends a transaction by its age."""


class DatabaseNotTrusted(ConnectionError):
    """The server of the database does not prove that it is the right one; it was sent nothing."""


class DatabaseAway(ConnectionError):
    """There is no way to the server of the database."""


class _BehindPooler(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection whose server may be another one in each transaction."""

    __slots__ = ()

    async def set_type_codec(self, *args: Any, **options: Any) -> None:
        """Look the type up in one transaction: its messages belong together."""
        async with self.transaction():
            await super().set_type_codec(*args, **options)


@dataclass(frozen=True, slots=True)
class Server:
    """Where a database is reached.

    Attributes:
        url: The libpq URL, with how the server is verified.
        name: What pg_stat_activity shows as the application, with the newest revision of the
            schema that this code knows.
        pooled: Whether a pooler stands there that gives another server to each transaction. The
            driver then keeps no prepared statements, and no setting outlives a transaction.
        transaction_seconds: The age at which the server ends a transaction, before PostgreSQL 17
            a statement; None to leave the limits to the server, as they are behind a pooler.
    """

    url: str
    name: str
    pooled: bool = False
    transaction_seconds: float | None = None

    async def connect(self) -> Any:
        """Open an asyncpg connection; the caller closes it.

        Raises:
            DatabaseNotTrusted: The server is not proven to be the right one.
            ConnectionError, TimeoutError, asyncpg.PostgresError: The server does not answer, or
                refuses.
        """
        settings = {"application_name": f"{self.name}/{newest_known()}", "timezone": "UTC"}
        options: dict[str, Any] = {}
        if self.pooled:
            options = {"statement_cache_size": 0, "connection_class": _BehindPooler}
        elif self.transaction_seconds is not None:
            settings["idle_in_transaction_session_timeout"] = f"{IDLE_IN_TRANSACTION_SECONDS}s"
        try:
            connection = await asyncpg.connect(self.url, server_settings=settings, **options)
        except (ssl.SSLError, ConnectionError) as error:
            why = _distrust(error)
            if why is None:
                raise
            message = f"the database is not trusted: {why}; see sslmode and sslrootcert of its URL"
            raise DatabaseNotTrusted(message) from None
        except TimeoutError:
            raise
        except OSError as error:  # no such host, socket or route: unlike a missing file elsewhere
            raise DatabaseAway(str(error)) from error
        await self._limit(connection)
        return connection

    async def _limit(self, connection: Any) -> None:
        """Have the server end old transactions of a connection that is ours alone."""
        if self.pooled or self.transaction_seconds is None:
            return
        known = connection.get_server_version().major >= _KNOWS_TRANSACTION_TIMEOUT
        name = "transaction_timeout" if known else "statement_timeout"
        await connection.execute(f"SET {name} = {round(self.transaction_seconds * 1000)}")


def _distrust(error: BaseException) -> str | None:
    """Why the server is not trusted; None if it is, but cannot be reached."""
    if isinstance(error, ssl.SSLError):
        return distrust(error) or f"TLS with it fails ({error.reason or type(error).__name__})"
    return "it does not speak TLS" if "rejected SSL upgrade" in str(error) else None
