"""The scalars of the contract: DateTime, Duration and JSON."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NewType

from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition, scalar

from coe.json_types import JSON

Json = NewType("Json", object)
"""A value of JSON in the schema; `coe.json_types.JSON` in Python."""

DateTime = NewType("DateTime", datetime)
IsoDuration = NewType("IsoDuration", timedelta)

_DURATION = re.compile(
    r"P(?!$)(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?",
)


def parse_duration(text: str) -> timedelta:
    """Read an ISO 8601 duration in weeks, days, hours, minutes and seconds.

    Months and years have no fixed length and are refused, as in the process language.

    Raises:
        ValueError: The text is not such a duration, or too long for a `timedelta`.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("expected an ISO 8601 duration such as P2DT4H, without months or years")
    parts = {unit: float(amount) for unit, amount in found.groupdict().items() if amount}
    try:
        return timedelta(**parts)
    except OverflowError:
        raise ValueError("the duration is too long") from None


def print_duration(length: timedelta) -> str:
    """Write an ISO 8601 duration in days, hours, minutes and seconds."""
    seconds = length.total_seconds()
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    date = f"{int(days)}D" if days else ""
    second = f"{rest:.6f}".rstrip("0").rstrip(".")
    clock = "".join(
        f"{amount}{unit}"
        for amount, unit in ((int(hours), "H"), (int(minutes), "M"), (second, "S"))
        if amount not in (0, "0")
    )
    if not date and not clock:
        return "PT0S"
    return f"{sign}P{date}{'T' + clock if clock else ''}"


def _parse_moment(value: object) -> datetime:
    if not isinstance(value, str):
        raise GraphQLError("DateTime is a string of ISO 8601, such as 2026-03-01T08:00:00Z")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise GraphQLError("DateTime is ISO 8601, such as 2026-03-01T08:00:00Z") from None
    if moment.tzinfo is None:
        raise GraphQLError("DateTime needs its time zone, such as 2026-03-01T08:00:00Z")
    return moment.astimezone(UTC)


def _print_moment(value: object) -> str:
    if not isinstance(value, datetime):
        raise GraphQLError("DateTime is a point in time")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parse_length(value: object) -> timedelta:
    if not isinstance(value, str):
        raise GraphQLError("Duration is a string of ISO 8601, such as P2DT4H")
    try:
        return parse_duration(value)
    except ValueError as error:
        raise GraphQLError(f"Duration: {error}") from None


def _print_length(value: object) -> str:
    if not isinstance(value, timedelta):
        raise GraphQLError("Duration is a length of time")
    return print_duration(value)


def _unchanged(value: JSON) -> JSON:
    return value


SCALARS: dict[object, ScalarDefinition] = {
    DateTime: scalar(
        name="DateTime",
        description="ISO 8601 date and time with its zone; answers are in UTC",
        serialize=_print_moment,
        parse_value=_parse_moment,
    ),
    IsoDuration: scalar(
        name="Duration",
        description="ISO 8601 duration, such as P2DT4H",
        serialize=_print_length,
        parse_value=_parse_length,
    ),
    Json: scalar(
        name="JSON",
        description="Any value of JSON",
        serialize=_unchanged,
        parse_value=_unchanged,
    ),
}
