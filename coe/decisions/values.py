"""The types of values in decision tables: how they are read, compared exactly and written.

A value of a case is JSON; for comparison it becomes a key: a text, a boolean or an exact number.
Numbers are decimals, never binary floats: `0.1` is one tenth, and money may be the text "12.50".
Dates become days, times nanoseconds, durations microseconds, all whole numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Context, Decimal
from enum import StrEnum
from typing import Final, TypeAlias

from coe.formats import durations, instants
from coe.json_types import JSON

Key: TypeAlias = str | bool | int | Decimal
"""Two values of one type are compared by their keys."""

EXACT: Final = Context(prec=400)
"""Arithmetic that never rounds: numbers have at most 60 digits on each side of the point."""

SAFE: Final = 2**53
"""From here on JSON numbers are not exact everywhere, jq among others."""

_DIGITS: Final = 60
_LARGEST: Final = 10**_DIGITS
_DECIMAL: Final = re.compile(r"-?\d{1,60}(\.\d{1,60})?", re.ASCII)
_INTEGER: Final = re.compile(r"-?\d{1,60}", re.ASCII)
_MICROSECOND: Final = timedelta(microseconds=1)


class ValueType(StrEnum):
    """The types of inputs and outputs."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATE_TIME = "dateTime"
    DURATION = "duration"


@dataclass(frozen=True, slots=True)
class Kind:
    """How values of one type are read and written.

    `read` makes a key of JSON or raises ValueError; `text` writes a key as a condition does, `json`
    as JSON. `wanted` completes "must be …". `low` and `high` bound all values of the type; `step`
    is the least difference of two values, None where there is none.
    """

    wanted: str
    read: Callable[[JSON], Key]
    text: Callable[[Key], str]
    json: Callable[[Key], JSON]
    ordered: bool = True
    step: int | None = None
    low: int | None = None
    high: int | None = None


class WrongValue(ValueError):
    """A value is of another type; the message completes a sentence and does not quote the value."""


def key_of(kind: ValueType, value: JSON) -> Key:
    """The key of a JSON value.

    Raises:
        WrongValue: The value is not of the type.
    """
    try:
        return KINDS[kind].read(value)
    except (ValueError, OverflowError):
        raise WrongValue(f"must be {KINDS[kind].wanted}") from None


def text_of(kind: ValueType, key: Key) -> str:
    """Write a value as a condition does."""
    return KINDS[kind].text(key)


def json_of(kind: ValueType, key: Key) -> JSON:
    """Write a value as JSON."""
    return KINDS[kind].json(key)


# ---------------------------------------------------------------- reading
def _text(value: JSON) -> str:
    if not isinstance(value, str):
        raise WrongValue
    return value


def _boolean(value: JSON) -> bool:
    if not isinstance(value, bool):
        raise WrongValue
    return value


def _integer(value: JSON) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= _LARGEST:
        raise WrongValue
    return value


def _number(value: JSON) -> Decimal:
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongValue
    # `repr` gives the shortest text that reads as this float, which its author wrote.
    number = Decimal(value) if isinstance(value, int) else Decimal(repr(value))
    if not number.is_finite() or abs(number) >= _LARGEST or _decimals(number) > _DIGITS:
        raise WrongValue
    return number


def decimals_of(key: Key) -> int:
    """The number of digits after the point, without zeros at the end."""
    return _decimals(Decimal(key)) if isinstance(key, int | Decimal) else 0


def _decimals(number: Decimal) -> int:
    exponent = number.normalize(EXACT).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _date(value: JSON) -> int:
    return instants.read_date(_text(value)).toordinal()


def _moment(value: JSON) -> int:
    return instants.read_nanoseconds(_text(value))


def _length(value: JSON) -> int:
    return durations.read(_text(value)) // _MICROSECOND


# ---------------------------------------------------------------- writing
def _quoted(key: Key) -> str:
    escaped = str(key).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def json_text(key: Key) -> str:
    """A number as text, without an exponent."""
    return format(key, "f") if isinstance(key, Decimal) else str(key)


def _exact(key: Key) -> JSON:
    whole = int(key)
    return whole if whole == key and abs(whole) < SAFE else json_text(key)


def _date_text(key: Key) -> str:
    return str(date.fromordinal(int(key)))


def _moment_text(key: Key) -> str:
    return instants.write_nanoseconds(int(key))


def _length_text(key: Key) -> str:
    return durations.write(int(key) * _MICROSECOND)


KINDS: Final[dict[ValueType, Kind]] = {
    ValueType.STRING: Kind("text", _text, _quoted, str, ordered=False),
    ValueType.BOOLEAN: Kind(
        "true or false", _boolean, lambda key: str(key).lower(), bool, ordered=False
    ),
    ValueType.INTEGER: Kind("a whole number, or one as text", _integer, json_text, _exact, step=1),
    ValueType.NUMBER: Kind('a number, or one as text such as "12.50"', _number, json_text, _exact),
    ValueType.DATE: Kind(
        "a date such as 2026-01-31",
        _date,
        _date_text,
        _date_text,
        step=1,
        low=date.min.toordinal(),
        high=date.max.toordinal(),
    ),
    ValueType.DATE_TIME: Kind(
        "a time with its zone such as 2026-01-31T09:00:00Z",
        _moment,
        _moment_text,
        _moment_text,
        step=1,
        low=instants.read_nanoseconds("0001-01-01T00:00:00Z"),
        high=instants.read_nanoseconds("9999-12-31T23:59:59.999999999Z"),
    ),
    ValueType.DURATION: Kind(
        "a duration such as PT8H or P2D, without months and years",
        _length,
        _length_text,
        _length_text,
        step=1,
        low=0,
        high=durations.MAX_DURATION // _MICROSECOND,
    ),
}
