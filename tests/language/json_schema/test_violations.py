from __future__ import annotations

from typing import Any

import pytest

from coe.json_types import JSON
from coe.language.json_schema.violations import MAX_VIOLATIONS, input_problems, violations

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
        "/customer/name": ("INPUT_REQUIRED", "`name` is missing"),
        "/id": ("INPUT_PATTERN", "must match the pattern `^A-`"),
        "/kind": ("INPUT_ENUM", "must be one of `new`, `used`"),
        "/lines": ("INPUT_MAXITEMS", "must have 2 items or less"),
        "/lines/0/n": ("INPUT_MINIMUM", "must be 1 or more"),
        "/more": ("INPUT_ADDITIONALPROPERTIES", "`more` is not known here"),
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
    for ref in (
        "#/nowhere",
        "https://x.example/s.json",
        "http://127.0.0.1:9/s",
        "file:///etc/passwd",
    ):
        [violation] = violations({"$ref": ref}, 1)
        assert violation.message == f"its schema refers to `{ref}`, which is not there"
        assert violation.problem.code == "INPUT_SCHEMA"


def test_references_inside_a_schema_are_followed() -> None:
    schema: Any = {"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}}
    assert violations(schema, [1]) == []
    assert [violation.path for violation in violations(schema, ["x"])] == ["/0"]


def test_every_key_of_an_object_that_may_have_none_is_named() -> None:
    closed: JSON = {"additionalProperties": False}
    assert [str(each) for each in violations(closed, {"b": 1, "a": 2})] == [
        "/a is not known here",
        "/b is not known here",
    ]
    [problem] = input_problems({"properties": {"x": closed}}, {"x": {"a": 1}}, path="/input")
    assert (problem.code, problem.path) == ("INPUT_ADDITIONALPROPERTIES", "/input/x/a")
    named: JSON = {"properties": {"additionalProperties": False}}
    assert [str(each) for each in violations(named, {"additionalProperties": {"a": 1}})] == [
        "/additionalProperties is not allowed here"
    ]


def test_violations_of_an_embedded_schema_say_what_is_wanted() -> None:
    inner = {"$id": "b", "type": ["string", "null"], "maxLength": 2}
    schema = {"$id": "https://x.example/a", "$ref": "b", "$defs": {"b": inner}}
    assert [str(each) for each in violations(schema, 1)] == ["/ must be null or text"]
    assert [str(each) for each in violations(schema, "abc")] == ["/ must have 2 characters or less"]


def test_true_takes_all_and_false_nothing() -> None:
    assert violations(True, 1) == []  # noqa: FBT003
    [violation] = violations(False, 1)  # noqa: FBT003
    assert violation.message == "is not allowed here"


def test_violations_are_bounded() -> None:
    assert len(violations({"items": {"type": "string"}}, list(range(1000)))) == MAX_VIOLATIONS


FORM: JSON = {
    "type": "object",
    "required": ["a", "b"],
    "additionalProperties": False,
    "properties": {
        "a": {"type": "string", "minLength": 3, "description": "The name", "examples": ["Ada"]},
        "b": {"type": "array", "items": {"enum": ["x", "y"]}},
        "a/b": {"type": "integer"},
    },
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": "abc", "b": ["x"]}, []),
        ({"a": "abc"}, [("INPUT_REQUIRED", "/input/b")]),
        ({}, [("INPUT_REQUIRED", "/input/a"), ("INPUT_REQUIRED", "/input/b")]),
        ({"a": "secret", "b": ["secret"]}, [("INPUT_ENUM", "/input/b/0")]),
        ({"a": "ab", "b": []}, [("INPUT_MINLENGTH", "/input/a")]),
        ({"a": "abc", "b": [], "c": "secret"}, [("INPUT_ADDITIONALPROPERTIES", "/input/c")]),
        ({"a": "abc", "b": [], "a/b": "secret"}, [("INPUT_TYPE", "/input/a~1b")]),
        ("secret", [("INPUT_TYPE", "/input")]),
    ],
)
def test_problems_of_an_input_are_located(value: JSON, expected: list[tuple[str, str]]) -> None:
    problems = input_problems(FORM, value, path="/input")
    assert [(each.code, each.path) for each in problems] == expected
    assert "secret" not in "".join(each.message for each in problems)


