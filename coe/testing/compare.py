"""Comparing what is expected with what was found: differences, member by member."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from coe.json_types import JSON
from coe.language.durations import iso, parse
from coe.machine.scope import json_equal

# Most characters of a value in a message.
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not as expected. `path` is the JSON pointer of the expectation in the test."""

    message: str
    path: str = "/expect"

    def __str__(self) -> str:
        """What a person reads."""
        return self.message


def length(span: timedelta) -> str:
    """A length of time in ISO 8601."""
    return iso(round(span.total_seconds() * 1000))


def shown(value: JSON) -> str:
    """A value in a message, in one line."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def equal(wanted: JSON, found: JSON, name: str, place: str) -> Iterator[Difference]:
    """Where two values differ, member by member."""
    if json_equal(wanted, found):
        return
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in {**wanted, **found}:
            inner = f"{name}.{key}"
            if key not in wanted:
                yield Difference(f"{inner}: not expected, found {shown(found[key])}", place)
            elif key not in found:
                yield Difference(f"{inner}: expected {shown(wanted[key])}, is not there", place)
            else:
                yield from equal(wanted[key], found[key], inner, place)
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from equal(one, other, f"{name}[{index}]", place)
    else:
        yield Difference(f"{name}: expected {shown(wanted)}, found {shown(found)}", place)


def within(wanted: JSON, found: JSON, name: str, place: str) -> Iterator[Difference]:
    """Differences in what is given; members that are not mentioned may be anything."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            yield from within(value, found.get(key), f"{name}.{key}", place)
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from within(one, other, f"{name}[{index}]", place)
    elif not json_equal(wanted, found):
        yield Difference(f"{name}: expected {shown(wanted)}, found {shown(found)}", place)


def same_time(wanted: JSON, found: JSON, name: str, place: str) -> Iterator[Difference]:
    """Whether two lengths of time are the same, however they are written."""
    if normal(wanted) != found:
        yield Difference(f"{name}: expected {shown(wanted)}, found {found}", place)


def timed(wanted: JSON) -> JSON:
    """An expectation whose times are in one form."""
    if isinstance(wanted, list):
        return [timed(each) for each in wanted]
    if not isinstance(wanted, dict):
        return wanted
    times: dict[str, JSON] = {
        key: normal(wanted[key]) for key in ("at", "due", "took") if key in wanted
    }
    return wanted | times


def normal(value: JSON) -> JSON:
    """A length of time in the one form in which they are compared."""
    return length(parse(value).timedelta)
