"""The scalars of the contract: DateTime, Duration, JSON and Long."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NewType

from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition, scalar

from coe.formats import durations, instants
from coe.json_types import JSON

Json = NewType("Json", object)
"""A value of JSON in the schema; `coe.json_types.JSON` in Python."""

DateTime = NewType("DateTime", datetime)
IsoDuration = NewType("IsoDuration", timedelta)
Long = NewType("Long", int)
MAX_LONG: Final = 2**53 - 1
"""The greatest whole number that every reader of JSON keeps exactly."""


def _parse_moment(value: object) -> datetime:
    try:
        return instants.read(value if isinstance(value, str) else "")
    except ValueError:
        raise GraphQLError(f"DateTime must be {instants.WANTED}") from None


def _print_moment(value: object) -> str:
    if not isinstance(value, datetime):
        raise GraphQLError("DateTime is a point in time")
    return instants.write(value)


def _parse_length(value: object) -> timedelta:
    if not isinstance(value, str):
        raise GraphQLError("Duration is a string of ISO 8601, such as P2DT4H")
    try:
        return durations.read(value)
    except durations.DurationError as error:
        raise GraphQLError(f"Duration: {error}") from None


def _print_length(value: object) -> str:
    if not isinstance(value, timedelta):
        raise GraphQLError("Duration is a length of time")
    return durations.write(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_LONG:
        raise GraphQLError(f"Long is a whole number, at most {MAX_LONG}")
    return value


def _unchanged(value: JSON) -> JSON:
    return value


SCALARS: dict[object, ScalarDefinition] = {
    DateTime: scalar(
        name="DateTime",
        description="RFC 3339 date and time with its zone; answers are in UTC",
        serialize=_print_moment,
        parse_value=_parse_moment,
    ),
    IsoDuration: scalar(
        name="Duration",
        description="ISO 8601 duration, such as P2DT4H",
        serialize=_print_length,
        parse_value=_parse_length,
    ),
    Long: scalar(
        name="Long",
        description="A whole number up to 2^53 - 1, such as a size of the log",
        serialize=_whole,
        parse_value=_whole,
    ),
    Json: scalar(
        name="JSON",
        description="Any value of JSON",
        serialize=_unchanged,
        parse_value=_unchanged,
    ),
}
