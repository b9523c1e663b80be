"""Format errors for clients: a message, a code, and nothing of what is inside."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from graphql import GraphQLError, value_from_ast_untyped

from coe.db import is_unreachable, new_id, why_unusable
from coe.errors import CoeError, Invalid, NotFound, Problem, Unavailable
from coe.logs import describe

_NAMES: Final = (
    *("id", "ref", "run", "task", "flow", "entry", "template", "decision", "team"),
    *("slug", "subject", "resource"),
)
"""The arguments and the members of an input that name a thing which may not exist."""

_log = logging.getLogger("coe.api")


def format_error(
    error: GraphQLError, *, request_id: str, variables: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Format one entry of `errors` of a response; `variables` are those of the request.

    A `CoeError` keeps its message, code and extensions. A fault of the document, of a variable or
    of an argument is INVALID, an addition to the contract; `extensions.problems` says what, where
    it is known. Everything else is INTERNAL with an error id, under which the log has the
    traceback.
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
        if isinstance(cause, NotFound) and cause.message == NotFound().message:
            named = _named(error, variables) or "This"
            entry["message"] = entry["message"].replace("This", named, 1)
    return entry


def refusal(error: Exception, *, request_id: str) -> dict[str, Any]:
    """Format the whole response to a request that was refused before it ran."""
    message, extensions = _explain(error, request_id)
    return {"data": None, "errors": [{"message": message, "extensions": extensions}]}


def status_of(error: Exception) -> int:
    """The HTTP status of a request that was refused before it ran."""
    if is_unreachable(error):
        return Unavailable.status
    return error.status if isinstance(error, CoeError) else CoeError.status


def _cause(error: GraphQLError) -> Exception | None:
    """The exception of a resolver, or None where the document or a variable is at fault."""
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    if cause is None and error.path and not error.extensions:
        return error  # the executor refuses what a resolver returned: a fault of the server
    return cause


def _named(error: GraphQLError, variables: Mapping[str, Any] | None) -> str | None:
    """The argument of the field that names a thing, with its value, as the client sent it."""
    given: dict[str, Any] = {}
    for node in error.nodes or ():
        for argument in getattr(node, "arguments", ()):
            value = value_from_ast_untyped(argument.value, dict(variables or {}))
            given |= value if isinstance(value, dict) else {argument.name.value: value}
    for name in _NAMES:
        if isinstance(given.get(name), str):
            return f"`{name}` {given[name][:80]!r}"
    return None


def _explain(error: Exception, request_id: str) -> tuple[str, Mapping[str, Any]]:
    if is_unreachable(error):
        _report(error, request_id, str(new_id()))
        error = Unavailable(why_unusable(error))
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
    values = {
        "code": problem.code,
        "message": problem.message,
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
    }
    return {name: value for name, value in values.items() if value is not None}


def _report(error: BaseException, request_id: str, error_id: str) -> None:
    """Log where the error was raised, without any value of it."""
    extra = {"error_id": error_id, "request_id": request_id, **describe(error)}
    _log.error("a request failed", extra=extra)
