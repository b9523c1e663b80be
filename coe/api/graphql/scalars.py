"""The scalars of the contract: DateTime, Duration and JSON."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NewType

from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition, scalar

from coe.formats import durations, instants
from coe.json_types import JSON

Json = NewType("Json", object)
"""A value of JSON in the schema; `coe.json_types.JSON` in Python."""

DateTime = NewType("DateTime", datetime)
IsoDuration = NewType("IsoDuration", timedelta)


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
    Json: scalar(
        name="JSON",
        description="Any value of JSON",
        serialize=_unchanged,
        parse_value=_unchanged,
    ),
}
