"""Compare two JSON Schemas: find what the new one refuses and the old one accepts.

The result is exact for the keywords of plain data (type, properties, required, items, enum, bounds
…). A difference in another keyword (allOf, anyOf, not, $ref …) counts, because it may refuse more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from coe.json_types import JSON
from coe.language.source import point

_ANY: Final = frozenset(("string", "number", "boolean", "object", "array", "null"))
# Bounds that accept less when they rise, and bounds that accept less when they fall.
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_COUNTS: Final = ("minLength", "minItems", "minProperties")
_EXACT: Final = ("pattern", "format", "multipleOf", "uniqueItems")
_OPAQUE: Final = (
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "$ref",
    "$dynamicRef",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "propertyNames",
    "prefixItems",
    "contains",
    "minContains",
    "maxContains",
    "unevaluatedProperties",
    "unevaluatedItems",
)


@dataclass(frozen=True, slots=True)
class Narrowing:
    """A place where the new schema accepts less than the old one."""

    # JSON pointer of the data, `*` for any item.
    path: str
    keyword: str
    message: str


def narrowings(old: JSON, new: JSON) -> Iterator[Narrowing]:
    """Find where `new` refuses values that `old` accepts."""
    changed = _definitions(old) != _definitions(new)
    if changed and old != new and _refers(new):
        yield Narrowing("", "$ref", "refers to definitions that have changed, and may accept less")
    yield from _narrowings(old, new, "")


def _definitions(schema: JSON) -> JSON:
    """The parts of a schema to which its references may lead."""
    if not isinstance(schema, dict):
        return {}
    if _refers_elsewhere(schema):
        return schema
    return {key: schema[key] for key in ("$defs", "definitions") if key in schema}


def _refers(schema: JSON) -> bool:
    """Whether a schema has a reference."""
    return any(True for _ in _references(schema))


def _refers_elsewhere(schema: JSON) -> bool:
    """Whether a reference leads to something other than a definition."""
    return any(not ref.startswith(("#/$defs/", "#/definitions/")) for ref in _references(schema))


def _references(schema: JSON) -> Iterator[str]:
    waiting: list[JSON] = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            for key in ("$ref", "$dynamicRef"):
                if key in part:
                    yield str(part[key])
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _narrowings(old: JSON, new: JSON, path: str) -> Iterator[Narrowing]:
    if old is False or new is True or new in (None, {}) or old == new:
        return
    if new is False:
        yield Narrowing(path, "false", "is not allowed any more")
        return
    before: dict[str, Any] = old if isinstance(old, dict) else {}
    after: dict[str, Any] = new if isinstance(new, dict) else {}
    yield from _types(before, after, path)
    yield from _values(before, after, path)
    yield from _bounds(before, after, path)
    yield from _objects(before, after, path)
    if "items" in before or "items" in after:
        yield from _narrowings(before.get("items", True), after.get("items", True), f"{path}/*")
    for keyword in _OPAQUE:
        if _differs(keyword, before, after):
            yield Narrowing(path, keyword, f"has another `{keyword}`, which may accept less")


# Keywords that limit what another keyword applies to; without them, it refuses more.
_LIMITED: Final = {
    "prefixItems": "items",
    "patternProperties": "additionalProperties",
    "minContains": "contains",
}
_UNEVALUATED: Final = ("unevaluatedProperties", "unevaluatedItems")
# Keywords that describe and do not constrain.
_DESCRIPTIVE: Final = frozenset(
    ("title", "description", "examples", "default", "deprecated", "$comment", "$id", "$schema")
)


def _differs(keyword: str, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether a keyword that is not compared in detail may accept less."""
    if keyword in _UNEVALUATED:  # it applies to what all the others leave
        return keyword in new and any(
            old.get(key) != new.get(key) for key in {*old, *new} - _DESCRIPTIVE
        )
    if old.get(keyword) == new.get(keyword):
        return False
    return keyword in new or _LIMITED.get(keyword) in new


def kinds(schema: dict[str, Any]) -> frozenset[str]:
    """The types that a schema accepts; integer counts as number."""
    given = schema.get("type", _ANY)
    names = {given} if isinstance(given, str) else set(given)
    return frozenset("number" if name == "integer" else name for name in names)


def _types(old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Narrowing]:
    lost = kinds(old) - kinds(new)
    if lost:
        what = ", ".join(sorted(lost)) if lost != _ANY - kinds(new) else "other types"
        yield Narrowing(path, "type", f"does not accept {what} any more")
    elif _whole_only(new) and not _whole_only(old) and "number" in kinds(old):
        yield Narrowing(path, "type", "accepts whole numbers only")


def _whole_only(schema: dict[str, Any]) -> bool:
    given = schema.get("type", ())
    names = {given} if isinstance(given, str) else set(given)
    return "integer" in names and "number" not in names


def _values(old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Narrowing]:
    accepted, wanted = _enumerated(old), _enumerated(new)
    if wanted is None:
        return
    if accepted is None:
        yield Narrowing(path, "enum", "accepts certain values only")
        return
    for value in sorted(accepted - wanted):
        yield Narrowing(path, "enum", f"does not accept {value} any more")


def _enumerated(schema: dict[str, Any]) -> frozenset[str] | None:
    """The values that a schema lists, as JSON; None if it lists none."""
    listed = [
        frozenset(json.dumps(_plain(value), sort_keys=True) for value in values)
        for values in ([schema["const"]] if "const" in schema else None, schema.get("enum"))
        if isinstance(values, list)
    ]
    return frozenset.intersection(*listed) if listed else None


def _plain(value: Any) -> Any:
    """A value with 1.0 as 1, because JSON Schema does not distinguish them."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _bounds(old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Narrowing]:
    def tighter(keywords: tuple[str, ...], is_tighter: Callable[[Any, Any], bool]) -> Iterator[str]:
        for keyword in keywords:
            if keyword in new and (keyword not in old or is_tighter(new[keyword], old[keyword])):
                yield keyword

    found = (
        *tighter(_LOWER, lambda after, before: after > before),
        *tighter(_UPPER, lambda after, before: after < before),
        *tighter(_EXACT, lambda after, before: after != before),
    )
    for keyword in found:
        if new[keyword] is False or (keyword in _COUNTS and new[keyword] == 0):
            continue
        yield Narrowing(path, keyword, f"has the stricter `{keyword}` {json.dumps(new[keyword])}")


def _objects(old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Narrowing]:
    for key in new.get("required", ()):
        if key not in old.get("required", ()):
            yield Narrowing(path + point(key), "required", "is required now")
    before, after = old.get("properties", {}), new.get("properties", {})
    rest_before, rest_after = (each.get("additionalProperties", True) for each in (old, new))
    # Patterns of the old schema are not compared with keys: they may accept anything.
    unknown = True if "patternProperties" in old else rest_before
    for key in dict.fromkeys((*before, *after)):
        if key in before or unknown is not False:
            inner = before.get(key, unknown), after.get(key, rest_after)
            yield from _narrowings(*inner, path + point(key))
    yield from _narrowings(rest_before, rest_after, f"{path}/*")
