"""When a flow starts by itself: what its `schedule` says, and the next time that it means.

The language has no place for a time zone, so it is `document.metadata.timeZone` (an IANA name),
and UTC without one. It is for `cron` alone: the durations of `every` and `after` have a fixed
length, so that a day of theirs is 24 hours in every zone.

Where a zone's clock is put forward, a time of day that does not exist that day is taken at the end
of the gap; where it is put back, the first of the two is taken: each once. An expression with `*`
for the minute or the hour goes by the time that passes, as Debian's cron has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from coe.language.model.components import EventConsumption, EventFilter
from coe.language.model.definition import Definition

TIME_ZONE: Final = "timeZone"
"""The key of `document.metadata`."""
MIN_INTERVAL: Final = timedelta(seconds=10)
"""The least `every` or `after`."""

_FIELDS: Final = 5
_LONGEST: Final = 200


class ScheduleKind(StrEnum):
    """By what a flow is started."""

    AFTER = "AFTER"
    CRON = "CRON"
    EVERY = "EVERY"
    ON = "ON"


class ScheduleError(ValueError):
    """The schedule cannot be understood; the message says how to mend it."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When a flow starts: by its kind, what was written, and the zone (of a `cron`).

    `expression` is the cron expression, the duration in ISO 8601, or the types of the events.
    """

    kind: ScheduleKind
    expression: str
    time_zone: str = "UTC"
    length: timedelta | None = None

    def next_after(self, now: datetime, *, since: datetime) -> datetime | None:
        """The next time after `now`; None where something else than time starts it.

        `since` is where the intervals of `every` begin: they do not drift, whenever they are asked
        for. For `after` it is when the last run ended.
        """
        match self.kind:
            case ScheduleKind.CRON:
                return next_cron_time(self.expression, self.time_zone, now)
            case ScheduleKind.EVERY if self.length is not None:
                return since + ((now - since) // self.length + 1) * self.length
            case ScheduleKind.AFTER if self.length is not None:
                return since + self.length
            case _:
                return None


def timing_of(definition: Definition) -> Timing | None:
    """When a flow starts by itself, None where it does not.

    Raises:
        ScheduleError: Its `schedule` is not one that is published here (the linter says so too).
    """
    schedule = definition.schedule
    if schedule is None:
        return None
    zone = str(definition.document.metadata.get(TIME_ZONE, "UTC"))
    given = schedule.model_fields_set
    if len(given) != 1:
        raise ScheduleError("a schedule has one of every, cron, after and on")
    if schedule.cron is not None:
        check_cron(schedule.cron)
        time_zone_of(zone)
        return Timing(ScheduleKind.CRON, schedule.cron, zone)
    if schedule.on is not None:
        return Timing(ScheduleKind.ON, types_in(schedule.on))
    kind = ScheduleKind.EVERY if schedule.every is not None else ScheduleKind.AFTER
    duration = schedule.every or schedule.after
    if duration is None or duration.milliseconds is None:
        raise ScheduleError("before a run there is nothing to evaluate: give a length, not ${ … }")
    if duration.timedelta < MIN_INTERVAL:
        raise ScheduleError(f"at least {MIN_INTERVAL.seconds} seconds")
    return Timing(kind, str(duration), length=duration.timedelta)


def types_in(on: EventConsumption) -> str:
    """The events of a schedule in one line, such as `all: com.example.a, com.example.b`."""
    filters: tuple[EventFilter, ...] = ()
    if on.one is not None:
        name, filters = "one", (on.one,)
    elif on.all is not None:
        name, filters = "all", on.all
    else:
        name, filters = "any", on.any or ()
    types = [each.with_.type or "*" for each in filters]
    return f"{name}: {', '.join(types) or '*'}"[:_LONGEST]


def starts_by(definition: Definition) -> str:
    """What starts runs of a definition by itself; empty where somebody has to."""
    schedule = definition.schedule
    if schedule is None:
        return ""
    told = {
        "every": f"every {schedule.every}",
        "cron": f"cron {schedule.cron}",
        "after": f"{schedule.after} after the last",
        "on": "on events",
    }
    return ", ".join(text for key, text in told.items() if getattr(schedule, key) is not None)


def check_cron(expression: str) -> None:
    """Refuse what is no cron expression of five fields, or one whose time never comes.

    Raises:
        ScheduleError: With the field that is wrong.
    """
    if len(expression.split()) != _FIELDS:
        raise ScheduleError(
            "a cron expression has five fields: minute, hour, day of the month, month, weekday"
        )
    try:
        next(CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ScheduleError(f"no cron expression: {str(error).lower()}") from None
    except StopIteration:
        raise ScheduleError("no day is ever like that") from None


def next_cron_time(expression: str, time_zone: str, now: datetime) -> datetime | None:
    """The next time after `now`, in UTC; None if there is none in fifty years."""
    try:
        for found in CronSim(expression, now.astimezone(time_zone_of(time_zone))):
            at = found.astimezone(UTC)
            if at > now:
                return at
    except StopIteration:
        return None
    return None


@lru_cache(maxsize=256)
def time_zone_of(name: str) -> ZoneInfo:
    """A time zone by its IANA name.

    Raises:
        ScheduleError: There is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ScheduleError(
            f"there is no time zone {name[:80]!r}; a zone has an IANA name, such as Asia/Kolkata"
        ) from None
