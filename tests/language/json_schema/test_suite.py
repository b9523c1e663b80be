"""The JSON Schema Test Suite: what it says of formats, patterns, numbers and texts holds here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coe.formats import instants, uuids
from coe.language.json_schema.validator import FORMATS
from coe.language.json_schema.violations import violations

SUITE = Path(__file__).parent / "suite"


def cases() -> list[Any]:
    found = []
    for file in sorted(SUITE.rglob("*.json")):
        for group in json.loads(file.read_text()):
            name = f"{file.stem}: {group['description']}"
            found.append(pytest.param(group["schema"], group["tests"], id=name))
    return found


@pytest.mark.parametrize(("schema", "tests"), cases())
def test_the_suite_holds(schema: Any, tests: list[dict[str, Any]]) -> None:
    for test in tests:
        found = violations(schema, test["data"])
        assert (not found) == test["valid"], (test["description"], test["data"], found)


def test_each_format_has_cases() -> None:
    stems = {file.stem for file in (SUITE / "optional/format").iterdir()}
    assert stems - {"unknown", "ecmascript-regex"} == FORMATS


@pytest.mark.parametrize(("name", "read"), [("date-time", instants.read), ("uuid", uuids.read)])
def test_our_readers_take_what_the_schema_takes(name: str, read: Any) -> None:
    """A text that passes the schema of an input must be read by a table or a filter after it."""
    [group] = json.loads((SUITE / f"optional/format/{name}.json").read_text())
    for test in group["tests"]:
        if isinstance(test["data"], str):
            assert _is_read(read, test["data"]) == test["valid"], test["description"]


def test_dates_are_read_as_the_schema_takes_them() -> None:
    [group] = json.loads((SUITE / "optional/format/date.json").read_text())
    for test in group["tests"]:
        if isinstance(test["data"], str):
            assert _is_read(instants.read_date, test["data"]) == test["valid"], test["description"]


def _is_read(read: Any, text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True
