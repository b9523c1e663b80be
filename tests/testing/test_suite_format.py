"""The format of tests.yaml: all problems are reported with their positions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, meta

from coe import content
from coe.language.source import read
from coe.testing.suite_format import SUITE_SCHEMA_FILE, read_suite, suite_schema

ROOT = content.root()
SUITES = sorted((*ROOT.glob("templates/*/tests.yaml"), *ROOT.glob("flows/central/*/tests.yaml")))
VALIDATOR = Draft202012Validator(suite_schema())
WRONG = [
    ("tests: []", ["1:1 the list of tests is empty"]),
    ("test: []", ["1:1 unknown key `test`, did you mean `tests`?"]),
    ("tests:\n  - {name: a}", ["2:5 the key `expect` is missing"]),
    (
        "tests:\n  - {nam: a, expect: {}}",
        ["2:6 unknown key `nam`, did you mean `name`?"],
    ),
    (
        "tests:\n  - name: a\n    stubs: {x: {oputput: 1}, y: [{fualt: 503}]}\n    expect: {}",
        [
            "3:17 unknown key `oputput`, did you mean `output`?",
            "3:35 unknown key `fualt`, did you mean `fault`?",
        ],
    ),
    (
        "tests:\n  - name: a\n    stubs: {x: {fault: timout}}\n    expect: {}",
        ["3:24 `timout` is not a standard error, did you mean `timeout`?"],
    ),
    (
        "tests:\n  - name: a\n    stubs: {x: {output: 1, fault: 500}}\n    expect: {}",
        ["3:16 an answer is one thing, not `fault` and `output`"],
    ),
    (
        "tests:\n  - name: a\n    stubs: {x: {silent: true, outcome: yes}}\n    expect: {}",
        ["3:16 an answer is one thing, not `outcome` and `silent`"],
    ),
    (
        "tests:\n  - name: a\n    stubs: {x: {after: soon}}\n    expect: {}",
        ["3:24 `soon` is not an ISO 8601 duration such as PT30S or P2DT4H"],
    ),
    (
        "tests:\n  - name: a\n    stubs: {x: {after: '${ .x }'}}\n    expect: {}",
        ["3:24 `after` must be a duration, not an expression"],
    ),
    (
        "tests:\n  - name: a\n    now: 2026-01-05T09:00:00\n    expect: {}",
        ["3:10 `now` must be a time of RFC 3339 with its zone, such as 2026-01-31T09:00:00Z"],
    ),
    (
        "tests:\n  - name: a\n    expect: {sate: DONE, state: DONE, path: [a, {atonce: []}]}",
        [
            "3:14 unknown key `sate`, did you mean `state`?",
            "3:33 `state` must be one of 'COMPLETED', 'FAULTED', 'CANCELLED' or 'WAITING'",
            "3:50 unknown key `atonce`, did you mean `atOnce`?",
        ],
    ),
    ("tests: [", ["1:9 not YAML: expected the node content, but found '<stream end>'"]),
]


@pytest.mark.parametrize(("text", "expected"), WRONG)
def test_each_problem_is_located(text: str, expected: list[str]) -> None:
    written, problems = read_suite(text)
    assert written is None
    assert [f"{each.line}:{each.column} {each.message}" for each in problems] == expected


def test_defaults_apply_to_what_a_test_omits() -> None:
    written, problems = read_suite(
        """
        defaults:
          input: {a: 1, b: 2}
          stubs: {x: {output: 1}, y: {output: 2}}
          events: [{type: a.b}]
        tests:
          - {name: one, expect: {}}
          - {name: two, input: {a: 3}, stubs: {y: {fault: 500}}, events: [], expect: {}}
        """,
    )
    assert problems == ()
    assert written is not None
    one, two = written.tests
    assert one["stubs"] == {"x": {"output": 1}, "y": {"output": 2}}
    assert one["events"] == [{"type": "a.b"}]
    assert two["input"] == {"a": 3}
    assert two["stubs"] == {"x": {"output": 1}, "y": {"fault": 500}}
    assert two["events"] == []


def test_the_shipped_schema_is_generated_from_the_models() -> None:
    # Regenerate: python -c "from coe.testing.suite_format import write_schema; write_schema()"
    assert json.loads(SUITE_SCHEMA_FILE.read_text()) == suite_schema()
    meta.validate(suite_schema())


@pytest.mark.parametrize(
    "text", [text for text, found in WRONG if "unknown" in found[0] or "missing" in found[0]]
)
def test_the_schema_refuses_misspelt_and_missing_keys(text: str) -> None:
    assert not VALIDATOR.is_valid(read(text).data)


@pytest.mark.parametrize("file", SUITES, ids=lambda file: file.parent.name)
def test_the_schema_accepts_the_shipped_suites(file: Any) -> None:
    errors = [error.message for error in VALIDATOR.iter_errors(read(file.read_text()).data)]
    assert errors == []


def test_every_part_of_the_schema_has_a_description() -> None:
    undescribed = [
        name for name, part in suite_schema()["$defs"].items() if "description" not in str(part)
    ]
    assert undescribed == []
