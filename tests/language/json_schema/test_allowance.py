"""The validations of one document share an allowance, and what is too large is refused first."""

from __future__ import annotations

import pytest

from coe.errors import Problem
from coe.language.json_schema.caps import MAX_PATTERN_LENGTH, MAX_PATTERNS, excess
from coe.language.json_schema.effort import Allowance
from coe.language.json_schema.validator import CannotValidate, errors
from coe.language.lint import lint
from coe.language.lint.data import MAX_EXAMPLES
from coe.language.load import load
from tests.language.hostile import EXPENSIVE_SCHEMA


def problems(schema: str) -> tuple[Problem, ...]:
    head = "document: {dsl: '1.0.3', namespace: a, name: b, version: '1.0.0'}\n"
    body = "".join(f"      {line}\n" for line in schema.splitlines())
    tail = "do: [{a: {set: {b: 1}}}]\n"
    definition = load(f"{head}input:\n  schema:\n    document:\n{body}{tail}").definition
    assert definition is not None
    return lint(definition)


def of_caps(schema: str) -> list[tuple[str | None, int | None]]:
    return [(each.path, each.line) for each in problems(schema) if each.code == "OWS064"]


def test_examples_that_are_expensive_together_are_refused_at_the_first_that_is_too_much() -> None:
    assert of_caps(EXPENSIVE_SCHEMA) == [("/input/schema/document/examples/3", 17)]


def test_more_examples_than_are_checked() -> None:
    many = "examples:\n" + "- 1\n" * MAX_EXAMPLES
    assert of_caps(many) == []
    place = f"/input/schema/document/examples/{MAX_EXAMPLES}"
    assert of_caps(many + "- 1\n") == [(place, 6 + MAX_EXAMPLES)]


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"pattern": "a" * (MAX_PATTERN_LENGTH + 1)}, "/pattern"),
        ({"patternProperties": {"(/~" + "a" * 1000: {}}}, "/patternProperties/(~1~0" + "a" * 1000),
        ({"anyOf": [{"pattern": "a"}] * (MAX_PATTERNS + 1)}, f"/anyOf/{MAX_PATTERNS}/pattern"),
        ({"anyOf": [{"pattern": "(a{900}){9}"}] * 9}, "/anyOf/6/pattern"),
    ],
    ids=["long", "long key", "many", "large together"],
)
def test_patterns_that_are_too_much(schema: dict[str, object], path: str) -> None:
    assert [fault.path for fault in excess(schema)] == [path]


def test_texts_that_are_data_are_no_patterns() -> None:
    long = {"pattern": "a" * 2000}
    assert list(excess({"examples": [long], "const": long, "enum": [long], "default": long})) == []


def test_a_spent_allowance_refuses_everything_at_once() -> None:
    allowance = Allowance(1000)
    assert errors({"type": "string"}, "a", allowance) == []
    assert not allowance.is_spent
    with pytest.raises(CannotValidate, match="too much work"):
        errors({"pattern": "(a|b){9}c"}, "a" * 1000, allowance)
    with pytest.raises(CannotValidate, match="too much work"):
        errors({"type": "string"}, "a", allowance)
