"""What a client reads of an error: a message, a code, and nothing of the inside."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from coe.db import new_id
from coe.errors import CoeError, Invalid, Problem, Unavailable
from coe.logs import describe

log = logging.getLogger("coe.api")

CODES = (
    "CONFLICT",
    "FORBIDDEN",
    "INTERNAL",
    "INVALID",
    "NOT_FOUND",
    "TOO_COSTLY",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
)
"""Every `extensions.code`. INVALID is our addition: the query itself, a variable, or an argument of
a query field (a cursor, a ref) is to be mended; `extensions.problems` says what, where it is known.
"""


def formatted(error: GraphQLError, *, request_id: str) -> dict[str, Any]:
    """One entry of `errors` of a response.

    An error of ours keeps its message, code and extensions; a fault of the document is INVALID;
    everything else is INTERNAL with an error id, and the log has the traceback under that id.
    """
    entry: dict[str, Any] = {"message": error.message}
    if error.locations:
        entry["locations"] = [location.formatted for location in error.locations]
    if error.path:
        entry["path"] = error.path
    cause = _cause(error)
    if cause is None:
        entry["extensions"] = {"code": "INVALID", **(error.extensions or {})}
    else:
        entry["message"], entry["extensions"] = _explain(cause, request_id)
    return entry


def answer(error: Exception, *, request_id: str) -> dict[str, Any]:
    """A whole response for a request that was refused before it ran."""
    message, extensions = _explain(error, request_id)
    return {"data": None, "errors": [{"message": message, "extensions": extensions}]}


def _cause(error: GraphQLError) -> Exception | None:
    """The exception of a resolver; none where the document or a variable is at fault."""
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    if cause is None and error.path and not error.extensions:
        return error  # the executor refuses what a resolver gave: our fault
    return cause


def _explain(error: Exception, request_id: str) -> tuple[str, Mapping[str, Any]]:
    if _is_unreachable(error):
        _report(error, request_id, str(new_id()))
        error = Unavailable("The database cannot be reached right now; try again shortly.")
    if isinstance(error, Invalid):
        return _invalid(error)
    if isinstance(error, CoeError) and error.code != "INTERNAL":
        return error.message, {"code": error.code, **error.extensions}
    error_id = str(new_id())
    _report(error, request_id, error_id)
    return f"{CoeError.__doc__}", {"code": "INTERNAL", "errorId": error_id}


def _invalid(error: Invalid) -> tuple[str, Mapping[str, Any]]:
    messages = "; ".join(problem.message for problem in error.problems)
    problems = [_problem(problem) for problem in error.problems]
    return messages or error.message, {"code": error.code, "problems": problems}


def _problem(problem: Problem) -> dict[str, Any]:
    values = {"code": problem.code, "message": problem.message, "path": problem.path}
    return {name: value for name, value in values.items() if value is not None}


def _is_unreachable(error: BaseException) -> bool:
    """The database is gone or its pool is spent; a refused statement is no such thing."""
    if isinstance(error, PoolTimeout | InterfaceError | OSError):
        return True
    return isinstance(error, DBAPIError) and (
        error.connection_invalidated or isinstance(error, OperationalError)
    )


def _report(error: BaseException, request_id: str, error_id: str) -> None:
    """Log where it came from, without a value of it."""
    about = {"error_id": error_id, "request_id": request_id, **describe(error)}
    log.error("a request failed", extra=about)
