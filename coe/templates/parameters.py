"""Parameters against their JSON Schema: defaults filled in, and a located problem for each slip."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from difflib import get_close_matches

from coe.errors import Problem
from coe.json_types import JSON
from coe.language.json_schema.violations import Violation, violations
from coe.language.source import point, tokens

_ROOT = "parameters"


def complete(
    schema: dict[str, JSON],
    parameters: JSON,
) -> tuple[dict[str, JSON], tuple[Problem, ...]]:
    """The parameters with their defaults, and what is wrong with them.

    A problem's path leads into the input, such as `/parameters/carrier`; no message repeats a
    value. A text with `${` in it is refused.
    """
    if not isinstance(parameters, dict):
        return {}, (Problem("INPUT_TYPE", "must be an object", path=point(_ROOT)),)
    filled = _with_defaults(schema, parameters)
    problems = [_problem(each, schema) for each in violations(schema, filled)]
    return filled, (*problems, *_expressions(filled, point(_ROOT)))


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
    """Texts that could become a program: a parameter is data."""
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


def _problem(violation: Violation, schema: JSON) -> Problem:
    *parents, key = tokens(violation.path) or [""]
    problem = violation.problem
    message = f"`{key}` {problem.message}" if key else f"the parameters: {problem.message}"
    help = _unknown(schema, parents, key) if problem.code == "INPUT_UNKNOWN" else None
    path = point(_ROOT) + violation.path
    return replace(problem, message=message, path=path, help=help or _described(schema, violation))


def _unknown(schema: JSON, parents: list[str], key: str) -> str | None:
    known = list(_properties(_part(schema, parents)))
    near = get_close_matches(key, known, n=1)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"known here: {', '.join(known)}" if known else None


def _described(schema: JSON, violation: Violation) -> str | None:
    part = _part(schema, tokens(violation.path))
    if not isinstance(part, dict):
        return None
    words = [str(part["description"])] if "description" in part else []
    examples = part.get("examples")
    if isinstance(examples, list) and examples:
        words.append(f"such as {', '.join(str(each) for each in examples[:3])}")
    return "; ".join(words) or None


def _part(schema: JSON, path: list[str]) -> JSON:
    """The part of a schema that describes what a path leads to, through properties and items."""
    part = schema
    for token in path:
        properties = _properties(part)
        if token in properties:
            part = properties[token]
        elif isinstance(part, dict) and token.isdecimal():
            part = part.get("items")
        else:
            return None
    return part


def _properties(schema: JSON) -> dict[str, JSON]:
    found = schema.get("properties") if isinstance(schema, dict) else None
    return found if isinstance(found, dict) else {}
