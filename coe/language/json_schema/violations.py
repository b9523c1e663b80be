"""Where a value does not match its JSON Schema, in words that never quote the value.

The value may be somebody's personal data; the schema is the author's, and is quoted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from coe.errors import Problem
from coe.json_types import JSON
from coe.language.json_schema.effort import Allowance
from coe.language.json_schema.validator import CannotValidate, errors
from coe.language.source import point, tokens
from coe.language.suggestions import closest

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

MAX_VIOLATIONS: Final = 50
"""More violations of one value are not reported."""
UNUSABLE: Final = "schema"
"""The keyword of a violation that is the schema's, not the value's."""
_MAX_QUOTED: Final = 400  # characters of a schema's values in a message
_MAX_NAMES: Final = 20  # known names that are listed for an unknown one

_TYPES: Final = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "an object",
    "array": "an array",
    "null": "null",
}
_MESSAGES: Final = {
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
    "minContains": "must have {} or more items that match `contains` of its schema",
    "maxContains": "must have {} or fewer items that match `contains` of its schema",
    "pattern": "must match the pattern {}",
    "format": "must have the format {}",
    "const": "must be {}",
    "uniqueItems": "must not have the same item twice",
    "propertyNames": "has a key that is not allowed here",
    "unevaluatedItems": "has items that its schema does not allow",
    "false": "is not allowed here",
}
# The library's name of an error covers several keywords; the path in the schema says which.
_BY_PATH: Final = frozenset(("required", "contains"))
_CLOSED: Final = "additionalProperties"
_NAMES: Final = frozenset(("properties", "patternProperties", "$defs", "dependentSchemas"))


@dataclass(frozen=True, slots=True)
class Violation:
    """One reason why a value does not match its schema."""

    # JSON pointer into the value; of a missing key, to where it would be.
    path: str
    message: str
    # The keyword of the schema that is violated.
    keyword: str
    # What the schema says of the place: its description, or the names that it knows.
    described: str | None = None
    # For a name that is not known: the known one that may be meant.
    meant: str | None = None
    # The name of a property that is missing or not allowed, which the path ends with.
    name: str | None = None

    def __str__(self) -> str:
        """The place and the message."""
        guess = f", did you mean `{self.meant}`?" if self.meant else ""
        return f"{self.path or '/'} {self.message}{guess}"

    @property
    def help(self) -> str | None:
        """What helps to correct the value."""
        guess = f"did you mean `{self.meant}`?" if self.meant else None
        return " ".join(filter(None, (guess, self.described))) or None

    @property
    def problem(self) -> Problem:
        """The violation as a problem: INPUT_ and the keyword, such as INPUT_REQUIRED."""
        code = f"INPUT_{self.keyword.upper()}"
        message = self.message if self.name is None else f"`{self.name}` {self.message}"
        return Problem(code, message, path=self.path or None, help=self.help)


def violations(schema: JSON, value: JSON, allowance: Allowance | None = None) -> list[Violation]:
    """Why a value does not match a schema, at most `MAX_VIOLATIONS`, in the order of their paths.

    Of a large value with many errors there may be the first alone. `allowance` is what this and
    other validations may take together.
    """
    try:
        found = [(error, *_nearest(error)) for error in errors(schema, value, allowance)]
    except CannotValidate as reason:
        return [Violation("", f"its schema {reason}", UNUSABLE)]
    ordered = sorted(found, key=lambda each: _order(each[1]))[:MAX_VIOLATIONS]
    listed = {
        violation: None
        for _, error, types in ordered
        for violation in _violations(schema, value, error, types)
    }
    return sorted(listed, key=lambda each: _places(_parts(each.path)))[:MAX_VIOLATIONS]


def input_problems(schema: JSON, value: JSON, *, path: str = "") -> tuple[Problem, ...]:
    """The violations of an input as located problems, such as INPUT_REQUIRED.

    `path` is the pointer of the value itself. No schema (None) accepts everything.
    """
    if schema is None:
        return ()
    problems = (violation.problem for violation in violations(schema, value))
    return tuple(replace(each, path=path + (each.path or "") or None) for each in problems)


# ---------------------------------------------------------------- errors of the library
def _nearest(error: ValidationError) -> tuple[ValidationError, tuple[str, ...]]:
    """The error to report; of alternatives the one of that which matched furthest.

    Where all alternatives want another type of the same value, their types are joined.
    """
    types: tuple[str, ...] = ()
    while error.kind.name in ("anyOf", "oneOf"):
        branches: list[list[ValidationError]] = error.kind.as_dict()["context"]
        inner = [each for branch in branches for each in branch]
        if not all(branches) or not inner:  # several alternatives match
            break
        if all(_only_type(branch, error) for branch in branches):
            names = (name for each in inner for name in each.kind.as_dict()["types"])
            types = tuple(dict.fromkeys(names))
        error = max(sorted(inner, key=_order), key=_nearness)
    return error, types


def _only_type(branch: Sequence[ValidationError], error: ValidationError) -> bool:
    return (
        len(branch) == 1
        and branch[0].kind.name == "type"
        and branch[0].instance_path == error.instance_path
    )


def _nearness(error: ValidationError) -> tuple[int, bool]:
    """How far an alternative matched before it failed."""
    return len(error.instance_path), error.kind.name not in ("type", "const", "enum")


def _order(error: ValidationError) -> tuple[Any, ...]:
    """The place in the value, then in the schema: the library's order may differ between runs."""
    return _places(error.instance_path), _places(error.schema_path), str(error.kind.as_dict())


