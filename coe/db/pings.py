"""Whether a pooled connection still works: asked only if it was idle for a while.

A connection that the server has closed is known to be closed as soon as its end was read. Only one
that broke silently is not, and that does not happen between two requests of a busy moment.
"""

from __future__ import annotations

import time
from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

IDLE_SECONDS: Final = 5.0
_RETURNED: Final = "returned"


def ping_after_idleness(engine: Engine) -> None:
    """Have the pool verify a connection that was idle, and open others in place of broken ones."""
    dialect: Any = engine.dialect

    def note(connection: Any, entry: ConnectionPoolEntry) -> None:  # noqa: ARG001  # as events call it
        entry.info[_RETURNED] = time.monotonic()

    def look(connection: Any, entry: ConnectionPoolEntry, _: Any) -> None:
        returned = entry.info.get(_RETURNED)
        if returned is None:  # it was opened just now
            return
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError
        if time.monotonic() - returned < IDLE_SECONDS:
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error:
            raise InvalidatePoolError from None

    event.listen(engine, "checkin", note)
    event.listen(engine, "checkout", look)
