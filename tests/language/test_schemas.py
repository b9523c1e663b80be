from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, SchemaError

from coe.language.json_schema.meta import faults
from coe.language.json_schema.violations import MOST, input_problems, violations

ORDER = {
    "type": "object",
    "required": ["id", "customer"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "pattern": "^A-"},
        "customer": {"type": "object", "required": ["name"]},
        "lines": {"type": "array", "items": {"properties": {"n": {"minimum": 1}}}, "maxItems": 2},
        "when": {"type": "string", "format": "date-time"},
        "kind": {"enum": ["new", "used"]},
        "pay": {
            "oneOf": [
                {"type": "object", "required": ["iban"]},
                {
                    "type": "object",
                    "required": ["card"],
                    "properties": {"card": {"type": "string"}},
                },
            ]
        },
    },
}


def test_every_violation_has_its_place_and_code() -> None:
    value = {
        "id": "B-1",
        "customer": {},
        "lines": [{"n": 0}, {}, {}],
        "when": "2024-01-01",
        "kind": "old",
        "pay": {"card": 1},
        "more": 1,
    }
    found = {
        problem.path: (problem.code, problem.message) for problem in input_problems(ORDER, value)
    }
    assert found == {
        "/customer/name": ("INPUT_MISSING", "is missing"),
        "/id": ("INPUT_FORMAT", "must match the pattern `^A-`"),
        "/kind": ("INPUT_VALUE", "must be one of `new`, `used`"),
        "/lines": ("INPUT_VALUE", "must have 2 items or less"),
        "/lines/0/n": ("INPUT_VALUE", "must be 1 or more"),
        "/more": ("INPUT_UNKNOWN", "is not known here"),
        "/pay/card": ("INPUT_TYPE", "must be text"),
        "/when": ("INPUT_FORMAT", "must have the format `date-time`"),
    }


def test_what_matches_has_no_violation() -> None:
    value = {"id": "A-1", "customer": {"name": "x"}, "when": "2024-01-01T00:00:00Z"}
    assert violations(ORDER, value) == []


def test_problems_may_be_placed_in_a_larger_input() -> None:
    [problem] = input_problems({"required": ["a"]}, {}, path="/input")
    assert problem.path == "/input/a"
    assert input_problems(None, {"anything": 1}) == ()


def test_messages_do_not_quote_the_value() -> None:
    secret = "Ada Lovelace"
    schema: Any = {
        "properties": {
            "a": {"type": "integer"},
            "b": {"enum": [1]},
            "c": {"pattern": "^x"},
            "d": {"maxLength": 2},
            "e": {"not": {}},
            "f": {"const": 1},
            "g": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "h": {"format": "email"},
        }
    }
    found = violations(schema, dict.fromkeys("abcdefgh", secret))
    assert len(found) == 8
    assert all(secret not in str(violation) for violation in found)


def test_nothing_is_fetched() -> None:
    [violation] = violations({"$ref": "https://x.example/schema.json"}, 1)
    assert "https://x.example/schema.json" in violation.message


def test_references_inside_a_schema_are_followed() -> None:
    schema: Any = {"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}}
    assert violations(schema, [1]) == []
    assert [violation.path for violation in violations(schema, ["x"])] == ["/0"]


def test_true_takes_all_and_false_nothing() -> None:
    assert violations(True, 1) == []  # noqa: FBT003
    [violation] = violations(False, 1)  # noqa: FBT003
    assert violation.message == "is not allowed here"


def test_violations_are_bounded() -> None:
    assert len(violations({"items": {"type": "string"}}, list(range(1000)))) == MOST


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("date", "2024-02-29", "2023-02-29"),
        ("date", "2024-02-29", "20240229"),
        ("date-time", "2024-01-01T00:00:00+01:00", "2024-01-01T00:00:00"),
        ("time", "10:00:00", "25:00"),
        ("duration", "PT1S", "1s"),
        ("duration", "P1D", "P1M"),
        ("email", "a@b.example", "a@b"),
        ("uuid", "0190b6c4-7bb8-7000-8000-000000000000", "x"),
        ("uri", "https://x.example", "x"),
        ("unknown-format", "anything", None),
    ],
)
def test_formats_are_asserted(name: str, right: str, wrong: str | None) -> None:
    assert violations({"format": name}, right) == []
    assert violations({"format": name}, 1) == []
    if wrong is not None:
        assert len(violations({"format": name}, wrong)) == 1


# ---------------------------------------------------------------- the form of schemas
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
    ],
)
def test_what_is_no_schema_is_located(schema: object, path: str) -> None:
    assert [fault.path for fault in faults(schema) if not fault.hint] == [path]


def test_a_keyword_that_looks_misspelt_is_a_hint() -> None:
    [fault] = faults({"requierd": ["a"], "x-anything": 1, "myNote": 1})
    assert fault.hint
    assert "did you mean `required`?" in fault.message


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
    mine = not any(not fault.hint for fault in faults(schema))
    try:
        Draft202012Validator.check_schema(schema)
        theirs = True
    except SchemaError:
        theirs = False
    assert mine == theirs


def test_an_unknown_key_may_mean_one_that_is_missing() -> None:
    schema: Any = {"properties": {"customer": {}, "total": {}}, "additionalProperties": False}
    [found] = violations(schema, {"custmer": 1, "total": 2})
    assert str(found) == "/custmer is not known here, did you mean `customer`?"
    [found] = violations(schema, {"customr": 1, "customer": 2})
    assert str(found) == "/customr is not known here"
