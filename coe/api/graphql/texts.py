"""Texts of a request that the database cannot store: those with the character NUL.

Values of the scalar `JSON` are data of runs, which is sealed, and may contain it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from graphql import (
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
    is_input_type,
    type_from_ast,
)

from coe.errors import Problem
from coe.language.source import point

NUL: Final = "\x00"
NUL_PROBLEM: Final = "The text has the character NUL, which cannot be stored"
_TEXTS: Final = frozenset(("String", "ID"))


def is_plain_text(kind: GraphQLInputType) -> bool:
    """Whether the values of a type are stored as they are: `String` and `ID`, in lists too."""
    return get_named_type(kind).name in _TEXTS


def text_problems(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any] | None,
) -> Iterator[Problem]:
    """Find the texts among the variables of an operation that cannot be stored."""
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        kind = type_from_ast(schema, definition.type)
        if variables and name in variables and is_input_type(kind):
            yield from _problems(kind, variables[name], point("variables", name))


def _problems(kind: Any, value: Any, path: str) -> Iterator[Problem]:
    if isinstance(kind, GraphQLNonNull):
        kind = kind.of_type
    if isinstance(kind, GraphQLList) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _problems(kind.of_type, item, path + point(index))
    elif isinstance(kind, GraphQLInputObjectType) and isinstance(value, dict):
        for name, inner in kind.fields.items():
            if name in value:
                yield from _problems(inner.type, value[name], path + point(name))
    elif isinstance(value, str) and NUL in value and is_plain_text(kind):
        yield Problem("INPUT_TEXT", NUL_PROBLEM, path=path)
