"""Each keyword of JSON Schema, old ones too, is evaluated, only describes, or is reported."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema_specifications import REGISTRY

from coe.errors import Severity
from coe.language.json_schema.meta import faults
from coe.language.json_schema.violations import violations

DIALECTS = ("draft/2020-12/", "draft/2019-09/", "draft-07/", "draft-06/", "draft-04/", "draft-03/")
EVERY_KEYWORD = sorted(
    {
        keyword
        for uri in REGISTRY
        if any(dialect in uri for dialect in DIALECTS)
        for keyword in REGISTRY.contents(uri).get("properties", {})
    }
    | {"$recursiveAnchor", "nullable", "example"}
)

# A schema with the keyword, a value that it takes, and one that it refuses.
EVALUATED: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "$anchor": ({"$ref": "#a", "$defs": {"x": {"$anchor": "a", "type": "null"}}}, None, 1),
    "$defs": ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "null"}}}, None, 1),
    "$dynamicAnchor": (
        {"$dynamicRef": "#a", "$defs": {"x": {"$dynamicAnchor": "a", "type": "null"}}},
        None,
        1,
    ),
    "$dynamicRef": (
        {"$dynamicRef": "#a", "$defs": {"x": {"$dynamicAnchor": "a", "type": "null"}}},
        None,
        1,
    ),
    "$id": (
        {"$id": "https://x.example/a", "$ref": "b", "$defs": {"b": {"$id": "b", "type": "null"}}},
        None,
        1,
    ),
    "$ref": ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "null"}}}, None, 1),
    "additionalProperties": ({"additionalProperties": {"type": "null"}}, {"a": None}, {"a": 1}),
    "allOf": ({"allOf": [{"type": "null"}]}, None, 1),
    "anyOf": ({"anyOf": [{"type": "null"}]}, None, 1),
    "const": ({"const": 1}, 1, 2),
    "contains": ({"contains": {"const": 1}}, [2, 1], [2]),
    "definitions": ({"$ref": "#/definitions/x", "definitions": {"x": {"type": "null"}}}, None, 1),
    "dependentRequired": ({"dependentRequired": {"a": ["b"]}}, {"a": 1, "b": 1}, {"a": 1}),
    "dependentSchemas": (
        {"dependentSchemas": {"a": {"maxProperties": 1}}},
        {"a": 1},
        {"a": 1, "b": 1},
    ),
    "else": ({"if": {"const": 1}, "else": {"const": 2}}, 2, 3),
    "enum": ({"enum": [1]}, 1, 2),
    "exclusiveMaximum": ({"exclusiveMaximum": 2}, 1, 2),
    "exclusiveMinimum": ({"exclusiveMinimum": 2}, 3, 2),
    "format": ({"format": "date"}, "2026-01-02", "yesterday"),
    "if": ({"if": {"const": 1}, "then": False}, 2, 1),
    "items": ({"items": {"type": "null"}}, [None], [1]),
    "maxContains": ({"contains": {"const": 1}, "maxContains": 1}, [1], [1, 1]),
    "maxItems": ({"maxItems": 1}, [1], [1, 1]),
    "maxLength": ({"maxLength": 1}, "a", "ab"),
    "maxProperties": ({"maxProperties": 1}, {"a": 1}, {"a": 1, "b": 1}),
    "maximum": ({"maximum": 1}, 1, 2),
    "minContains": ({"contains": {"const": 1}, "minContains": 2}, [1, 1], [1]),
    "minItems": ({"minItems": 1}, [1], []),
    "minLength": ({"minLength": 1}, "a", ""),
    "minProperties": ({"minProperties": 1}, {"a": 1}, {}),
    "minimum": ({"minimum": 1}, 1, 0),
    "multipleOf": ({"multipleOf": 2}, 2, 3),
    "not": ({"not": {"const": 1}}, 2, 1),
    "oneOf": ({"oneOf": [{"type": "null"}]}, None, 1),
    "pattern": ({"pattern": "^a"}, "a", "b"),
    "patternProperties": ({"patternProperties": {"^a": {"type": "null"}}}, {"a": None}, {"a": 1}),
    "prefixItems": ({"prefixItems": [{"type": "null"}]}, [None], [1]),
    "properties": ({"properties": {"a": {"type": "null"}}}, {"a": None}, {"a": 1}),
    "propertyNames": ({"propertyNames": {"const": "a"}}, {"a": 1}, {"b": 1}),
    "required": ({"required": ["a"]}, {"a": 1}, {}),
    "then": ({"if": {"const": 1}, "then": False}, 2, 1),
    "type": ({"type": "null"}, None, 1),
    "unevaluatedItems": ({"prefixItems": [{}], "unevaluatedItems": False}, [1], [1, 2]),
    "unevaluatedProperties": (
        {
            "patternProperties": {"^x-": {}},
            "properties": {"a": {}},
            "unevaluatedProperties": False,
        },
        {"x-b": 1, "a": 2},
        {"b": 1},
    ),
    "uniqueItems": ({"uniqueItems": True}, [1, 2], [1, 1]),
}
# Keywords that describe values and promise no check (Validation 2020-12, section 9; Core, 8.3).
DESCRIBES: dict[str, Any] = {
    "$comment": "a note",
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "default": 1,
    "deprecated": True,
    "description": "what it is",
    "examples": [1],
    "readOnly": True,
    "title": "a name",
    "writeOnly": True,
}
# Keywords that others evaluate, and nothing does here: an error, or a warning where no value of
# them changes what the schema takes.
REPORTED: dict[str, tuple[Any, Severity]] = {
    "$recursiveAnchor": (True, Severity.ERROR),
    "$recursiveRef": ("#", Severity.ERROR),
    "$vocabulary": ({"https://x.example/v": True}, Severity.ERROR),
    "additionalItems": (False, Severity.ERROR),
    "contentEncoding": ("base64", Severity.WARNING),
    "contentMediaType": ("application/json", Severity.WARNING),
    "contentSchema": ({"type": "object"}, Severity.WARNING),
    "dependencies": ({"card": ["address"]}, Severity.ERROR),
    "disallow": ("string", Severity.ERROR),
    "divisibleBy": (2, Severity.ERROR),
    "example": (1, Severity.WARNING),
    "extends": ({}, Severity.ERROR),
    "id": ("https://x.example/a", Severity.ERROR),
    "nullable": (True, Severity.ERROR),
}


def test_every_keyword_of_every_dialect_is_in_one_of_the_lists() -> None:
    assert len(EVERY_KEYWORD) > 60
    assert sorted([*EVALUATED, *DESCRIBES, *REPORTED]) == EVERY_KEYWORD


@pytest.mark.parametrize("keyword", EVALUATED)
def test_the_keyword_is_evaluated(keyword: str) -> None:
    schema, taken, refused = EVALUATED[keyword]
    assert keyword in str(schema)
    assert not list(faults(schema))
    assert violations(schema, taken) == []
    [found] = violations(schema, refused)
    assert found.keyword != "schema"


@pytest.mark.parametrize("keyword", DESCRIBES)
def test_the_keyword_describes_alone(keyword: str) -> None:
    schema = {keyword: DESCRIBES[keyword]}
    assert not list(faults(schema))
    assert violations(schema, {"any": "value"}) == []


@pytest.mark.parametrize("keyword", REPORTED)
def test_the_keyword_is_reported(keyword: str) -> None:
    value, severity = REPORTED[keyword]
    for schema in ({keyword: value}, {"properties": {"a": {keyword: value}}}):
        [fault] = faults(schema)
        assert (fault.severity, f"`{keyword}`" in fault.message) == (severity, True)
        assert fault.path.endswith(f"/{keyword}")


@pytest.mark.parametrize(
    "dialect", sorted(each for each in REGISTRY if "json-schema.org/draft" in each)
)
def test_another_dialect_is_refused_wherever_it_is_named(dialect: str) -> None:
    if dialect == "https://json-schema.org/draft/2020-12/schema":
        return
    for schema in ({"$schema": dialect}, {"$defs": {"a": {"$id": "x", "$schema": dialect}}}):
        assert [fault.severity for fault in faults(schema)] == [Severity.ERROR]
        assert violations(schema, 1)[0].keyword == "schema"


@pytest.mark.parametrize(
    "schema",
    [
        {"then": False},
        {"else": False},
        {"if": {"const": 1}},
        {"minContains": 2},
        {"maxContains": 2},
        {"requird": ["a"]},
        {"myNote": 1},
        {"$unknown": 1},
    ],
)
def test_a_keyword_without_effect_is_a_warning(schema: dict[str, Any]) -> None:
    [fault] = faults(schema)
    assert (fault.severity, fault.path) == (Severity.WARNING, f"/{next(iter(schema))}")


def test_what_an_author_names_x_is_taken() -> None:
    assert not list(faults({"x-personal": True}))