def test_an_example_is_written_as_json() -> None:
    schema = {"type": "object", "examples": [{"a": "Ada", "b": None}, "text"]}
    [problem] = input_problems(schema, [], path="/input")
    assert problem.help == 'such as {"a":"Ada","b":null}, text'


def test_the_description_helps() -> None:
    [problem] = input_problems(FORM, {"a": 1, "b": []}, path="/input")
    assert problem.help == "The name; such as Ada"
    [problem] = input_problems(FORM, {"b": []}, path="/input")
    assert problem.help == "The name; such as Ada"


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "INPUT_DEPENDENTREQUIRED /b is missing"),
        (
            {"contains": {"const": 1}, "minContains": 2},
            [1],
            "INPUT_MINCONTAINS / must have 2 or more items that match `contains` of its schema",
        ),
        (
            {"contains": {"const": 1}},
            [2],
            "INPUT_CONTAINS / does not match `contains`",
        ),
        (
            {"propertyNames": {"pattern": "^a"}},
            {"b": 1},
            "INPUT_PROPERTYNAMES /b is not a name that is allowed here",
        ),
        ({"prefixItems": [{}], "items": False}, [1, 2], "INPUT_FALSE /1 is not allowed here"),
        ({"properties": {"a": False}}, {"a": 1}, "INPUT_FALSE /a is not allowed here"),
        (
            {"properties": {"a": {}}, "unevaluatedProperties": False},
            {"b": 1, "a": 1},
            "INPUT_UNEVALUATEDPROPERTIES /b is not known here",
        ),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 1, "INPUT_TYPE / must be text or null"),
        (
            {"oneOf": [{"type": "integer"}, {"minimum": 1}]},
            3,
            "INPUT_ONEOF / matches several of the alternatives of its schema, and may match one",
        ),
        ({"maximum": 2**70}, 2**70 + 1, f"INPUT_MAXIMUM / must be {2**70} or less"),
        (
            {"items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"minimum": 2}}},
            [1],
            "INPUT_MINIMUM /0 ",
        ),
        (7, 1, "INPUT_SCHEMA / its schema is not a JSON Schema"),
        ({"type": "text"}, 1, "INPUT_SCHEMA / its schema is not a JSON Schema"),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#"},
            1,
            "INPUT_SCHEMA / its schema is not of the dialect",
        ),
    ],
)
def test_each_keyword_has_its_code_and_words(schema: JSON, value: JSON, expected: str) -> None:
    [violation] = violations(schema, value)
    assert f"{violation.problem.code} {violation}".startswith(expected)


def test_violations_are_in_the_order_of_the_value() -> None:
    schema: JSON = {"items": {"properties": {"a": {"const": 1}, "b": False}, "required": ["c"]}}
    found = violations(schema, [{"a": 2, "b": 1} for _ in range(11)])
    assert [each.path for each in found][:4] == ["/0/a", "/0/b", "/0/c", "/1/a"]
    assert found[-1].path == "/10/c"


def test_an_unknown_key_may_mean_a_known_one() -> None:
    schema: Any = {"properties": {"customer": {}, "total": {}}, "additionalProperties": False}
    [found] = violations(schema, {"custmer": 1, "total": 2})
    assert str(found) == "/custmer is not known here, did you mean `customer`?"
    assert found.problem.message == "`custmer` is not known here"
    assert found.problem.help == "did you mean `customer`? known here: customer, total"
    [found] = violations(schema, {"colour": 1, "customer": 2})
    assert str(found) == "/colour is not known here"
    assert found.problem.help == "known here: customer, total"
