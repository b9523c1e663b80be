from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coe.formats import durations
from coe.language.durations import parse
from coe.sdk.local_run import HEARTBEAT_SECONDS, _seconds


@given(st.timedeltas(min_value=timedelta(0), max_value=durations.MAX_DURATION))
def test_what_is_written_is_read_back(length: timedelta) -> None:
    assert durations.read(durations.write(length)) == length


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("PT0.1S", timedelta(milliseconds=100)),
        ("PT0.000001S", timedelta(microseconds=1)),
        ("PT0.1234567891S", timedelta(microseconds=123_457)),
        ("P0.5D", timedelta(hours=12)),
        ("P1W2DT3H4M5.5S", timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5.5)),
    ],
)
def test_fractions_are_exact(text: str, length: timedelta) -> None:
    assert durations.read(text) == length


@pytest.mark.parametrize("text", ["P" + "9" * 300 + "D", "P400000D", "PT\u0661S", "pt1s", "PT1,5S"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(durations.DurationError):
        durations.read(text)


def test_the_language_and_a_worker_read_the_same_text() -> None:
    assert parse("P1DT0.25S").timedelta == durations.read("P1DT0.25S")
    assert _seconds("P1DT0.25S") == 86_400.25
    assert _seconds("PT0S") == _seconds("soon") == HEARTBEAT_SECONDS
