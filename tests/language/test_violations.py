"""Values against JSON Schemas: located, and never quoting the value."""

from __future__ import annotations

import warnings

import pytest

from coe.json_types import JSON
from coe.language.json_schema.run_violations import check
from coe.runs.sealing import Sealer
from coe.runs.tables import RUNS
from coe.work import Platform

SCHEMA: JSON = {
    "type": "object",
    "required": ["a", "b"],
    "additionalProperties": False,
    "properties": {
        "a": {"type": "string", "minLength": 3, "description": "The name of the thing"},
        "b": {"type": "array", "items": {"enum": ["x", "y"]}},
        "a/b": {"type": "integer"},
    },
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": "abc", "b": ["x"]}, []),
        ({"a": "abc"}, [("INPUT_REQUIRED", "/input")]),
        ({"a": "secret", "b": ["secret"]}, [("INPUT_ENUM", "/input/b/0")]),
        ({"a": "ab", "b": []}, [("INPUT_MINLENGTH", "/input/a")]),
        ({"a": "abc", "b": [], "secret": 1}, [("INPUT_ADDITIONALPROPERTIES", "/input")]),
        ({"a": "abc", "b": [], "a/b": "secret"}, [("INPUT_TYPE", "/input/a~1b")]),
        ("secret", [("INPUT_TYPE", "/input")]),
    ],
)
def test_problems_are_located(value: JSON, expected: list[tuple[str, str]]) -> None:
    problems = check(SCHEMA, value, path="/input")
    assert [(each.code, each.path) for each in problems] == expected
    assert "secret" not in "".join(each.message for each in problems)


def test_the_description_helps() -> None:
    [problem] = check(SCHEMA, {"a": 1, "b": []}, path="/input")
    assert problem.help == "The name of the thing"


def test_at_most_fifty() -> None:
    assert len(check({"items": {"type": "null"}}, [1] * 200)) == 50


@pytest.mark.parametrize(
    ("schema", "value"),
    [({"pattern": "^(a+)+$"}, "a" * 5000 + "!"), ({"$ref": "#"}, 1), ({"pattern": "(?=a)"}, "a")],
)
def test_no_schema_keeps_a_process_for_ever(schema: JSON, value: JSON) -> None:
    assert check(schema, value, path="/input")


def test_no_schema_takes_everything_and_false_nothing() -> None:
    assert check(None, {"anything": 1}) == ()
    assert check(schema=True, value=1) == ()
    assert [each.code for each in check(schema=False, value=1)] == ["INPUT_FALSE"]


@pytest.mark.parametrize("ref", ["#/nowhere", "http://127.0.0.1:9/schema", "file:///etc/passwd"])
def test_a_schema_refers_to_nothing_outside_itself(ref: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [each.code for each in check({"$ref": ref}, 1)] == ["INPUT_SCHEMA"]


@pytest.mark.parametrize("value", [2**70, "half \ud800 a pair", {"deep": [2**64]}, None])
async def test_what_the_other_side_should_not_have_sent_is_sealed_too(
    platform: Platform, value: JSON
) -> None:
    sealer = Sealer(platform.keyring, "sales")
    sealed = await sealer.seal(RUNS, "1", "input", value)
    opened = await sealer.open(RUNS, "1", "input", sealed)
    if isinstance(value, str):
        assert opened == "half ? a pair"
    elif isinstance(value, int):
        assert opened == float(value)
    else:
        assert opened == value or opened == {"deep": [float(2**64)]}


def test_names_that_are_missing_are_told_once() -> None:
    found = check({"type": "object", "required": ["a", "b"]}, {})
    assert [each.message for each in found] == ["a, b must be given"]
