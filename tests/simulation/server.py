"""A simulated PostgreSQL server, and `coe.db.Database` over it.

Each call of a session goes to the server and back over the link of its node, which takes time, may
lose the call or the answer, and is where a process dies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, Protocol

import asyncpg
from sqlalchemy import TextClause
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import SQLModel

from coe.db import DirectConnections, load_models
from tests.simulation.expressions import Env, Unsupported
from tests.simulation.raw import APPENDS, raw
from tests.simulation.reading import Answer
from tests.simulation.statements import InsertPlan, Plan, plan
from tests.simulation.storage import Deadlock, Store, Transaction, database_error


class Link(Protocol):
    """The way from a process to the server."""

    name: str

    async def request(self, what: str) -> None:
        """The call is on its way; raises OSError if it does not get there."""

    async def response(self, what: str) -> None:
        """The answer is on its way; raises OSError if it does not get there."""


_PLANS: Final[dict[Any, Plan]] = {}
_NAMES: Final[dict[tuple[str, ...], SimpleResultMetaData]] = {}


class Counted(IteratorResult[Any]):
    """A result that also knows how many rows were written."""

    rowcount = 0
    returns_rows = True


class Server:
    """The database server: one store, its open transactions, its listeners."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        load_models()
        self.store = Store(list(SQLModel.metadata.tables.values()))
        self.clock = clock
        self.incarnation = 0
        self.up = True
        self.open: dict[Transaction, None] = {}
        self.connections: list[Connection] = []
        self.statements = 0
        self.deadlocks = 0
        self.unsupported: dict[str, None] = {}
        self.deliver: Callable[[Connection, str, str], None] = lambda c, ch, p: c.receive(ch, p)
        self.committed: Callable[[Transaction], None] | None = None

    def begin(self, owner: Any) -> Transaction:
        """Begin a transaction."""
        transaction = Transaction(self.store, owner, self.clock())
        self.open[transaction] = None
        return transaction

    async def execute(self, transaction: Transaction, statement: Any, parameters: Any) -> Answer:
        """Carry out one statement.

        Raises:
            DBAPIError: As the driver would.
            Unsupported: The statement is not known here.
        """
        if transaction.failed or transaction.closed:
            raise database_error("the transaction is aborted")
        self.statements += 1
        try:
            return await self._execute(transaction, statement, parameters)
        except Deadlock:
            transaction.failed = True
            self.deadlocks += 1
            raise database_error("deadlock detected") from None
        except Unsupported as error:
            self.unsupported.setdefault(str(error))
            raise
        except BaseException:
            transaction.failed = True
            raise

    async def _execute(self, transaction: Transaction, statement: Any, parameters: Any) -> Answer:
        env = Env(self.store, transaction, self.store.seq, [], self.clock)
        if isinstance(statement, str):
            return await raw(statement)(env, parameters)
        if isinstance(statement, TextClause):
            given = {name: bind.value for name, bind in statement._bindparams.items()}
            return await raw(statement.text)(env, given | dict(parameters or {}))
        made, env.params = _planned(statement)
        if isinstance(made, InsertPlan):
            many = [parameters] if isinstance(parameters, Mapping) else parameters
            return await made.run(env, many)
        if parameters:
            raise Unsupported(f"parameters of {type(statement).__name__}")
        return await made.run(env)

    def commit(self, transaction: Transaction) -> None:
        """Commit, and notify the listeners."""
        if self.committed is not None and not transaction.failed:
            self.committed(transaction)
        notices = transaction.commit()
        self.open.pop(transaction, None)
        for channel, payload in notices:
            for connection in list(self.connections):
                if channel in connection.channels:
                    self.deliver(connection, channel, payload)

    def rollback(self, transaction: Transaction) -> None:
        """Roll back."""
        if not transaction.closed:
            transaction.rollback()
        self.open.pop(transaction, None)

    def drop(self, owner: Any) -> None:
        """End every connection of a process."""
        for transaction in [each for each in self.open if each.owner is owner]:
            self.rollback(transaction)
        for connection in [each for each in self.connections if each.owner is owner]:
            connection.end()

    def stop(self) -> None:
        """Go down: what is not committed is lost, every connection is cut."""
        self.up = False
        self.incarnation += 1
        for transaction in list(self.open):
            self.rollback(transaction)
        for connection in list(self.connections):
            connection.end()

    def start(self) -> None:
        """Come up again, with all that was committed."""
        self.up = True


def _planned(statement: Any) -> tuple[Plan, list[Any]]:
    cached = statement._generate_cache_key()
    if cached is None:
        raise Unsupported(f"a statement without a cache key: {statement}")
    known = _PLANS.get(cached.key)
    if known is None:
        binds = {bind.key: place for place, bind in enumerate(cached.bindparams)}
        try:
            known = plan(statement, binds)
        except Unsupported as error:
            raise Unsupported(f"{error}, in the statement: {statement}") from error
        _PLANS[cached.key] = known
    return known, [bind.effective_value for bind in cached.bindparams]


def result_of(answer: Answer) -> Counted:
    """A result as SQLAlchemy returns it."""
    names = tuple(answer.names)
    metadata = _NAMES.get(names)
    if metadata is None:
        metadata = _NAMES[names] = SimpleResultMetaData(names)
    result = Counted(metadata, iter(answer.rows))
    result.rowcount = answer.count
    result.returns_rows = bool(names)
    return result


