"""The schedule of a flow, and the next time at which it starts a run.

The language has no key for a time zone: it is `document.metadata.timeZone` (an IANA name), by
default UTC. It applies to `cron` alone: the durations of `every` and `after` have a fixed length,
so their day has 24 hours in every zone.

When a zone's clock is put forward, a time of day that does not exist starts a run at the end of
the gap; when it is put back, a time of day that comes twice starts one run, at the first of the
two. An expression with `*` for the minute or the hour follows elapsed time, as in Debian's cron.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from coe.language.model.definition import Definition
from coe.language.model.events import EventConsumption, EventFilter

TIME_ZONE: Final = "timeZone"
"""The key of `document.metadata`."""
MIN_INTERVAL: Final = timedelta(seconds=10)
"""The shortest `every` or `after`."""

_FIELDS: Final = 5
_MAX_SUMMARY_LENGTH: Final = 200


class ScheduleKind(StrEnum):
    """What starts the runs of a flow."""

    AFTER = "AFTER"
    CRON = "CRON"
    EVERY = "EVERY"
    ON = "ON"


class ScheduleError(ValueError):
    """The schedule is not valid; the message says how to fix it."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A schedule: its kind, its text, and the time zone of a `cron`.

    `expression` is the cron expression, the duration in ISO 8601, or the types of the events.
    """

    kind: ScheduleKind
    expression: str
    time_zone: str = "UTC"
    length: timedelta | None = None

    def next_after(self, now: datetime, *, since: datetime) -> datetime | None:
        """The next start after `now`; None for a schedule that events start.

        `since` is the start of the first interval of `every`, so that intervals do not drift. For
        `after` it is the end of the last run.
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
    """The schedule of a flow, None if it has none.

    Raises:
        ScheduleError: The schedule is not valid (the linter reports the same).
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
    return f"{name}: {', '.join(types) or '*'}"[:_MAX_SUMMARY_LENGTH]


def starts_by(definition: Definition) -> str:
    """The schedule of a definition in words, such as `every PT1H`; empty if it has none."""
    schedule = definition.schedule
    if schedule is None:
        return ""
    texts = {
        "every": f"every {schedule.every}",
        "cron": f"cron {schedule.cron}",
        "after": f"{schedule.after} after the last",
        "on": "on events",
    }
    return ", ".join(text for key, text in texts.items() if getattr(schedule, key) is not None)


def check_cron(expression: str) -> None:
    """Check that a cron expression has five fields and a time that comes.

    Raises:
        ScheduleError: It names the field that is wrong.
    """
    if len(expression.split()) != _FIELDS:
        raise ScheduleError(
            "a cron expression has five fields: minute, hour, day of the month, month, weekday"
        )
    try:
        next(CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ScheduleError(f"not a cron expression: {str(error).lower()}") from None
    except StopIteration:
        raise ScheduleError("no date ever matches this cron expression") from None


def next_cron_time(expression: str, time_zone: str, now: datetime) -> datetime | None:
    """The next time after `now`, in UTC; None if there is none within fifty years."""
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
    """The time zone of an IANA name.

    Raises:
        ScheduleError: There is no such time zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ScheduleError(
            f"there is no time zone {name[:80]!r}; a zone has an IANA name, such as Asia/Kolkata"
        ) from None
