from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coe.formats import instants
from coe.language.json_schema.validator import has_format

NEARLY = st.from_regex(
    r"\A(19|20)\d\d-[01]\d-[0-3]\d[Tt ][0-2]\d:[0-6]\d"
    r"(:[0-6]\d([.,]\d{1,12})?)?([Zz]|[+-][0-2]\d:?[0-6]\d)?\Z"
)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2026-03-01T08:00:00Z", 0),
        ("2026-03-01t08:00:00z", 0),
        ("2026-03-01T09:30:00+01:30", 0),
        ("2026-02-28T20:00:00-12:00", 0),
        ("2026-03-01T08:00:00.5Z", 500_000),
        ("2026-03-01T08:00:00.1234567Z", 123_456),
        ("2026-03-01T08:00:00.123456789Z", 123_456),
        ("2026-03-01T08:00:00.12345678901234567890Z", 123_456),
        ("2026-03-01T07:59:60.25-00:00", None),
    ],
)
def test_each_form_of_rfc_3339_is_read(text: str, microseconds: int | None) -> None:
    if microseconds is None:
        with pytest.raises(ValueError, match="leap second"):
            instants.read(text)
    else:
        expected = datetime(2026, 3, 1, 8, 0, 0, microseconds, tzinfo=UTC)
        assert instants.read(text) == expected


def test_a_leap_second_is_the_second_after_it() -> None:
    for text in ("1998-12-31T23:59:60Z", "1998-12-31T15:59:60-08:00"):
        assert instants.read(text) == datetime(1999, 1, 1, tzinfo=UTC)
        assert instants.write_nanoseconds(instants.read_nanoseconds(text)) == "1999-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03-01",
        "2026-03-01T08Z",
        "2026-03-01T08:00Z",
        "20260301T080000Z",
        "2026-W09-7T08:00:00Z",
        "2026-03-01T08:00:00,5Z",
        "2026-03-01T08:00:00.Z",
        "2026-03-01T08:00:00",
        "2026-03-01T08:00:00+0100",
        "2026-03-01T08:00:00+01:00:30",
        "2026-03-01T08:00:00+24:00",
        "2026-03-01T24:00:00Z",
        "2026-02-30T08:00:00Z",
        "2026-03-01 08:00:00Z",
        "2026-03-01T08:00:00Z ",
        "\u0662026-03-01T08:00:00Z",
        "0001-01-01T00:00:00+01:00",
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        instants.read(text)


@given(NEARLY)
@example("2016-12-31T23:59:60Z")
@example("2016-12-31T23:59:61Z")
def test_a_schema_and_the_readers_agree(text: str) -> None:
    """An instant that fits `format: date-time` is read everywhere, and no other text is."""
    valid = has_format("date-time", text)
    for read in (instants.read, instants.read_nanoseconds):
        try:
            read(text)
        except ValueError:
            assert not valid
        else:
            assert valid


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_is_written_is_read_back(at: datetime) -> None:
    assert instants.read(instants.write(at)) == at
    assert instants.read(instants.write_microseconds(at)) == at
    assert instants.read(instants.write_seconds(at)) == at.replace(microsecond=0)
    nanoseconds = instants.read_nanoseconds(instants.write(at))
    assert instants.read(instants.write_nanoseconds(nanoseconds)) == at
    for text in (instants.write(at), instants.write_seconds(at), instants.write_microseconds(at)):
        assert has_format("date-time", text)


def test_a_time_is_written_in_utc_and_needs_its_zone() -> None:
    local = datetime(2026, 3, 1, 10, 0, 0, 5000, tzinfo=timezone(timedelta(hours=2)))
    assert instants.write(local) == "2026-03-01T08:00:00.005000Z"
    assert instants.write_seconds(local) == "2026-03-01T08:00:00Z"
    with pytest.raises(ValueError, match="zone"):
        instants.write(local.replace(tzinfo=None))


def test_a_day_is_its_first_moment_where_people_type() -> None:
    assert instants.read_day_or_instant("2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)
    assert instants.read_day_or_instant("2026-03-01T01:00:00+01:00") == datetime(
        2026, 3, 1, tzinfo=UTC
    )


def test_nine_digits_of_a_fraction_are_kept_and_more_are_cut_off() -> None:
    nanoseconds = instants.read_nanoseconds("1970-01-01T00:00:01.123456789Z")
    assert nanoseconds == 1_123_456_789
    assert instants.read_nanoseconds("1970-01-01T00:00:01.1234567899Z") == nanoseconds
    assert instants.read_nanoseconds("1970-01-01T00:00:01.1Z") == 1_100_000_000
