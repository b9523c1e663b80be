from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coe.formats.durations import MAX_DURATION, DurationError
from coe.language.durations import iso, parse


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        ("PT30S", 30_000),
        ("PT0S", 0),
        ("PT0.5S", 500),
        ("PT1.5M", 90_000),
        ("P2DT4H", 187_200_000),
        ("P1W", 604_800_000),
        ("P1DT1H1M1S", 90_061_000),
        ({"seconds": 30}, 30_000),
        ({"days": 1, "hours": 2, "minutes": 3, "seconds": 4, "milliseconds": 5}, 93_784_005),
        ({"milliseconds": 0}, 0),
    ],
)
def test_a_duration_has_its_length(value: object, milliseconds: int) -> None:
    duration = parse(value)
    assert duration.milliseconds == milliseconds
    assert duration.timedelta == timedelta(milliseconds=milliseconds)


@pytest.mark.parametrize(
    ("value", "calendar"),
    [
        ("P1M", True),
        ("P1Y", True),
        ("P1Y2D", True),
        ({"months": 1}, True),
        ({"years": 1, "days": 1}, True),
        ("30s", False),
        ("PT", False),
        ("P", False),
        ("PT1S ", False),
        ("P1DT", False),
        ("PT-1S", False),
        ("P3000000D", False),
        ("PT\uff11S", False),
        ({}, False),
        ({"seconds": 1.5}, False),
        ({"seconds": "1"}, False),
        ({"seconds": True}, False),
        ({"seconds": -1}, False),
        ({"second": 1}, False),
        (30, False),
        (None, False),
        ([], False),
    ],
)
def test_an_invalid_duration_is_explained(value: object, calendar: bool) -> None:  # noqa: FBT001
    with pytest.raises(DurationError) as caught:
        parse(value)
    assert caught.value.calendar is calendar


def test_an_expression_is_kept_for_the_run() -> None:
    duration = parse("${ .wait }")
    assert duration.expression == ".wait"
    assert str(duration) == "${ .wait }"
    with pytest.raises(ValueError, match="expression"):
        _ = duration.timedelta


@given(st.integers(0, MAX_DURATION // timedelta(milliseconds=1)))
def test_iso_text_is_read_back(milliseconds: int) -> None:
    assert parse(iso(milliseconds)).milliseconds == milliseconds
