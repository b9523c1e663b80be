"""Scalars and ids: they are read as they were written, and invalid ones are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from graphql import GraphQLError
from hypothesis import given
from hypothesis import strategies as st

from coe.api.graphql.ids import split, to_global, to_uuid
from coe.api.graphql.scalars import SCALARS, DateTime
from coe.errors import NotFound
from coe.formats import durations


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=100_000)))
def test_a_duration_is_read_as_it_was_written(length: timedelta) -> None:
    assert abs(durations.read(durations.write(length)) - length) < timedelta(microseconds=20)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("P2DT4H", timedelta(days=2, hours=4)),
        ("P1W", timedelta(weeks=1)),
        ("PT0.5S", timedelta(milliseconds=500)),
        ("PT90M", timedelta(minutes=90)),
    ],
)
def test_a_duration_is_read(text: str, length: timedelta) -> None:
    assert durations.read(text) == length


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1Y", "P1M", "1D", "P-1D", "P1DT", "P" + "9" * 20 + "D"]
)
def test_an_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|fixed length"):
        durations.read(text)


def test_an_empty_and_a_negative_duration_are_written() -> None:
    assert durations.write(timedelta(0)) == "PT0S"
    assert durations.write(timedelta(hours=-36)) == "-P1DT12H"


def test_a_moment_is_in_utc_and_needs_its_zone() -> None:
    scalar = SCALARS[DateTime]
    assert scalar.serialize is not None
    assert scalar.parse_value is not None
    local = datetime(2026, 3, 1, 10, tzinfo=timezone(timedelta(hours=2)))
    assert scalar.serialize(local) == "2026-03-01T08:00:00Z"
    assert scalar.parse_value("2026-03-01T10:00:00+02:00") == datetime(2026, 3, 1, 8, tzinfo=UTC)
    for wrong in ("2026-03-01T10:00:00", "yesterday", 5):
        with pytest.raises(GraphQLError):
            scalar.parse_value(wrong)


@given(st.uuids())
def test_an_id_is_read_as_it_was_written(key: UUID) -> None:
    text = to_global("Run", key)
    assert split(text) == ("Run", str(key))
    assert to_uuid("Run", text) == key
    assert to_uuid("Run", str(key)) == key
    with pytest.raises(NotFound):
        to_uuid("Flow", text)


@given(st.text(max_size=80))
def test_an_invalid_id_is_not_found(text: str) -> None:
    try:
        kind, key = split(text)
    except NotFound:
        return
    assert to_global(kind, key) == text.rstrip("=")
