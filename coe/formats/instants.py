"""Instants, as RFC 3339 writes them (section 5.6), and dates without a time.

A fraction of a second may have any number of digits; `read` keeps microseconds and
`read_nanoseconds` nanoseconds, and both cut off what is finer. Letters may be small. A leap second
(`23:59:60Z`) is read as the second after it, as the clocks of computers have it.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

EXAMPLE: Final = "2026-01-31T09:00:00Z"
WANTED: Final = f"a time of RFC 3339 with its zone, such as {EXAMPLE}"
"""Completes "must be …" in messages."""

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INSTANT: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}):(\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_LEAP: Final = "60"
_LEAP_MINUTE: Final = (23, 59)
_MAX_OFFSET: Final = ("23", "59")


def read(text: str) -> datetime:
    """Read an instant; it is in UTC.

    Raises:
        ValueError: It is not of RFC 3339, or lies outside of the years 1 to 9999 in UTC.
    """
    try:
        if _INSTANT.fullmatch(text) and text[17:19] != _LEAP:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        seconds, fraction = _parts(text)
        return _EPOCH + timedelta(seconds=seconds, microseconds=int(fraction[:6].ljust(6, "0")))
    except OverflowError:
        raise ValueError("the time lies outside of the years 1 to 9999") from None


def read_nanoseconds(text: str) -> int:
    """Read an instant as nanoseconds since 1970.

    Raises:
        ValueError: It is not of RFC 3339.
    """
    seconds, fraction = _parts(text)
    return seconds * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))


def read_day_or_instant(text: str) -> datetime:
    """Read an instant, or a date as its first moment in UTC; for what people type.

    Raises:
        ValueError: It is neither.
    """
    if _DATE.fullmatch(text):
        return datetime.combine(read_date(text), time(), UTC)
    return read(text)


def read_date(text: str) -> date:
    """Read a date such as 2026-01-31.

    Raises:
        ValueError: It is not the `full-date` of RFC 3339.
    """
    if not _DATE.fullmatch(text):
        raise ValueError("not a date of RFC 3339, such as 2026-01-31")
    return date.fromisoformat(text)


def write(at: datetime) -> str:
    """Write an instant in UTC, exactly; a whole second has no fraction.

    Raises:
        ValueError: It has no zone.
    """
    return _in_utc(at).isoformat() + "Z"


def write_seconds(at: datetime) -> str:
    """Write an instant in UTC with whole seconds, the form of all times that a process sees.

    It is the only form that jq's `fromdate`, `strptime` and their kin read, and one length of text
    sorts by time.

    Raises:
        ValueError: It has no zone.
    """
    return _in_utc(at).isoformat(timespec="seconds") + "Z"


def write_microseconds(at: datetime) -> str:
    """Write an instant in UTC with six digits of a fraction: what is hashed has one form.

    Raises:
        ValueError: It has no zone.
    """
    return _in_utc(at).isoformat(timespec="microseconds") + "Z"


def write_nanoseconds(nanoseconds: int) -> str:
    """Write what `read_nanoseconds` read.

    Raises:
        OverflowError: It lies outside of the years 1 to 9999.
    """
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    whole = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()
    return whole + (f".{rest:09d}".rstrip("0") if rest else "") + "Z"


def _in_utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("an instant has a zone")
    return at.astimezone(UTC).replace(tzinfo=None)


def _parts(text: str) -> tuple[int, str]:
    """The seconds since 1970, which may lie outside of the years 1 to 9999, and the fraction."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise ValueError(f"not {WANTED}")
    day, minute, second, fraction, zone = found.groups()
    leap = second == _LEAP
    local = datetime.fromisoformat(f"{day}T{minute}:{'59' if leap else second}").replace(tzinfo=UTC)
    seconds = (local - _EPOCH) // _SECOND
    offset = _offset(zone)
    if leap:
        utc = _EPOCH + timedelta(seconds=(seconds - offset) % 86_400)
        if (utc.hour, utc.minute) != _LEAP_MINUTE:
            raise ValueError("a leap second is the last of a day in UTC")
        seconds += 1
    return seconds - offset, fraction or ""


def _offset(zone: str) -> int:
    """The seconds by which a zone is ahead of UTC."""
    if zone in "Zz":
        return 0
    hours, minutes = zone[1:3], zone[4:6]
    if hours > _MAX_OFFSET[0] or minutes > _MAX_OFFSET[1]:
        raise ValueError("an offset is at most 23:59")
    seconds = int(hours) * 3600 + int(minutes) * 60
    return -seconds if zone[0] == "-" else seconds
