"""Statements that are compiled once and run by the driver: reads that every request makes.

SQLAlchemy takes longer to build an expression, to compute its cache key and to carry a result than
the driver takes for the statement. A plan is built by the same functions as any statement, so that
a predicate has one source; what differs from call to call is a `bindparam`.

    PLAN = Plan(select(*ENTRY_COLUMNS).where(ENTRIES.c.id == any_(bindparam("ids", type_=IDS))))
    rows = await PLAN.fetch(connections, ids=[…])

A plan that contains what somebody may read belongs to one policy and one actor (`coe.work`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import asyncpg
import orjson
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import asyncpg as driver
from sqlalchemy.ext.asyncio import AsyncSession

from coe.db.direct import ConnectionLost, translated

_DIALECT: Final = driver.dialect(  # type: ignore[no-untyped-call]  # SQLAlchemy has no types here
    json_deserializer=orjson.loads
)


class Connections(Protocol):
    """What runs statements: `coe.db.direct.DirectConnections`, or the connection of a session."""

    async def read(self, statement: str, *arguments: Any) -> list[Any]:
        """The rows of a statement.

        Raises:
            SQLAlchemyError: The statement failed; the message contains no values.
        """


class Plan:
    """A compiled statement, what its arguments are, and how its columns are read."""

    def __init__(self, statement: Select[Any]) -> None:
        """Compile it; every column needs a name that the statement says (no `*`)."""
        compiled: Any = statement.compile(dialect=_DIALECT)
        given = {
            name for name, bind in compiled.binds.items() if bind.required and not bind.expanding
        }
        state = compiled.construct_expanded_state(dict.fromkeys(given), escape_names=False)
        write = {**compiled._bind_processors, **state.processors}  # noqa: SLF001  # the writers of values are nowhere else
        self.text: Final[str] = state.statement
        self._arguments: Final = [
            _Argument(name, write.get(name), state.parameters[name], given=name in given)
            for name in state.positiontup
        ]
        readers = [
            each.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None)
            for each in statement.selected_columns
        ]
        self._readers: Final = [(at, read) for at, read in enumerate(readers) if read is not None]

    async def fetch(self, connections: Connections, **values: Any) -> list[list[Any]]:
        """Run it; each row is a list of values in the order of the columns.

        Raises:
            SQLAlchemyError: The statement failed; the message contains no values.
            OSError: The database cannot be reached.
        """
        arguments = [each.value(values) for each in self._arguments]
        rows = [list(row) for row in await connections.read(self.text, *arguments)]
        for at, read in self._readers:
            for row in rows:
                row[at] = read(row[at])
        return rows


class OnSession:
    """The connection that a session holds, for statements that the driver runs."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def read(self, statement: str, *arguments: Any) -> list[Any]:
        """The rows of a statement, in the transaction of the session.

        Raises:
            SQLAlchemyError: The statement failed; the message contains no values.
            ConnectionLost: The transaction is over.
        """
        held = await self._session.connection()
        connection: Any = (await held.get_raw_connection()).driver_connection
        try:
            return list(await connection.fetch(statement, *arguments))
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            failed = translated(error, connection)
        if isinstance(failed, ConnectionLost):
            await held.invalidate()
        raise failed


class _Argument:
    """An argument of the driver: constant, or given with each call."""

    __slots__ = ("_constant", "_name", "_write")

    def __init__(
        self, name: str, write: Callable[[Any], Any] | None, constant: Any, *, given: bool
    ) -> None:
        self._name = name if given else None
        self._write = write
        self._constant = constant if given or write is None else write(constant)

    def value(self, values: dict[str, Any]) -> Any:
        if self._name is None:
            return self._constant
        value = values[self._name]
        return value if self._write is None else self._write(value)
