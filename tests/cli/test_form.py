"""The values of a form: from a file, by `--set`, or asked one by one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from coe.cli.form import ask, describe, read_values
from coe.cli.input_files import parse_json_input
from coe.errors import CoeError

SCHEMA: Any = {
    "type": "object",
    "required": ["limit", "name"],
    "properties": {
        "limit": {"type": "number", "minimum": 1, "title": "Credit limit"},
        "name": {"type": "string"},
        "kind": {"enum": ["goods", "services"], "default": "goods"},
        "urgent": {"type": "boolean"},
        "lines": {"type": "array", "items": {"type": "integer"}},
        "address": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def test_a_text_stays_text_where_the_schema_takes_text() -> None:
    given = ("limit=5000", "name=007", "urgent=yes", "lines=[1, 2]", "address.city=42", "more=x")
    assert read_values(SCHEMA, file=None, pairs=given) == {
        "limit": 5000,
        "name": "007",
        "urgent": True,
        "lines": [1, 2],
        "address": {"city": "42"},
        "more": "x",
    }


def test_pairs_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    file.write_text('{"limit": 1, "name": "x"}')
    found = read_values(SCHEMA, file=str(file), pairs=("limit=2",))
    assert found == {"limit": 2, "name": "x"}


@pytest.mark.parametrize("pair", ["limit", "=1", "name.x=1"])
def test_a_pair_of_another_form_is_wrong_usage(pair: str) -> None:
    with pytest.raises(click.UsageError):
        read_values(SCHEMA, file=None, pairs=("name=a", pair))


def test_a_value_that_cannot_be_read_is_named() -> None:
    with pytest.raises(CoeError, match="--set limit"):
        read_values(SCHEMA, file=None, pairs=("limit=much",))


@pytest.mark.parametrize(
    ("pair", "takes"),
    [("limit=much", "takes a number, not 'much'"), ("urgent=maybe", "takes yes or no, not")],
)
def test_a_value_of_another_kind_says_what_is_taken(pair: str, takes: str) -> None:
    with pytest.raises(CoeError, match=takes):
        read_values(SCHEMA, file=None, pairs=(pair,))


def test_a_number_that_would_be_rounded_says_so() -> None:
    with pytest.raises(CoeError, match="rounded"):
        read_values(SCHEMA, file=None, pairs=(f"limit={'9' * 30}",))


def _asked(answers: str) -> tuple[dict[str, Any], str]:
    found: dict[str, Any] = {}

    @click.command()
    def command() -> None:
        found.update(ask(SCHEMA))

    done = CliRunner().invoke(command, input=answers)
    assert done.exit_code == 0, done.output
    return found, done.stderr


def test_each_field_is_asked_and_what_is_left_empty_is_left_out() -> None:
    found, shown = _asked("5000\nWilhelmina\n\n\n\n\n")
    assert found == {"limit": 5000, "name": "Wilhelmina", "kind": "goods"}
    assert "Credit limit (number)" in shown
    assert "kind (goods | services, optional) [goods]" in shown


def test_a_wrong_answer_is_explained_and_asked_again() -> None:
    found, shown = _asked("much\n0\n7\nx\nfood\nservices\nno\n[1]\n\n")
    assert found["limit"] == 7
    assert (found["kind"], found["urgent"], found["lines"]) == ("services", False, [1])
    assert "takes a number, not 'much'" in shown
    assert shown.count("Credit limit (number)") == 3
    assert shown.count("kind (goods") == 2


def test_nothing_is_asked_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert read_values(SCHEMA, file=None, pairs=(), asking="x") == {}


def test_a_form_is_described() -> None:
    rows = {row["field"]: row["takes"] for row in describe(SCHEMA)}
    assert rows["limit"] == "number"
    assert rows["kind?"] == "goods | services"
    assert rows["lines?"] == "array, as JSON"


@pytest.mark.parametrize(
    ("text", "key"), [('{"a": 1, "a": 2}', "a"), ('{"x": [{"b": 1, "b": 1}]}', "b")]
)
def test_a_key_that_stands_twice_is_refused(text: str, key: str) -> None:
    with pytest.raises(CoeError, match=f'in.json cannot be read. The key "{key}" stands twice'):
        parse_json_input(text, "in.json")
    assert parse_json_input('[{"a": 1}, {"a": 2}]', "in.json") == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("depth", [1010, 5000])
def test_json_that_is_nested_too_deep_is_refused(depth: int) -> None:
    with pytest.raises(CoeError, match=r"cannot be read\. It is nested too deep"):
        parse_json_input("[" * depth + "]" * depth, "in.json")
