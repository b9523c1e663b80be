"""Which errors of the database pass by themselves: whoever meets one tries again.

PostgreSQL says so by the class of its code. An error of the statement itself, such as a violated
constraint, comes again however often it is tried.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from coe.db.direct import NoFreeConnection, StatementFailed, is_end_of_connection, state_of

PASSING: Final = frozenset({"08", "40", "53", "57"})
"""Classes of codes: connection, roll-back (a deadlock), resources, operator (and time limits)."""
LOCK_NOT_AVAILABLE: Final = "55P03"
BUSY: Final = (
    "Every connection to the database is in use; try again in a moment. If it lasts, the operator "
    "raises COE_DATABASE_POOL_SIZE (docs/operations/postgresql.md#sizes)."
)
GONE: Final = "The database cannot be reached right now; try again shortly."
HELD_UP: Final = "The database could not do this now, because of what others do; try again shortly."


def is_spent(error: BaseException) -> bool:
    """Whether every connection that the process may open was in use for too long."""
    return isinstance(error, PoolTimeout | NoFreeConnection)


def is_unreachable(error: BaseException) -> bool:
    """Whether the database is gone, busy or held up: what a refused statement is not."""
    if isinstance(error, PoolTimeout | InterfaceError | ConnectionError | TimeoutError):
        return True
    if isinstance(error, StatementFailed):
        return _passes(error)
    return isinstance(error, DBAPIError) and (
        error.connection_invalidated or isinstance(error, OperationalError) or _passes(error)
    )


def why_unusable(error: BaseException) -> str:
    """What a client is told of an error that `is_unreachable` names."""
    if is_spent(error):
        return BUSY
    lost = error.connection_invalidated if isinstance(error, DBAPIError) else True
    lost = lost and not isinstance(error, StatementFailed)
    return HELD_UP if not lost and _passes(error) else GONE


def notice_ends(engine: Engine) -> None:
    """Have the pool notice the end of a connection by what the server says, before it closes it."""

    def look(context: Any) -> None:
        if is_end_of_connection(context.original_exception):
            context.is_disconnect = True

    event.listen(engine, "handle_error", look)


def _passes(error: BaseException) -> bool:
    state = state_of(getattr(error, "orig", error))
    return state is not None and (state[:2] in PASSING or state == LOCK_NOT_AVAILABLE)
