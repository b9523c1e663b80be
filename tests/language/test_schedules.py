"""Schedules: the next time in every zone, and invalid schedules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coe.errors import Severity
from coe.language.lint import NO_STANDARDS, lint
from coe.language.load import load
from coe.language.schedules import ScheduleError, ScheduleKind, Timing, next_cron_time, timing_of

BERLIN = "Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def times(expression: str, zone: str, start: str, count: int) -> list[datetime]:
    found: list[datetime] = []
    now = at(start)
    for _ in range(count):
        following = next_cron_time(expression, zone, now)
        assert following is not None
        found.append(following)
        now = following
    return found


@pytest.mark.parametrize(
    ("expression", "zone", "start", "expected"),
    [
        ("0 6 * * *", "UTC", "2026-03-01T05:59:59Z", "2026-03-01T06:00:00Z"),
        ("0 6 * * *", "UTC", "2026-03-01T06:00:00Z", "2026-03-02T06:00:00Z"),
        ("0 6 * * *", BERLIN, "2026-03-01T04:00:00Z", "2026-03-01T05:00:00Z"),
        ("0 6 * * *", BERLIN, "2026-07-01T03:00:00Z", "2026-07-01T04:00:00Z"),
        ("0 6 * * *", "Asia/Kolkata", "2026-07-01T00:00:00Z", "2026-07-01T00:30:00Z"),
        ("0 9 * * MON-FRI", BERLIN, "2026-03-06T12:00:00Z", "2026-03-09T08:00:00Z"),
        ("0 0 L * *", "UTC", "2026-02-03T00:00:00Z", "2026-02-28T00:00:00Z"),
        ("0 0 29 2 *", "UTC", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("*/15 * * * *", "UTC", "2026-03-01T05:59:59.5Z", "2026-03-01T06:00:00Z"),
    ],
)
def test_the_next_time(expression: str, zone: str, start: str, expected: str) -> None:
    assert times(expression, zone, start, 1) == [at(expected)]


def test_a_time_that_the_clock_leaves_out_comes_once_at_the_end_of_the_gap() -> None:
    """Berlin, 29 March 2026: 02:00 becomes 03:00."""
    assert times("30 2 * * *", BERLIN, "2026-03-28T12:00:00Z", 2) == [
        at("2026-03-29T01:00:00Z"),
        at("2026-03-30T00:30:00Z"),
    ]
    both = times("0,30 2 * * *", BERLIN, "2026-03-28T12:00:00Z", 3)
    assert both[0] == at("2026-03-29T01:00:00Z")
    assert both[1:] == [at("2026-03-30T00:00:00Z"), at("2026-03-30T00:30:00Z")]


def test_a_time_that_comes_twice_is_taken_once() -> None:
    """Berlin, 25 October 2026: 03:00 becomes 02:00."""
    assert times("30 2 * * *", BERLIN, "2026-10-24T12:00:00Z", 2) == [
        at("2026-10-25T00:30:00Z"),
        at("2026-10-26T01:30:00Z"),
    ]
    between = next_cron_time("30 2 * * *", BERLIN, at("2026-10-25T01:10:00Z"))
    assert between == at("2026-10-26T01:30:00Z")


def test_every_quarter_of_an_hour_follows_elapsed_time() -> None:
    for start in ("2026-03-29T00:00:00Z", "2026-10-25T00:00:00Z"):
        found = times("*/15 * * * *", BERLIN, start, 12)
        pauses = {after - before for before, after in pairwise(found)}
        assert pauses == {timedelta(minutes=15)}


@given(
    st.sampled_from(["0 6 * * *", "30 2 * * *", "5,50 1-3 * * 0", "*/7 * * * *", "0 0 1 */2 *"]),
    st.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # hypothesis wants them bare
)
def test_the_next_time_is_always_later(expression: str, zone: str, now: datetime) -> None:
    first = next_cron_time(expression, zone, now)
    assert first is not None
    assert first > now
    second = next_cron_time(expression, zone, first)
    assert second is not None
    assert second > first
    assert next_cron_time(expression, zone, second - timedelta(seconds=1)) == second


def test_every_does_not_drift() -> None:
    every = Timing(ScheduleKind.EVERY, "PT1H", length=timedelta(hours=1))
    since = at("2026-03-01T08:20:00Z")
    assert every.next_after(since, since=since) == at("2026-03-01T09:20:00Z")
    late = at("2026-03-01T09:20:07Z")
    assert every.next_after(late, since=since) == at("2026-03-01T10:20:00Z")
    much_later = at("2026-03-29T03:20:00Z")
    assert every.next_after(much_later, since=since) == at("2026-03-29T04:20:00Z")


# ---------------------------------------------------------------- definitions


def definition(schedule: str, *, metadata: str = "{}", schema: str = "") -> Any:
    text = f"""document:
  dsl: 1.0.3
  namespace: sales
  name: nightly
  version: 1.0.0
  metadata: {metadata}
{schema}schedule: {schedule}
do:
  - rest:
      set: {{done: true}}
