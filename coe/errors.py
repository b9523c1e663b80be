"""The errors of the platform: one base, each class's docstring is its default message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Severity(StrEnum):
    """How much a problem weighs: an ERROR refuses, a WARNING and an INFO only tell."""

    ERROR = "ERROR"
    WARNING = "WARNING"
    INFO = "INFO"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend in an input, with where it is.

    `code` is stable: a rule of the standards (COE…), of the language (OWS…), of decision tables
    (DEC…) or of the input (INPUT…). `path` is a JSON pointer (RFC 6901); `line` and `column` count
    from 1.
    """

    code: str
    message: str
    severity: Severity = Severity.ERROR
    path: str | None = None
    line: int | None = None
    column: int | None = None
    help: str | None = None


def errors_in(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Those of the problems that refuse the input."""
    return tuple(problem for problem in problems if problem.severity is Severity.ERROR)


class CoeError(Exception):
    """Something failed on our side; try again, and quote the error id if it stays."""

    code: ClassVar[str] = "INTERNAL"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None, **extensions: str | int | None) -> None:
        """Take the message, by default the docstring of the class, and what clients may read."""
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))
        self.extensions = {name: value for name, value in extensions.items() if value is not None}

    @property
    def message(self) -> str:
        """What a person reads."""
        return str(self.args[0])


class Unauthenticated(CoeError):
    """Send a valid bearer token: none came, or it is unknown, expired or revoked."""

    code = "UNAUTHENTICATED"
    status = 401


class Forbidden(CoeError):
    """The policy does not allow this; `permission` and `rule` say what decided."""

    code = "FORBIDDEN"
    status = 403


class NotFound(CoeError):
    """There is no such thing, or you may not read it."""

    code = "NOT_FOUND"
    status = 404


class Conflict(CoeError):
    """The thing is in another state than this call needs; read it again, then decide."""

    code = "CONFLICT"
    status = 409


class TooCostly(CoeError):
    """The request asks for too much at once; ask for less, or page."""

    code = "TOO_COSTLY"
    status = 413


class Unavailable(CoeError):
    """A part of the platform is not up right now; try again shortly."""

    code = "UNAVAILABLE"
    status = 503
    retryable = True


class Invalid(CoeError):
    """The input has problems to mend; nothing was saved."""

    code = "INVALID"
    status = 422

    def __init__(self, problems: Sequence[Problem], message: str | None = None) -> None:
        """Take the problems, located and as many at once as were found."""
        super().__init__(message)
        self.problems = tuple(problems)
