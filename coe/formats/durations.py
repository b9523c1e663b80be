"""Durations of a fixed length, as ISO 8601 writes them: weeks, days, hours, minutes, seconds.

Each part may have a fraction. Months and years have no fixed length and are refused.
"""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction
from typing import Final

MAX_DURATION: Final = timedelta(days=1000 * 366)
"""A thousand years: a longer duration is a mistake, and exceeds the range of our clock."""

_AMOUNT: Final = r"\d+(?:\.\d+)?"
_CLOCK: Final = (
    rf"T({_AMOUNT}H({_AMOUNT}M)?({_AMOUNT}S)?|{_AMOUNT}M({_AMOUNT}S)?|{_AMOUNT}S)"  # at least one
)
PATTERN: Final = rf"^P(({_AMOUNT}W({_AMOUNT}D)?|{_AMOUNT}D)({_CLOCK})?|{_CLOCK})$"
"""For schemas: what `read` takes, but for its limits; without look-around, which not all know."""
_NUMBER: Final = f"({_AMOUNT})"
_TEXT: Final = re.compile(
    rf"P(?!$)(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?"
    rf"(?:T(?=\d)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?",
    re.ASCII,
)
# The microseconds of a week, a day, an hour, a minute and a second.
_UNITS: Final = (604_800_000_000, 86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000)
_MAX_LENGTH: Final = 200  # characters: more digits are a mistake
_MAX_QUOTED: Final = 80


class DurationError(ValueError):
    """Not a duration. Give ISO 8601 text such as PT30S, or an object such as {seconds: 30}."""

    def __init__(self, message: str, *, calendar: bool = False) -> None:
        super().__init__(message)
        self.calendar = calendar


def read(text: str) -> timedelta:
    """Read a duration, to the microsecond.

    Raises:
        DurationError: The text is not a duration, or longer than `MAX_DURATION`.
    """
    found = _TEXT.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if found is None:
        quoted = text[:_MAX_QUOTED]
        raise DurationError(f"`{quoted}` is not an ISO 8601 duration such as PT30S or P2DT4H")
    years, months, *amounts = found.groups()
    if years or months:
        message = "months and years have no fixed length: give days, such as P30D"
        raise DurationError(message, calendar=True)
    microseconds = sum(
        int(amount) * unit if amount.isdigit() else Fraction(amount) * unit
        for amount, unit in zip(amounts, _UNITS, strict=True)
        if amount is not None
    )
    return bounded(microseconds)


def bounded(microseconds: Fraction | int) -> timedelta:
    """A length of time from its microseconds.

    Raises:
        DurationError: It is longer than `MAX_DURATION`.
    """
    if microseconds > MAX_DURATION // timedelta(microseconds=1):
        raise DurationError("a duration of more than a thousand years")
    return timedelta(microseconds=round(microseconds))


def write(length: timedelta) -> str:
    """Write a duration in days, hours, minutes and seconds; a negative one begins with `-`."""
    sign, length = ("-", -length) if length < timedelta(0) else ("", length)
    hours, rest = divmod(length.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    second = str(seconds or "")
    if length.microseconds:
        second = f"{seconds}.{length.microseconds:06d}".rstrip("0")
    clock = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (second, "S")) if n)
    day = f"{length.days}D" if length.days else ""
    return f"{sign}P{day}{'T' + clock if clock else ''}" if day or clock else "PT0S"
