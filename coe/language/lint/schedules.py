"""Rules about `schedule`: it is valid, and its runs' input matches the input schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from coe.errors import Problem, Severity
from coe.json_types import JSON
from coe.language.durations import Duration
from coe.language.expression_syntax import is_expression
from coe.language.json_schema.violations import violations
from coe.language.lint.context import LintContext
from coe.language.model.definition import FlowSchedule
from coe.language.model.events import EventConsumption
from coe.language.schedules import (
    MIN_INTERVAL,
    TIME_ZONE,
    ScheduleError,
    check_cron,
    time_zone_of,
)
from coe.language.suggestions import did_you_mean

_KINDS: Final = ("every", "cron", "after", "on")
_KEY: Final = re.compile(r"\{([A-Za-z_][^{}]*)\}")
"""A member of the input in a URI; a number in braces is a repetition of a pattern."""


def check_schedule(context: LintContext) -> Iterator[Problem]:
    """OWS070 to OWS075: invalid schedules, and an input schema that refuses their runs."""
    schedule = context.definition.schedule
    if schedule is None:
        return
    given = [kind for kind in _KINDS if kind in schedule.model_fields_set]
    if len(given) != 1:
        message = f"a schedule has one of {', '.join(_KINDS)}"
        yield context.problem("OWS070", message, "/schedule", help="write a flow for each")
    if schedule.cron is not None:
        try:
            check_cron(schedule.cron)
        except ScheduleError as error:
            yield context.problem("OWS071", str(error), "/schedule/cron", value=True)
    yield from _zone(context, schedule)
    for kind, duration in (("every", schedule.every), ("after", schedule.after)):
        if duration is not None:
            yield from _duration(context, kind, duration)
    if schedule.on is not None:
        yield from _addresses(context, schedule.on, "/schedule/on")
    yield from _input(context, schedule)


def _addresses(
    context: LintContext, consumption: EventConsumption, place: str
) -> Iterator[Problem]:
    """OWS075: an address of a filter that takes a value of the input, of which there is none."""
    for name in ("one", "all", "any"):
        given = getattr(consumption, name)
        for number, each in enumerate(given if isinstance(given, tuple) else (given,)):
            inside = f"{place}/{name}" + (f"/{number}" if isinstance(given, tuple) else "")
            for attribute in ("source", "dataschema"):
                address = getattr(each.with_, attribute) if each is not None else None
                if isinstance(address, str) and not is_expression(address):
                    for key in _KEY.findall(address):
                        message = f"before a run there is no input from which `{{{key}}}` is taken"
                        help = 'write the address, or a condition: ${ startswith("https://…") }'
                        at = f"{inside}/with/{attribute}"
                        yield context.problem("OWS075", message, at, value=True, help=help)
    if isinstance(consumption.until, EventConsumption):
        yield from _addresses(context, consumption.until, f"{place}/until")


def _zone(context: LintContext, schedule: FlowSchedule) -> Iterator[Problem]:
    zone = context.definition.document.metadata.get(TIME_ZONE)
    if zone is None:
        return
    place = f"/document/metadata/{TIME_ZONE}"
    if schedule.cron is None:
        message = f"`{TIME_ZONE}` applies to `cron` alone: a day of a duration always has 24 hours"
        yield context.problem("OWS072", message, place, severity=Severity.WARNING)
    try:
        time_zone_of(str(zone))
    except ScheduleError as error:
        yield context.problem("OWS072", str(error) + _guess(str(zone)), place, value=True)


def _guess(zone: str) -> str:
    """A guess at a misspelt time zone, among those whose city begins with the same letter."""
    from zoneinfo import available_timezones  # noqa: PLC0415  # reads a folder of 600 files

    letter = _city(zone)[:1]
    return did_you_mean(
        zone, sorted(each for each in available_timezones() if _city(each)[:1] == letter)
    )


def _city(zone: str) -> str:
    return zone.rpartition("/")[2].lower()


def _duration(context: LintContext, kind: str, duration: Duration) -> Iterator[Problem]:
    place = f"/schedule/{kind}"
    if duration.milliseconds is None:
        message = "before a run there is nothing to evaluate: give a length, not ${ … }"
        yield context.problem("OWS073", message, place, value=True)
    elif duration.timedelta < MIN_INTERVAL:
        message = f"`{kind}` is at least {MIN_INTERVAL.seconds} seconds"
        yield context.problem("OWS073", message, place, value=True)


def _input(context: LintContext, schedule: FlowSchedule) -> Iterator[Problem]:
    """The input of a started run: `{}` from the clock, an array of events from events."""
    given = context.definition.input
    if given is None or given.schema_ is None or given.schema_.resource is not None:
        return
    place = "/input/schema/document"
    document = given.schema_.document
    if schedule.on is not None:
        if not _takes_arrays(document):
            message = "a run that events start gets an array of events, which this schema refuses"
            yield context.problem("OWS074", message, place, help="give it `type: array`")
    elif violations(document, {}, context.allowance):
        message = "a run that a schedule starts gets `{}`, which this schema refuses"
        help = "require no property, and give missing ones a default in the flow"
        yield context.problem("OWS074", message, place, help=help)


def _takes_arrays(document: JSON) -> bool:
    """Whether the schema's `type`, if it has one, allows arrays."""
    if not isinstance(document, dict):
        return document is not False
    kind = document.get("type", "array")
    return "array" in kind if isinstance(kind, list) else kind == "array"
