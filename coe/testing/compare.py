"""Compares expected and actual values: differences, member by member."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from coe.json_types import JSON
from coe.language.durations import iso, parse
from coe.machine.scope import json_equal

# Characters of a value in a message.
_MAX_VALUE_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference; `path` is the JSON pointer of the expectation in the test."""

    message: str
    path: str = "/expect"

    def __str__(self) -> str:
        """The message."""
        return self.message


def iso_duration(span: timedelta) -> str:
    """Format a duration in ISO 8601."""
    return iso(round(span.total_seconds() * 1000))


def brief_json(value: JSON) -> str:
    """A value for a message, on one line, shortened if it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_VALUE_LENGTH else text[: _MAX_VALUE_LENGTH - 1] + "…"


def value_differences(wanted: JSON, found: JSON, name: str, place: str) -> Iterator[Difference]:
    """The differences between two values, member by member."""
    if json_equal(wanted, found):
        return
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in {**wanted, **found}:
            inner = f"{name}.{key}"
            if key not in wanted:
                yield Difference(f"{inner}: not expected, found {brief_json(found[key])}", place)
            elif key not in found:
                yield Difference(f"{inner}: expected {brief_json(wanted[key])}, is missing", place)
            else:
                yield from value_differences(wanted[key], found[key], inner, place)
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from value_differences(one, other, f"{name}[{index}]", place)
    else:
        yield Difference(f"{name}: expected {brief_json(wanted)}, found {brief_json(found)}", place)


def member_differences(wanted: JSON, found: JSON, name: str, place: str) -> Iterator[Difference]:
    """The differences in the expected members; other members may be anything."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            yield from member_differences(value, found.get(key), f"{name}.{key}", place)
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from member_differences(one, other, f"{name}[{index}]", place)
    elif not json_equal(wanted, found):
        yield Difference(f"{name}: expected {brief_json(wanted)}, found {brief_json(found)}", place)


def duration_differences(wanted: JSON, found: JSON, name: str, place: str) -> Iterator[Difference]:
    """The difference between two durations in any notation."""
    if normal_duration(wanted) != found:
        yield Difference(f"{name}: expected {brief_json(wanted)}, found {found}", place)


def normalised(wanted: JSON) -> JSON:
    """An expectation with `at`, `due` and `took` in normal form."""
    if isinstance(wanted, list):
        return [normalised(each) for each in wanted]
    if not isinstance(wanted, dict):
        return wanted
    times: dict[str, JSON] = {
        key: normal_duration(wanted[key]) for key in ("at", "due", "took") if key in wanted
    }
    return wanted | times


def normal_duration(value: JSON) -> JSON:
    """A duration in the form in which durations are compared."""
    return iso_duration(parse(value).timedelta)
