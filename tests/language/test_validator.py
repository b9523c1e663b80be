"""Schemas and values that would occupy a process for hours, were validation not bounded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from coe.language.json_schema.meta import faults
from coe.language.json_schema.validator import (
    TooMuchWork,
    errors_of,
    is_pattern,
    matches,
    validator_of,
)
from coe.language.json_schema.violations import violations

ENDLESS = "^(a+)+$"
TEXT = "a" * 5000 + "!"


def found(schema: Any, value: Any) -> list[str]:
    """The keywords that a value violates."""
    validator = validator_of(schema, FormatChecker(formats=()))
    return [str(error.validator) for error in errors_of(validator, value)]


def doubling(levels: int) -> dict[str, Any]:
    """A schema of a few lines that the library applies 2^levels times."""
    steps = {
        f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**steps, f"d{levels}": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": ENDLESS}, TEXT),
        ({"propertyNames": {"pattern": ENDLESS}}, {TEXT: 1}),
        ({"patternProperties": {ENDLESS: False}, "additionalProperties": False}, {TEXT: 1}),
    ],
)
def test_no_pattern_goes_on_for_ever(schema: Any, value: Any) -> None:
    assert found(schema, value)
    assert violations(schema, value)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (doubling(40), "x"),
        ({"$ref": "#"}, 1),
        ({"items": {"anyOf": [{"const": n} for n in range(5000)]}}, [-1] * 5000),
        ({"anyOf": [{"type": "string"}] * 5000}, ["x" * 1000] * 1000),
        ({"unevaluatedProperties": False, "patternProperties": {ENDLESS: True}}, {TEXT: 1}),
    ],
)
def test_what_asks_for_too_much_work_is_refused(schema: Any, value: Any) -> None:
    with pytest.raises(TooMuchWork):
        found(schema, value)
    [violation] = violations(schema, value)
    assert "too much work" in violation.message


def test_many_items_are_compared_quickly() -> None:
    items: list[Any] = [{"n": [n]} for n in range(20_000)]
    assert found({"uniqueItems": True}, items) == []
    assert found({"uniqueItems": True}, [*items, {"n": [1.0]}]) == ["uniqueItems"]
    assert found({"uniqueItems": True}, [1, True, "1", None, 0, False]) == []


def test_a_pattern_is_one_that_the_engine_takes() -> None:
    assert matches("b+", "abc")
    assert not matches("^b", "abc")
    for refused in ("(?=a)", r"(a)\1", "[", "(a{1000}){1000}"):
        assert not is_pattern(refused)
        [fault] = faults({"pattern": refused})
        assert "regular expression" in fault.message
        assert list(faults({"patternProperties": {refused: True}}))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0]) | st.text("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=8,
)
SCHEMAS = st.fixed_dictionaries(
    {},
    optional={
        "pattern": st.sampled_from(["a", "^b", "a$", "[ab]{2}"]),
        "uniqueItems": st.booleans(),
        "properties": st.just({"a": {"type": "integer"}}),
        "patternProperties": st.just({"^a": {"minimum": 0}, "b": {"type": "string"}}),
        "additionalProperties": st.sampled_from([False, True, {"type": "null"}]),
        "items": st.sampled_from([{"type": "string"}, {"uniqueItems": True}]),
    },
)


@settings(max_examples=300, deadline=None)
@given(SCHEMAS, VALUES)
def test_the_verdict_is_the_library_s(schema: Any, value: Any) -> None:
    expected = sorted(
        (str(error.validator), list(map(str, error.absolute_path)))
        for error in Draft202012Validator(schema).iter_errors(value)
    )
    validator = validator_of(schema, FormatChecker(formats=()))
    told = sorted(
        (str(error.validator), list(map(str, error.absolute_path)))
        for error in errors_of(validator, value)
    )
    assert told == expected