def _places(path: Sequence[str | int]) -> tuple[tuple[bool, int, str], ...]:
    return tuple((False, part, "") if isinstance(part, int) else (True, 0, part) for part in path)


def _parts(pointer: str) -> list[str | int]:
    return [int(token) if token.isdecimal() else token for token in tokens(pointer)]


# ---------------------------------------------------------------- words
def _violations(
    schema: JSON, value: JSON, error: ValidationError, types: tuple[str, ...]
) -> Iterator[Violation]:
    path = point(*error.instance_path)
    keyword = _keyword(error)
    *parents, _ = error.schema_path or [""]
    part = _follow(schema, parents)
    match error.kind.name:
        case "required":
            key = error.kind.as_dict()["property"]
            described = _description(_follow(part, ("properties", key)))
            yield Violation(path + point(key), "is missing", keyword, described, name=key)
        case "falseSchema" if keyword == _CLOSED:
            for key in _follow(value, error.instance_path) or ():
                yield _unknown(path + point(key), key, keyword, {}, None)
        case "additionalProperties" | "unevaluatedProperties":
            instance = _follow(value, error.instance_path)
            closed = _follow(schema, error.schema_path) in (False, None)
            for key in error.kind.as_dict()["unexpected"]:
                where = path + point(key)
                if closed:
                    yield _unknown(where, key, keyword, _properties(part), instance)
                else:
                    yield Violation(where, _message(keyword, None), keyword, name=key)
        case "propertyNames":
            names = _follow(schema, error.schema_path[:-1])
            refused = _refused_names(names, _follow(value, error.instance_path))
            for key in refused:
                message = "is not a name that is allowed here"
                yield Violation(path + point(key), message, keyword, name=key)
            if not refused:
                yield Violation(path, _message(keyword, None), keyword)
        case _:
            known = isinstance(part, dict) and keyword in part
            # The path into an embedded resource does not begin at the document.
            wanted = part[keyword] if known else next(iter(error.kind.as_dict().values()), None)
            message = _message(keyword, types or wanted)
            described = _description(_follow(schema, error.schema_path) if part is None else part)
            yield Violation(path, message, keyword, described)


def _keyword(error: ValidationError) -> str:
    name = error.kind.name
    if name == "falseSchema":
        # The library's error where no property is known, so that none may be there.
        *_, parent, last = ["", "", *error.schema_path]
        return _CLOSED if last == _CLOSED and parent not in _NAMES else "false"
    return str(error.schema_path[-1]) if name in _BY_PATH and error.schema_path else name


def _unknown(
    path: str, key: str, keyword: str, properties: dict[str, Any], instance: JSON
) -> Violation:
    present = instance if isinstance(instance, dict) else {}
    absent = [name for name in properties if name not in present]
    meant = closest(key, absent) or closest(key, properties)
    known = ", ".join(list(properties)[:_MAX_NAMES])
    described = f"known here: {known}" if known else None
    return Violation(path, "is not known here", keyword, described, meant, key)


def _refused_names(names: JSON, value: JSON) -> list[str]:
    """The keys that `propertyNames` refuses; none where it refers to another part of its schema."""
    try:
        return [key for key in value if errors(names, key)] if isinstance(value, dict) else []
    except CannotValidate:
        return []


def _message(keyword: str, wanted: Any) -> str:
    if keyword == "type":
        kinds = [wanted] if isinstance(wanted, str) else list(wanted or ())
        return "must be " + " or ".join(_TYPES.get(kind, kind) for kind in kinds)
    if keyword == "enum":
        listed = ", ".join(_quoted(value) for value in wanted or ())
        return "must be one of " + (
            listed[:_MAX_QUOTED] + " …" if len(listed) > _MAX_QUOTED else listed
        )
    if keyword in _MESSAGES:
        return _MESSAGES[keyword].format(_quoted(wanted)[:_MAX_QUOTED])
    if keyword == "oneOf":
        return "matches several of the alternatives of its schema, and may match one"
    return f"does not match `{keyword}` of its schema"


def _quoted(value: Any) -> str:
    return f"`{value}`" if isinstance(value, str) else _written(value)


def _written(value: Any) -> str:
    """A text as it is, any other value as JSON."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # a whole number of more than 64 bits
        return str(value)


# ---------------------------------------------------------------- the schema's own words
def _description(schema: JSON) -> str | None:
    """What a schema says of its values, and examples of them."""
    if not isinstance(schema, dict):
        return None
    words = [str(schema["description"])] if isinstance(schema.get("description"), str) else []
    examples = schema.get("examples")
    if isinstance(examples, list) and examples:
        words.append(f"such as {', '.join(_written(each) for each in examples[:3])}")
    return "; ".join(words)[:_MAX_QUOTED] or None


def _properties(schema: JSON) -> dict[str, Any]:
    found = schema.get("properties") if isinstance(schema, dict) else None
    return found if isinstance(found, dict) else {}


def _follow(document: JSON, path: Sequence[str | int]) -> Any:
    """The part of a document that a path leads to; None where it leads nowhere."""
    part: Any = document
    for key in path:
        if isinstance(part, dict) and key in part:
            part = part[str(key)]
        elif isinstance(part, list) and isinstance(key, int) and key < len(part):
            part = part[key]
        else:
            return None
    return part
