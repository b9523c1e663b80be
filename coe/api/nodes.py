"""What all types share: an id, problems, pages, and descriptions from docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import strawberry

from coe.api import enums as _enums  # noqa: F401  # names them before any type is made
from coe.errors import Problem as FoundProblem
from coe.errors import Severity


def field(resolver: Callable[..., Any]) -> Any:
    """A field whose description is the docstring of its resolver."""
    return strawberry.field(resolver=resolver, description=described(resolver))


def mutation(resolver: Callable[..., Any]) -> Any:
    """A mutation whose description is the docstring of its resolver."""
    return strawberry.mutation(resolver=resolver, description=described(resolver))


def described(thing: object) -> str | None:
    """The first paragraph of a docstring, in one line."""
    text = inspect.getdoc(thing)
    return " ".join(text.split("\n\n", 1)[0].split()) if text else None


@strawberry.interface(description="A thing with an id that stays")
class Node:
    """A thing with an id that stays."""

    id: strawberry.ID


@strawberry.type(description="One thing to mend, with where it is")
class Problem:
    """One thing to mend, with where it is."""

    code: str = strawberry.field(
        description="Stable code: a rule of the standards (COE…), of the language (OWS…), "
        "of decision tables (DEC…) or of the input (INPUT…)",
    )
    severity: Severity
    message: str
    path: str | None = strawberry.field(description="JSON pointer into the document or the input")
    line: int | None
    column: int | None
    help: str | None = strawberry.field(description="How to mend it")

    @classmethod
    def of(cls, found: FoundProblem) -> Problem:
        """The view of a problem."""
        return cls(
            code=found.code,
            severity=found.severity,
            message=found.message,
            path=found.path,
            line=found.line,
            column=found.column,
            help=found.help,
        )
