"""Fill in the defaults of a template's parameters, and check them against their JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

from coe.errors import Problem
from coe.json_types import JSON
from coe.language.json_schema.violations import input_problems
from coe.language.source import point

_PATH = "/parameters"


def complete(
    schema: dict[str, JSON],
    parameters: JSON,
) -> tuple[dict[str, JSON], tuple[Problem, ...]]:
    """The parameters with their defaults, and what is wrong with them.

    A problem's path leads into the input, such as `/parameters/carrier`; no message repeats a
    value. A text with `${` in it is refused.
    """
    if not isinstance(parameters, dict):
        return {}, (Problem("INPUT_TYPE", "must be an object", path=_PATH),)
    filled = _with_defaults(schema, parameters)
    problems = input_problems(schema, filled, path=_PATH)
    return filled, (*problems, *_expressions(filled, _PATH))


def _with_defaults(schema: JSON, value: dict[str, JSON]) -> dict[str, JSON]:
    filled = deepcopy(value)
    for name, part in _properties(schema).items():
        if not isinstance(part, dict):
            continue
        if name not in filled and "default" in part:
            filled[name] = deepcopy(part["default"])
        inner = filled.get(name)
        if isinstance(inner, dict):
            filled[name] = _with_defaults(part, inner)
    return filled


def _expressions(value: JSON, path: str) -> Iterator[Problem]:
    """Refuse texts that could become a program: a parameter is data."""
    match value:
        case str() if "${" in value:
            message = "a parameter must not hold an expression"
            yield Problem("INPUT_EXPRESSION", message, path=path, help="leave out ${ }")
        case list():
            for index, item in enumerate(value):
                yield from _expressions(item, path + point(index))
        case dict():
            for key, item in value.items():
                yield from _expressions(item, path + point(key))


def _properties(schema: JSON) -> dict[str, JSON]:
    found = schema.get("properties") if isinstance(schema, dict) else None
    return found if isinstance(found, dict) else {}
