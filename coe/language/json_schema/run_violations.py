"""Values against JSON Schemas (2020-12): located problems that never quote the value."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from jsonschema import FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from referencing.exceptions import Unresolvable

from coe.errors import Problem
from coe.json_types import JSON
from coe.language.json_schema.validator import TooMuchWork, errors_of, validator_of

_MOST: Final = 50
_SHOWN: Final = 120
_FORMATS: Final = ("date", "date-time", "email", "ipv4", "ipv6", "time", "uuid")


def check(schema: JSON, value: JSON, *, path: str = "") -> tuple[Problem, ...]:
    """What stands between a value and its schema, at most 50 problems, in the order of the value.

    `path` is the pointer of the value itself. Codes are INPUT_ and the keyword of the schema that
    was not met, such as INPUT_REQUIRED. No schema (none, or not an object) takes everything.
    """
    if not isinstance(schema, dict):
        return () if schema is not False else (_refused(path),)
    validator = validator_of(schema, FormatChecker(formats=_FORMATS))
    try:
        errors = islice(errors_of(validator, value), _MOST)
        found = (_problem(each, path) for each in sorted(errors, key=_place))
        return tuple(dict.fromkeys(found))  # one message tells all names that are missing
    except (SchemaError, TooMuchWork, Unresolvable):
        message = "the schema of this value cannot be used: its owner has to mend it"
        return (Problem("INPUT_SCHEMA", message, path=path or None),)


def _problem(error: ValidationError, path: str) -> Problem:
    return Problem(
        f"INPUT_{str(error.validator).upper()}",
        _message(error),
        path=path + "".join(f"/{_escape(part)}" for part in error.absolute_path) or None,
        help=_help(error),
    )


def _message(error: ValidationError) -> str:
    keyword = str(error.validator)
    wanted: Any = error.validator_value
    shown = str(wanted)[:_SHOWN]
    present = set(error.instance) if isinstance(error.instance, dict) else set()
    match keyword:
        case "required":
            missing = [str(name) for name in wanted if name not in present]
            return f"{', '.join(missing)} must be given"
        case "type":
            kinds = wanted if isinstance(wanted, list) else [wanted]
            return f"this must be of type {' or '.join(str(kind) for kind in kinds)}"
        case "enum":
            return f"this must be one of {shown}"
        case "additionalProperties" | "unevaluatedProperties":
            return "there is a property here that the schema does not know"
        case "anyOf" | "oneOf":
            return "this fits none (or more than one) of the forms that the schema allows"
        case _:
            return f"this does not keep to {keyword}: {shown}"


def _help(error: ValidationError) -> str | None:
    schema = error.schema
    described = schema.get("description") if isinstance(schema, dict) else None
    return str(described) if described else None


def _place(error: ValidationError) -> list[str]:
    return [str(part) for part in error.absolute_path]


def _refused(path: str) -> Problem:
    return Problem("INPUT_FALSE", "nothing may stand here", path=path or None)


def _escape(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")
