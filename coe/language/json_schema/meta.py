"""Whether a value is a JSON Schema (2020-12) that can be used here.

The verdict is that of the metaschema, but for rules of ours: the dialect is 2020-12, keywords of
other dialects are refused, and patterns have no back-references and little look-around
(`ecmascript`). So each keyword is evaluated, describes only, or is reported: none is accepted and
ignored. The messages name the place and what belongs there, which those of the metaschema do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from coe.errors import Problem, Severity
from coe.json_types import JSON
from coe.language.json_schema.caps import SchemaFault, excess
from coe.language.json_schema.ecmascript import NotAPattern
from coe.language.json_schema.validator import (
    DIALECT,
    FORMATS,
    check_key_pattern,
    check_pattern,
    is_dialect,
)
from coe.language.source import Source, point
from coe.language.suggestions import closest

_MAX_QUOTED: Final = 80
TYPES: Final = ("array", "boolean", "integer", "null", "number", "object", "string")


def schema_problems(source: Source, schema: JSON, path: str) -> tuple[Problem, ...]:
    """What is wrong with the JSON Schema at a pointer of a document."""
    return tuple(
        source.problem("INPUT_SCHEMA", fault.message, fault.path, severity=fault.severity)
        for fault in (*excess(schema, path), *faults(schema, path))
    )


def faults(schema: Any, path: str = "") -> Iterator[SchemaFault]:
    """Find why a value is not a JSON Schema, and keywords that look misspelt."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield SchemaFault(path, "a schema must be an object, true or false")
        return
    for keyword, value in schema.items():
        place = path + point(keyword)
        check = _CHECKS.get(keyword)
        if check is not None:
            wanted = check(value)
            if wanted is not None:
                yield SchemaFault(place, f"`{keyword}` must be {wanted}")
                continue
        elif keyword in _OTHER_DIALECTS:
            advice = _OTHER_DIALECTS[keyword]
            message = f"`{keyword}` is not of JSON Schema 2020-12, and is not evaluated: {advice}"
            yield SchemaFault(place, message)
            continue
        yield from _without_effect(keyword, schema, place)
        yield from _inside(keyword, value, place)


def _without_effect(keyword: str, schema: dict[str, Any], place: str) -> Iterator[SchemaFault]:
    """Report a keyword that nothing evaluates, though its author may think so."""
    message = None
    if keyword not in _KNOWN and not keyword.startswith("x-"):
        close = closest(keyword, _KNOWN, likeness=0.8)
        rather = f"did you mean `{close}`?" if close else "name what describes only `x-…`"
        message = f"`{keyword}` is not a keyword, and nothing evaluates it: {rather}"
    elif keyword == "format" and schema[keyword] not in FORMATS:
        close = closest(schema[keyword], FORMATS)
        rather = f"did you mean `{close}`?" if close else "it describes only"
        message = f"`{schema[keyword]}` is not a format that is checked: {rather}"
    elif keyword in _CONTENT:
        message = f"`{keyword}` describes the text, which is not checked against it"
    elif keyword in _NEEDS and _NEEDS[keyword] not in schema:
        message = f"`{keyword}` has no effect without `{_NEEDS[keyword]}`"
    elif keyword == "if" and not schema.keys() & {"then", "else"}:
        message = "`if` has no effect without `then` or `else`"
    if message is not None:
        yield SchemaFault(place, message, Severity.WARNING)


def _inside(keyword: str, value: Any, place: str) -> Iterator[SchemaFault]:
    """The faults of the schemas that a keyword holds."""
    if keyword in _ONE:
        yield from faults(value, place)
    elif keyword in _NAMED and isinstance(value, dict):
        for name, inner in value.items():
            yield from faults(inner, place + point(name))
    elif keyword in _LISTED and isinstance(value, list):
        for index, inner in enumerate(value):
            yield from faults(inner, place + point(index))


# ---------------------------------------------------------------- values of keywords
_Check = Callable[[Any], str | None]


def _is(kind: type, wanted: str) -> _Check:
    return lambda value: None if isinstance(value, kind) else wanted


def _number(value: Any) -> str | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if number else "a number"