"""
    loaded = load(text)
    assert loaded.definition is not None, loaded.problems
    return loaded.definition


def found(text: str, **more: str) -> list[tuple[str, str | None, int | None]]:
    problems = lint(definition(text, **more), standards=NO_STANDARDS)
    return [(each.code, each.path, each.line) for each in problems]


@pytest.mark.parametrize(
    ("schedule", "metadata", "timing"),
    [
        (
            "{cron: 0 6 * * *}",
            f"{{timeZone: {BERLIN}}}",
            Timing(ScheduleKind.CRON, "0 6 * * *", BERLIN),
        ),
        ("{cron: 0 6 * * *}", "{}", Timing(ScheduleKind.CRON, "0 6 * * *", "UTC")),
        (
            "{every: P1DT30M}",
            "{}",
            Timing(ScheduleKind.EVERY, "P1DT30M", length=timedelta(days=1, minutes=30)),
        ),
        (
            "{every: {minutes: 90}}",
            "{}",
            Timing(ScheduleKind.EVERY, "PT1H30M", length=timedelta(minutes=90)),
        ),
        ("{after: PT10S}", "{}", Timing(ScheduleKind.AFTER, "PT10S", length=timedelta(seconds=10))),
        ("{on: {one: {with: {type: a.b}}}}", "{}", Timing(ScheduleKind.ON, "one: a.b")),
        (
            "{on: {all: [{with: {type: a}}, {with: {source: 'https://b.example.com'}}]}}",
            "{}",
            Timing(ScheduleKind.ON, "all: a, *"),
        ),
        ("{on: {any: []}}", "{}", Timing(ScheduleKind.ON, "any: *")),
    ],
)
def test_a_schedule_is_read(schedule: str, metadata: str, timing: Timing) -> None:
    made = definition(schedule, metadata=metadata)
    assert timing_of(made) == timing
    assert lint(made, standards=NO_STANDARDS) == ()


@pytest.mark.parametrize(
    ("schedule", "metadata", "expected"),
    [
        ("{}", "{}", [("OWS070", "/schedule", 7)]),
        ("{cron: 0 6 * * *, every: PT1H}", "{}", [("OWS070", "/schedule", 7)]),
        ("{cron: 61 6 * * *}", "{}", [("OWS071", "/schedule/cron", 7)]),
        ("{cron: 0 6 * *}", "{}", [("OWS071", "/schedule/cron", 7)]),
        ("{cron: 0 0 6 * * *}", "{}", [("OWS071", "/schedule/cron", 7)]),
        ('{cron: "@daily"}', "{}", [("OWS071", "/schedule/cron", 7)]),
        ("{cron: 0 0 30 2 *}", "{}", [("OWS071", "/schedule/cron", 7)]),
        (
            "{cron: 0 6 * * *}",
            "{timeZone: Europe/Berlyn}",
            [("OWS072", "/document/metadata/timeZone", 6)],
        ),
        (
            "{cron: 0 6 * * *}",
            "{timeZone: ../../etc/passwd}",
            [("OWS072", "/document/metadata/timeZone", 6)],
        ),
        ("{every: PT9.999S}", "{}", [("OWS073", "/schedule/every", 7)]),
        ("{after: {milliseconds: 5}}", "{}", [("OWS073", "/schedule/after", 7)]),
        ('{every: "${ 1 }"}', "{}", [("OWS073", "/schedule/every", 7)]),
    ],
)
def test_an_invalid_schedule_is_located(
    schedule: str, metadata: str, expected: list[tuple[str, str, int]]
) -> None:
    assert found(schedule, metadata=metadata) == expected
    with pytest.raises(ScheduleError):
        timing_of(definition(schedule, metadata=metadata))


@pytest.mark.parametrize(
    ("on", "places"),
    [
        ("{one: {with: {source: 'https://erp/{order}'}}}", ["/one/with/source"]),
        ("{all: [{with: {type: a}}, {with: {dataschema: '{a}'}}]}", ["/all/1/with/dataschema"]),
        (
            "{any: [{with: {type: a}}], until: {one: {with: {source: 'urn:{a}:{b}'}}}}",
            ["/until/one/with/source"] * 2,
        ),
        ("{one: {with: {source: 'https://erp/[0-9]{2}'}}}", []),
        ("{one: {with: {source: '${ startswith(\"https://erp/\") }'}}}", []),
    ],
)
def test_a_filter_before_a_run_takes_nothing_of_its_input(on: str, places: list[str]) -> None:
    problems = [each for each in found(f"{{on: {on}}}") if each[0] != "OWS045"]
    assert [(code, place) for code, place, _ in problems] == [
        ("OWS075", f"/schedule/on{place}") for place in places
    ]


def test_a_misspelt_zone_gets_a_suggestion() -> None:
    made = definition("{cron: 0 6 * * *}", metadata="{timeZone: Europe/Berlyn}")
    [problem] = lint(made, standards=NO_STANDARDS)
    assert "did you mean `Europe/Berlin`?" in problem.message


def test_a_zone_with_a_duration_only_warns() -> None:
    made = definition("{every: P1D}", metadata=f"{{timeZone: {BERLIN}}}")
    [problem] = lint(made, standards=NO_STANDARDS)
    assert (problem.code, problem.severity) == ("OWS072", Severity.WARNING)
    assert timing_of(made) == Timing(ScheduleKind.EVERY, "P1D", length=timedelta(days=1))


@pytest.mark.parametrize(
    ("schedule", "document", "fits"),
    [
        ("{every: PT1H}", "{type: object}", True),
        ("{every: PT1H}", "{type: object, required: [order]}", False),
        ("{cron: 0 6 * * *}", "{type: array}", False),
        ("{on: {any: []}}", "{type: array}", True),
        ("{on: {any: []}}", "{type: [array, object]}", True),
        ("{on: {any: []}}", "{minItems: 1}", True),
        ("{on: {any: []}}", "{type: object}", False),
    ],
)
def test_the_input_schema_accepts_the_input_of_a_schedule(
    schedule: str, document: str, *, fits: bool
) -> None:
    schema = f"input: {{schema: {{document: {document}}}}}\n"
    codes = [code for code, _, _ in found(schedule, schema=schema)]
    assert codes == ([] if fits else ["OWS074"])
