"""Parameters against their JSON Schema: defaults filled in, and a located problem for each slip.

Nothing is fetched: a `$ref` to anywhere but the schema itself is a problem of the schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from difflib import get_close_matches
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from coe.db import JSON
from coe.errors import Problem
from coe.language.source import point

_ROOT = "parameters"


def complete(
    schema: dict[str, JSON],
    parameters: JSON,
) -> tuple[dict[str, JSON], tuple[Problem, ...]]:
    """The parameters with their defaults, and what is wrong with them.

    A problem's path leads into the input, such as `/parameters/carrier`; its code is INPUT- with
    the keyword of JSON Schema that it breaks; no message repeats a value.
    """
    if not isinstance(parameters, dict):
        return {}, (Problem("INPUT-TYPE", "the parameters must be an object", path=point(_ROOT)),)
    filled = _with_defaults(schema, parameters)
    validator = Draft202012Validator(
        schema,
        registry=Registry(),
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
    try:
        errors = sorted(validator.iter_errors(filled), key=lambda each: list(map(str, each.path)))
    except Unresolvable as error:
        message = f"the schema refers to {error.ref}, which is not in it"
        return filled, (Problem("INPUT-SCHEMA", message, path=point(_ROOT)),)
    problems = tuple(problem for error in errors for problem in _problems(error, schema))
    return filled, problems


def _with_defaults(schema: JSON, value: dict[str, JSON]) -> dict[str, JSON]:
    filled = deepcopy(value)
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, part in properties.items() if isinstance(properties, dict) else ():
        if not isinstance(part, dict):
            continue
        if name not in filled and "default" in part:
            filled[name] = deepcopy(part["default"])
        inner = filled.get(name)
        if isinstance(inner, dict):
            filled[name] = _with_defaults(part, inner)
    return filled


def _problems(error: ValidationError, schema: dict[str, JSON]) -> Iterator[Problem]:
    path = [_ROOT, *error.absolute_path]
    match error.validator:
        case "additionalProperties" if isinstance(error.instance, dict):
            known = list(error.schema.get("properties", {}))
            for name in sorted(error.instance.keys() - set(known)):
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
                yield Problem(
                    "INPUT-UNKNOWN",
                    f"there is no parameter {name!r}",
                    path=point(*path, name),
                    help=hint,
                )
        case "required" if isinstance(error.instance, dict):
            name = _missing(error)
            yield Problem("INPUT-REQUIRED", f"{name!r} is missing", path=point(*path, name))
        case _:
            yield Problem(
                f"INPUT-{str(error.validator).upper()}",
                _message(error),
                path=point(*path),
                help=_help(error),
            )


def _missing(error: ValidationError) -> str:
    """The one name that this error of `required` is about; each missing name has its own error."""
    return error.message.split("'")[1] if "'" in error.message else str(error.validator_value)


def _message(error: ValidationError) -> str:
    name = str(error.absolute_path[-1]) if error.absolute_path else "the parameters"
    wanted: Any = error.validator_value
    match error.validator:
        case "type":
            kinds = wanted if isinstance(wanted, list) else [wanted]
            return f"{name} must be {' or '.join(map(str, kinds))}"
        case "enum":
            return f"{name} must be one of {', '.join(map(str, wanted))}"
        case "pattern":
            return f"{name} does not fit the pattern {wanted}"
        case "const":
            return f"{name} must be {wanted}"
        case _:
            return f"{name} breaks the schema's {error.validator}: {wanted}"


def _help(error: ValidationError) -> str | None:
    described = error.schema.get("description") if isinstance(error.schema, dict) else None
    examples = error.schema.get("examples") if isinstance(error.schema, dict) else None
    parts = [str(described)] if described else []
    if isinstance(examples, list) and examples:
        parts.append(f"such as {', '.join(str(each) for each in examples[:3])}")
    return "; ".join(parts) or None