def _dialect(value: Any) -> str | None:
    return None if is_dialect(value) else f"{DIALECT}: no other dialect is read here"


def _count(value: Any) -> str | None:
    whole = not isinstance(value, bool) and isinstance(value, int | float) and value == int(value)
    return None if whole and value >= 0 else "a whole number, 0 or more"


def _positive(value: Any) -> str | None:
    return None if _number(value) is None and value > 0 else "a number above 0"


def _type(value: Any) -> str | None:
    names = value if isinstance(value, list) else [value]
    right = names and all(isinstance(name, str) and name in TYPES for name in names)
    unique = right and len(set(names)) == len(names)
    return None if unique else "one or several of " + ", ".join(TYPES)


def _texts(value: Any) -> str | None:
    texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return None if texts and len(set(value)) == len(value) else "an array of different texts"


def _pattern(value: Any) -> str | None:
    if not isinstance(value, str):
        return "a regular expression"
    return _usable(value, check_pattern)


def _named_patterns(value: Any) -> str | None:
    if not isinstance(value, dict):
        return "an object with regular expressions as its keys"
    return next((wrong for key in value if (wrong := _usable(key, check_key_pattern))), None)


def _usable(pattern: str, check: Callable[[str], None]) -> str | None:
    try:
        check(pattern)
    except NotAPattern as reason:
        return f"a regular expression (ECMA-262), but `{pattern[:_MAX_QUOTED]}` {reason}"
    return None


def _dependents(value: Any) -> str | None:
    right = isinstance(value, dict) and all(_texts(item) is None for item in value.values())
    return None if right else "an object of arrays of texts"


def _schemas(value: Any) -> str | None:
    return None if isinstance(value, list) and value else "an array with at least one schema"


_ONE: Final = frozenset(
    (
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    )
)
_NAMED: Final = frozenset(
    ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
)
_LISTED: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
_OBJECT: Final = _is(dict, "an object")
_TEXT: Final = _is(str, "text")
_BOOLEAN: Final = _is(bool, "true or false")
_CHECKS: Final[dict[str, _Check]] = (
    dict.fromkeys(_NAMED, _OBJECT)
    | dict.fromkeys(_LISTED, _schemas)
    | dict.fromkeys(
        ("maxItems", "minItems", "maxLength", "minLength", "maxProperties", "minProperties"), _count
    )
    | dict.fromkeys(("maxContains", "minContains"), _count)
    | dict.fromkeys(("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"), _number)
    | dict.fromkeys(("title", "description", "format", "$ref", "$id"), _TEXT)
    | dict.fromkeys(("$anchor", "$dynamicRef", "$dynamicAnchor", "$comment"), _TEXT)
    | dict.fromkeys(("contentEncoding", "contentMediaType"), _TEXT)
    | dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly"), _BOOLEAN)
    | dict.fromkeys(("enum", "examples"), _is(list, "an array"))
    | {
        "$schema": _dialect,
        "type": _type,
        "required": _texts,
        "pattern": _pattern,
        "patternProperties": _named_patterns,
        "multipleOf": _positive,
        "dependentRequired": _dependents,
    }
)
_KNOWN: Final = frozenset((*_CHECKS, *_ONE, "const", "default"))
# Assertions of older drafts and of OpenAPI 3.0, which 2020-12 does not have.
_OTHER_DIALECTS: Final = {
    "$recursiveAnchor": "write `$dynamicAnchor`",
    "$recursiveRef": "write `$dynamicRef`",
    "$vocabulary": "only a metaschema has it",
    "additionalItems": "write the first items under `prefixItems`, and the others under `items`",
    "dependencies": "write `dependentRequired` or `dependentSchemas`",
    "disallow": "write `not`",
    "divisibleBy": "write `multipleOf`",
    "extends": "write `allOf`",
    "id": "write `$id`",
    "nullable": "add `null` to `type`",
}
# Keywords that do nothing without another.
_NEEDS: Final = {
    "else": "if",
    "maxContains": "contains",
    "minContains": "contains",
    "then": "if",
}
# Annotations in 2020-12 (Validation, section 8).
_CONTENT: Final = frozenset(("contentEncoding", "contentMediaType", "contentSchema"))
