"""The errors of the platform. The docstring of an error's class is its default message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Severity(StrEnum):
    """The severity of a problem: an input with an ERROR is refused."""

    ERROR = "ERROR"
    WARNING = "WARNING"
    INFO = "INFO"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of an input, with its location.

    `code` is stable: a rule of the standards (COE…), of the language (OWS…), of decision tables
    (DEC…) or of the input (INPUT…). `path` is a JSON pointer (RFC 6901); `line` and `column` count
    from 1. `help` says how to correct it.
    """

    code: str
    message: str
    severity: Severity = Severity.ERROR
    path: str | None = None
    line: int | None = None
    column: int | None = None
    help: str | None = None


def errors_in(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """The problems with the severity ERROR."""
    return tuple(problem for problem in problems if problem.severity is Severity.ERROR)


class CoeError(Exception):
    """Something failed on our side; try again, and quote the error id if it fails again."""

    code: ClassVar[str] = "INTERNAL"
    status: ClassVar[int] = 500
    of_operator: ClassVar[bool] = False
    """Whether the installation's own files or settings are at fault, which its operator mends."""

    def __init__(self, message: str | None = None, **extensions: str | int | None) -> None:
        """`message` is by default the class's docstring; clients see the extensions."""
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))
        self.extensions = {name: value for name, value in extensions.items() if value is not None}

    @property
    def message(self) -> str:
        """The message for people."""
        return str(self.args[0])


class Unauthenticated(CoeError):
    """Send a valid bearer token: there is none, or it is unknown, expired or revoked."""

    code = "UNAUTHENTICATED"
    status = 401


class Forbidden(CoeError):
    """The policy does not allow this; see `permission`, and `rule`, which decided."""

    code = "FORBIDDEN"
    status = 403


class StepUpRequired(CoeError):
    """Sign in afresh to do this: the policy asks for it; see `signIn` for the address."""

    code = "STEP_UP_REQUIRED"
    status = 403


class NotFound(CoeError):
    """This does not exist, or you may not read it."""

    code = "NOT_FOUND"
    status = 404


class Conflict(CoeError):
    """The state does not allow this; read it again, then decide."""

    code = "CONFLICT"
    status = 409


class TooCostly(CoeError):
    """The request is too large; request less at a time, or use pages."""

    code = "TOO_COSTLY"
    status = 413


class RateLimited(CoeError):
    """There were too many attempts; try again after `retry_after` seconds."""

    code = "RATE_LIMITED"
    status = 429


class Unavailable(CoeError):
    """A part of the platform is not available now; try again shortly."""

    code = "UNAVAILABLE"
    status = 503


class Invalid(CoeError):
    """The input has problems; correct them. Nothing was saved."""

    code = "INVALID"
    status = 422

    def __init__(self, problems: Sequence[Problem], message: str | None = None) -> None:
        """`problems` are all that were found."""
        super().__init__(message)
        self.problems = tuple(problems)
