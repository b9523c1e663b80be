"""JSON Schema 2020-12: is a value what a schema asks for, and where is it not?

Nothing is fetched: a reference that leads out of the schema is a violation. Messages tell what is
wanted and never quote the value, which may be somebody's personal data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import orjson

from coe.errors import Problem
from coe.json_types import JSON
from coe.language.durations import DurationError, parse
from coe.language.json_schema.validator import TooMuchWork, errors_of, unknown_keys, validator_of
from coe.language.source import point
from coe.language.suggestions import did_you_mean

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

# Most violations that are told at once.
MOST: Final = 50

_TYPES: Final = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "an object",
    "array": "an array",
    "null": "null",
}
_CODES: Final = {
    "required": "INPUT_MISSING",
    "dependentRequired": "INPUT_MISSING",
    "type": "INPUT_TYPE",
    "additionalProperties": "INPUT_UNKNOWN",
    "unevaluatedProperties": "INPUT_UNKNOWN",
    "propertyNames": "INPUT_UNKNOWN",
    "format": "INPUT_FORMAT",
    "pattern": "INPUT_FORMAT",
}
_WORDS: Final = {
    "minimum": "must be {} or more",
    "maximum": "must be {} or less",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must have {} characters or more",
    "maxLength": "must have {} characters or less",
    "minItems": "must have {} items or more",
    "maxItems": "must have {} items or less",
    "minProperties": "must have {} keys or more",
    "maxProperties": "must have {} keys or less",
    "pattern": "must match the pattern {}",
    "format": "must have the format {}",
    "const": "must be {}",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a value is not what its schema asks for."""

    # JSON pointer into the value.
    path: str
    message: str
    # The keyword of the schema that is violated.
    keyword: str

    def __str__(self) -> str:
        """Where and what."""
        return f"{self.path or '/'} {self.message}"

    @property
    def problem(self) -> Problem:
        """The same as a problem of an input."""
        code = _CODES.get(self.keyword, "INPUT_VALUE")
        return Problem(code, self.message, path=self.path)


def violations(schema: JSON, value: JSON) -> list[Violation]:
    """Everything that keeps a value from matching a schema, at most `MOST`, in document order."""
    from referencing.exceptions import Unresolvable  # noqa: PLC0415 - slow to import

    found: list[Violation] = []
    try:
        for error in errors_of(_validator(orjson.dumps(schema)), value):
            found.extend(_told(error))
            if len(found) >= MOST:
                break
    except TooMuchWork:
        message = "takes too much work to hold against its schema, or its schema cannot be used"
        return [Violation("", message, "$schema")]
    except Unresolvable as error:
        found.append(
            Violation("", f"its schema refers to `{error.ref}`, which is not there", "$ref")
        )
    return sorted(found[:MOST], key=lambda violation: violation.path)


def input_problems(schema: JSON, value: JSON, *, path: str = "") -> tuple[Problem, ...]:
    """The same as problems of an input (INPUT…), at most `MOST`.

    `path` is the pointer of the value itself, before those of its parts. No schema takes all.
    """
    if schema is None:
        return ()
    found = [violation.problem for violation in violations(schema, value)]
    return tuple(replace(problem, path=path + (problem.path or "")) for problem in found)


@lru_cache(maxsize=512)
def _validator(schema: bytes) -> Draft202012Validator:
    from jsonschema import FormatChecker  # noqa: PLC0415 - slow to import

    checker = FormatChecker(formats=())
    for name, check in _FORMATS.items():
        checker.checks(name, raises=(ValueError, TypeError))(check)
    return validator_of(orjson.loads(schema), checker)


# ---------------------------------------------------------------- what to tell
def _told(error: ValidationError) -> Iterator[Violation]:
    """The violations that an error of the library stands for; of alternatives the nearest one's."""
    while error.context and error.validator in ("anyOf", "oneOf"):
        error = max(error.context, key=_nearness)
    path = point(*error.absolute_path)
    keyword = str(error.validator)
    if keyword == "required" and isinstance(error.instance, dict):
        # The library raises one error for each missing key.
        missing = re.match(r"'(.*)' is a required property", error.message)
        key = missing[1] if missing else "?"
        yield Violation(path + point(key), "is missing", keyword)
    elif keyword in ("additionalProperties", "unevaluatedProperties"):
        for key in _unknown(error):
            message = f"is not known here{did_you_mean(key, _left_out(error))}"
            yield Violation(path + point(key), message, keyword)
    else:
        yield Violation(path, _message(error), keyword)


def _nearness(error: ValidationError) -> tuple[int, bool]:
    """How far an alternative matched before it failed."""
    return len(error.absolute_path), error.validator not in ("type", "const", "enum")


def _unknown(error: ValidationError) -> list[str]:
    schema = error.schema if isinstance(error.schema, dict) else {}
    instance = error.instance if isinstance(error.instance, dict) else {}
    return unknown_keys(schema, instance)


def _left_out(error: ValidationError) -> list[str]:
    """The keys that a schema describes and an object does not have."""
    schema = error.schema if isinstance(error.schema, dict) else {}
    instance = error.instance if isinstance(error.instance, dict) else {}
    return [key for key in schema.get("properties", {}) if key not in instance]


def _message(error: ValidationError) -> str:
    keyword = str(error.validator)
    wanted: Any = error.validator_value
    if error.validator is None:
        return "is not allowed here"
    if keyword == "type":
        kinds = [wanted] if isinstance(wanted, str) else list(wanted)
        return "must be " + " or ".join(_TYPES.get(kind, kind) for kind in kinds)
    if keyword == "enum":
        return "must be one of " + ", ".join(_shown(value) for value in wanted)
    if keyword in _WORDS:
        return _WORDS[keyword].format(_shown(wanted))
    if keyword == "uniqueItems":
        return "must not have the same item twice"
    return f"does not match `{keyword}` of its schema"


def _shown(value: Any) -> str:
    return f"`{value}`" if isinstance(value, str) else orjson.dumps(value).decode()


# ---------------------------------------------------------------- formats
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


def _text_only(check: Callable[[str], object]) -> Callable[[object], bool]:
    """A format constrains text alone, and any other value has it."""
    return lambda value: not isinstance(value, str) or check(value) not in (None, False)


def _instant(text: str) -> datetime | None:
    """RFC 3339: with a time zone, and not the date alone."""
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo and "T" in text.upper() else None


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) else None


def _length(text: str) -> bool:
    try:
        return parse(text).milliseconds is not None
    except DurationError:
        return False


_FORMATS: Final[dict[str, Callable[[object], bool]]] = {
    "date": _text_only(_day),
    "date-time": _text_only(_instant),
    "time": _text_only(time.fromisoformat),
    "duration": _text_only(_length),
    "email": _text_only(_EMAIL.fullmatch),
    "uuid": _text_only(UUID),
    "uri": _text_only(lambda text: bool(urlsplit(text).scheme)),
}
