"""The types of values in decision tables: how they are read, compared exactly and written.

A value of a case is JSON; for comparison it becomes a key: a text, a boolean or an exact number.
Numbers are decimals, never binary floats: `0.1` is one tenth, and money may be the text "12.50".
Dates become days, times microseconds, durations milliseconds, all whole numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from enum import StrEnum
from typing import Final, TypeAlias

from coe.json_types import JSON
from coe.language.durations import MAX_MILLISECONDS, DurationError, iso, parse

Key: TypeAlias = str | bool | int | Decimal
"""Two values of one type are compared by their keys."""

EXACT: Final = Context(prec=400)
"""Arithmetic that never rounds: numbers have at most 60 digits on each side of the point."""

_DIGITS: Final = 60
_LARGEST: Final = 10**_DIGITS
# From here on JSON numbers are not exact everywhere, jq among others.
_SAFE: Final = 2**53
_DECIMAL: Final = re.compile(r"-?\d{1,60}(\.\d{1,60})?", re.ASCII)
_INTEGER: Final = re.compile(r"-?\d{1,60}", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
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
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise WrongValue
    return date.fromisoformat(value).toordinal()


def _moment(value: JSON) -> int:
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise WrongValue
    moment = datetime.fromisoformat(value.upper())
    # By its parts: the same instant in UTC may lie outside of the years that a datetime can hold.
    offset = moment.utcoffset() or timedelta()
    return (moment.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND - offset // _MICROSECOND


def _length(value: JSON) -> int:
    if not isinstance(value, str):
        raise WrongValue
    try:
        milliseconds = parse(value).milliseconds
    except DurationError:
        raise WrongValue from None
    if milliseconds is None:
        raise WrongValue
    return milliseconds


# ---------------------------------------------------------------- writing
def _quoted(key: Key) -> str:
    escaped = str(key).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _plain(key: Key) -> str:
    return format(key, "f") if isinstance(key, Decimal) else str(key)


def _exact(key: Key) -> JSON:
    whole = int(key)
    return whole if whole == key and abs(whole) < _SAFE else _plain(key)


def _date_text(key: Key) -> str:
    return date.fromordinal(int(key)).isoformat()


def _moment_text(key: Key) -> str:
    moment = _EPOCH + int(key) * _MICROSECOND
    return moment.replace(tzinfo=None).isoformat() + "Z"


def _length_text(key: Key) -> str:
    return iso(int(key))


_FIRST: Final = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST: Final = (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC) - _EPOCH) // _MICROSECOND

KINDS: Final[dict[ValueType, Kind]] = {
    ValueType.STRING: Kind("text", _text, _quoted, str, ordered=False),
    ValueType.BOOLEAN: Kind(
        "true or false", _boolean, lambda key: str(key).lower(), bool, ordered=False
    ),
    ValueType.INTEGER: Kind("a whole number, or one as text", _integer, _plain, _exact, step=1),
    ValueType.NUMBER: Kind('a number, or one as text such as "12.50"', _number, _plain, _exact),
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
        low=_FIRST,
        high=_LAST,
    ),
    ValueType.DURATION: Kind(
        "a duration such as PT8H or P2D, without months and years",
        _length,
        _length_text,
        _length_text,
        step=1,
        low=0,
        high=MAX_MILLISECONDS,
    ),
}
