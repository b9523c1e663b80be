from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coe.errors import Severity
from coe.language.json_schema.meta import faults


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (3, ""),
        ({"type": "text"}, "/type"),
        ({"type": []}, "/type"),
        ({"type": ["string", "string"]}, "/type"),
        ({"properties": []}, "/properties"),
        ({"properties": {"a": {"minimum": "1"}}}, "/properties/a/minimum"),
        ({"required": "a"}, "/required"),
        ({"required": ["a", "a"]}, "/required"),
        ({"items": [{}]}, "/items"),
        ({"allOf": []}, "/allOf"),
        ({"anyOf": [{"not": 1}]}, "/anyOf/0/not"),
        ({"minLength": -1}, "/minLength"),
        ({"multipleOf": 0}, "/multipleOf"),
        ({"pattern": "("}, "/pattern"),
        ({"enum": "a"}, "/enum"),
        ({"$defs": {"x": {"uniqueItems": 1}}}, "/$defs/x/uniqueItems"),
        ({"dependentRequired": {"a": "b"}}, "/dependentRequired"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema"),
        ({"$schema": 7}, "/$schema"),
    ],
)
def test_what_is_no_schema_is_located(schema: object, path: str) -> None:
    assert [fault.path for fault in faults(schema) if fault.severity is Severity.ERROR] == [path]


def test_a_keyword_that_looks_misspelt_is_a_warning() -> None:
    [fault] = faults({"requierd": ["a"], "x-anything": 1})
    assert fault.severity is Severity.WARNING
    assert "did you mean `required`?" in fault.message


@pytest.mark.parametrize(
    ("name", "expected"),
    [("datetime", "did you mean `date-time`?"), ("int32", "it describes only")],
)
def test_a_format_that_is_not_asserted_is_a_warning(name: str, expected: str) -> None:
    [fault] = faults({"properties": {"at": {"format": name}}})
    assert (fault.path, fault.severity) == ("/properties/at/format", Severity.WARNING)
    assert expected in fault.message
    assert not list(faults({"format": "date-time"}))


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(-2, 2),
    st.sampled_from(["string", "integer", "a", "(", "^a$", ""]),
    st.lists(st.sampled_from(["string", "null", "a", "a", 1]), max_size=3),
)
_KEYWORDS = st.sampled_from(
    [
        *("type", "properties", "required", "items", "enum", "minimum", "maximum", "minLength"),
        *("maxItems", "pattern", "format", "multipleOf", "allOf", "anyOf", "not", "if", "const"),
        *("additionalProperties", "patternProperties", "prefixItems", "$defs", "uniqueItems"),
        *("title", "examples", "default", "dependentRequired", "dependentSchemas", "deprecated"),
        *("propertyNames", "contains", "minContains", "exclusiveMinimum", "readOnly", "$comment"),
        *("contentEncoding", "unevaluatedItems", "maxProperties", "description", "oneOf"),
    ]
)
_SCHEMAS = st.recursive(
    st.booleans() | st.dictionaries(_KEYWORDS, _VALUES, max_size=3),
    lambda inner: st.dictionaries(
        _KEYWORDS,
        inner
        | _VALUES
        | st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from("ab("), inner, max_size=2),
        max_size=3,
    ),
    max_leaves=6,
)


@settings(max_examples=400)
@given(_SCHEMAS)
def test_the_verdict_is_that_of_the_metaschema(schema: Any) -> None:
    ours = all(fault.severity is not Severity.ERROR for fault in faults(schema))
    assert ours == jsonschema_rs.meta.is_valid(schema)


def test_the_dialect_may_be_named() -> None:
    assert not list(faults({"$schema": "https://json-schema.org/draft/2020-12/schema"}))
    assert not list(faults({"$schema": "https://json-schema.org/draft/2020-12/schema#"}))