class Connection:
    """A connection outside of the pool, as asyncpg has it: for LISTEN."""

    def __init__(self, server: Server, owner: Any) -> None:
        self.server, self.owner = server, owner
        self.channels: dict[str, list[Callable[..., None]]] = {}
        self._ended: list[Callable[[Any], None]] = []
        self.closed = False
        server.connections.append(self)

    async def add_listener(self, channel: str, callback: Callable[..., None]) -> None:
        if self.closed:
            raise asyncpg.InterfaceError("connection is closed")
        self.channels.setdefault(channel, []).append(callback)

    def add_termination_listener(self, ended: Callable[[Any], None]) -> None:
        self._ended.append(ended)

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ARG002  # asyncpg's
        self.end()

    def terminate(self) -> None:
        self.end()

    def is_closed(self) -> bool:
        return self.closed

    async def fetch(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        """One statement as a transaction."""
        if self.closed:
            raise asyncpg.InterfaceError("connection is closed")
        link, server = self.owner, self.server
        await link.request("append commit" if statement in APPENDS else "commit")
        if self.closed or not server.up:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed")
        transaction = server.begin(link)
        try:
            answer = await server.execute(transaction, statement, arguments)
            server.commit(transaction)
        except IntegrityError:
            raise asyncpg.IntegrityConstraintViolationError("(simulated)") from None
        except DBAPIError:
            raise asyncpg.PostgresError("(simulated)") from None
        finally:
            server.rollback(transaction)
        await link.response("commit")
        if self.closed:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed")
        return [dict(zip(answer.names, row, strict=True)) for row in answer.rows]

    def end(self) -> None:
        if not self.closed:
            self.closed = True
            if self in self.server.connections:
                self.server.connections.remove(self)
            for ended in self._ended:
                ended(self)

    def receive(self, channel: str, payload: str) -> None:
        if not self.closed:
            for callback in self.channels.get(channel, ()):
                callback(self, 0, channel, payload)


class Session:
    """What the platform uses of an `AsyncSession`."""

    def __init__(self, server: Server, link: Link) -> None:
        self._server, self._link = server, link
        self._transaction: Transaction | None = None
        self._incarnation = server.incarnation
        self._added: list[SQLModel] = []
        self.info: dict[str, Any] = {}

    async def execute(self, statement: Any, parameters: Any = None, **_: Any) -> Any:
        what = "append update" if isinstance(statement, str) else type(statement).__name__.lower()
        await self._link.request(what)
        answer = await self._server.execute(self._begun(), statement, parameters)
        await self._link.response(what)
        self._check()
        return result_of(answer)

    async def connection(self) -> Session:
        return self

    async def exec_driver_sql(self, statement: str, parameters: Any) -> Any:
        return await self.execute(statement, parameters)

    async def scalar(self, statement: Any, parameters: Any = None) -> Any:
        return (await self.execute(statement, parameters)).scalar()

    async def scalars(self, statement: Any, parameters: Any = None) -> Any:
        return (await self.execute(statement, parameters)).scalars()

    def add(self, row: SQLModel) -> None:
        self._added.append(row)

    async def flush(self) -> None:
        added, self._added = self._added, []
        for row in added:
            table = type(row).__table__  # type: ignore[attr-defined]  # of a table model
            values = {name: getattr(row, name) for name in table.columns.keys()}  # noqa: SIM118
            values = {name: value for name, value in values.items() if value is not None}
            await self.execute(table.insert(), values)

    async def commit(self) -> None:
        if self._added:
            await self.flush()
        if self._transaction is None:
            return
        await self._link.request("commit")
        transaction = self._begun()
        if transaction.failed:
            self._server.rollback(transaction)
            raise database_error("the transaction is aborted")
        self._server.commit(transaction)
        self._transaction = None
        await self._link.response("commit")
        self._check()

    async def rollback(self) -> None:
        self._added.clear()
        if self._transaction is not None:
            self._server.rollback(self._transaction)
            self._transaction = None

    def _begun(self) -> Transaction:
        self._check()
        if self._transaction is None:
            self._transaction = self._server.begin(self._link)
        elif self._transaction.closed:
            raise database_error("the connection was lost")
        return self._transaction

    def _check(self) -> None:
        server = self._server
        if not server.up:
            raise ConnectionRefusedError("the database is down")
        if server.incarnation != self._incarnation:
            if self._transaction is None:
                self._incarnation = server.incarnation
            else:
                raise DBAPIError("(simulated)", {}, Exception("connection was closed"))


class SimulatedDatabase:
    """`coe.db.Database` over a simulated server."""

    def __init__(self, server: Server, link: Link) -> None:
        self.server, self.link = server, link
        self.url = "postgresql+asyncpg://simulated"

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        session = Session(self.server, self.link)
        try:
            yield session
        finally:
            await session.rollback()

    async def dedicated(self) -> Connection:
        await self.link.request("connect")
        if not self.server.up:
            raise ConnectionRefusedError("the database is down")
        return Connection(self.server, self.link)

    def direct(self, *, size: int = 1) -> DirectConnections:
        return DirectConnections(self.dedicated, size=size)

    def readers(self, *, size: int | None = None) -> DirectConnections:
        return self.direct(size=size or 1)

    async def close(self) -> None:
        """Nothing is kept open."""


class NoLink:
    """A link that neither takes time nor fails."""

    name = "test"

    async def request(self, what: str) -> None: ...

    async def response(self, what: str) -> None: ...


def rows_of(server: Server, table: str) -> Sequence[Mapping[str, Any]]:
    """The committed rows of a table."""
    return list(server.store.committed(table))
