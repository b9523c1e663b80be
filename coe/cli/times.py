"""Times on the command line: RFC 3339, a day, or how long ago."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

from coe.formats import instants

_AGO: Final = re.compile(r"(\d{1,6})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
END_HELP: Final = "A day (its start, UTC), RFC 3339, or how long from now: 12h, 14d, 4w."
HELP: Final = "A day (its start, UTC), RFC 3339, or how long ago: 90m, 12h, 7d."


def moment_option(*names: str) -> Callable[[Any], Any]:
    """Add an option that takes a time; the last of `names` is its help."""
    *options, help_text = names
    return click.option(*options, callback=_callback, metavar="TIME", help=f"{help_text} {HELP}")


def end_option(name: str, help_text: str) -> Callable[[Any], Any]:
    """Add an option that takes a time in the future."""
    return click.option(
        name, callback=_end_callback, metavar="TIME", help=f"{help_text} {END_HELP}"
    )


def span_option(name: str, default: str, help_text: str) -> Callable[[Any], Any]:
    """Add an option that takes a length of time; it is passed as a timedelta."""
    return click.option(
        name,
        default=default,
        show_default=True,
        callback=_span_callback,
        metavar="DURATION",
        help=f"{help_text} Such as 90m, 12h, 7d.",
    )


def _span_callback(_: click.Context, __: click.Parameter, given: str) -> timedelta:
    found = _AGO.fullmatch(given)
    if found is None:
        raise click.BadParameter(f"{given!r} must be a length of time, such as 90m, 12h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _end_callback(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    if given is None:
        return None
    ahead = _AGO.fullmatch(given)
    try:
        if ahead:
            length = timedelta(**{_UNITS[ahead[2]]: int(ahead[1])})
            return instants.write(datetime.now(UTC) + length)
        return instants.write(instants.read_day_or_instant(given))
    except (ValueError, OverflowError):
        message = f"{given!r} must be a date, how long from now such as 14d, or {instants.WANTED}"
        raise click.BadParameter(message) from None


def moment(text: str, *, now: datetime | None = None) -> str:
    """The time as RFC 3339 in UTC.

    Raises:
        ValueError: It is not a time of one of these forms.
    """
    ago = _AGO.fullmatch(text)
    if ago:
        past = timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return instants.write((now or datetime.now(UTC)) - past)
    return instants.write(instants.read_day_or_instant(text))


def _callback(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    try:
        return None if given is None else moment(given)
    except (ValueError, OverflowError):
        message = f"{given!r} must be a date, how long ago such as 12h, or {instants.WANTED}"
        raise click.BadParameter(message) from None
