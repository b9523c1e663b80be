"""What all types share: descriptions from docstrings, the interface Node, and problems."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from enum import EnumMeta
from typing import Any, TypeVar, dataclass_transform

import strawberry

from coe.api.graphql import enums as _enums  # noqa: F401  # registers them before any type is made
from coe.errors import Problem as FoundProblem
from coe.errors import Severity

T = TypeVar("T")
E = TypeVar("E", bound=EnumMeta)


@dataclass_transform(kw_only_default=True, field_specifiers=(strawberry.field,))
def object_type(cls: type[T]) -> type[T]:
    """Make a class an object type whose description is the class's docstring."""
    return strawberry.type(cls, description=description_of(cls))


@dataclass_transform(kw_only_default=True, field_specifiers=(strawberry.field,))
def input_type(cls: type[T]) -> type[T]:
    """Make a class an input type whose description is the class's docstring."""
    return strawberry.input(cls, description=description_of(cls))


@dataclass_transform(kw_only_default=True, field_specifiers=(strawberry.field,))
def interface(cls: type[T]) -> type[T]:
    """Make a class an interface whose description is the class's docstring."""
    return strawberry.interface(cls, description=description_of(cls))


def enum_type(cls: E) -> E:
    """Make an enum one of the schema; its description is its docstring."""
    return strawberry.enum(cls, description=description_of(cls))


def field(resolver: Callable[..., Any]) -> Any:
    """Make a field whose description is the docstring of its resolver."""
    return strawberry.field(resolver=resolver, description=description_of(resolver))


def mutation(resolver: Callable[..., Any]) -> Any:
    """Make a mutation whose description is the docstring of its resolver."""
    return strawberry.mutation(resolver=resolver, description=description_of(resolver))


def description_of(thing: object) -> str | None:
    """The docstring of a type or a resolver, each paragraph in one line."""
    text = inspect.getdoc(thing)
    if not text:
        return None
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


@interface
class Node:
    """A thing with a global id that never changes."""

    id: strawberry.ID


@object_type
class Problem:
    """One problem of a document or an input, and where it is."""

    code: str = strawberry.field(
        description="Stable code: a rule of the standards (COE…), of the language (OWS…), "
        "of decision tables (DEC…) or of the input (INPUT…)",
    )
    severity: Severity
    message: str
    path: str | None = strawberry.field(description="JSON pointer into the document or the input")
    line: int | None
    column: int | None
    help: str | None = strawberry.field(description="How to correct it")

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

    @classmethod
    def all_of(cls, found: Iterable[FoundProblem]) -> list[Problem]:
        """The views of some problems."""
        return [cls.of(problem) for problem in found]
