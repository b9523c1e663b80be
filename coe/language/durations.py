"""Durations: ISO 8601 text, an object of units, or an expression with such a value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import PydanticCustomError, core_schema

from coe.language.expression_syntax import is_expression, program_of
from coe.language.suggestions import did_you_mean

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

# The milliseconds of each unit. The object form has the same keys, in the specification's order.
UNITS: Final = {
    "days": 86_400_000,
    "hours": 3_600_000,
    "minutes": 60_000,
    "seconds": 1000,
    "milliseconds": 1,
}

_NUMBER: Final = r"(\d+(?:\.\d+)?)"
_ISO: Final = re.compile(
    rf"P(?!$)(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?"
    rf"(?:T(?=\d)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?",
    re.ASCII,
)
_ISO_UNITS: Final = (7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1000)
# A thousand years: a longer duration is a mistake, and exceeds the range of our clock.
MAX_MILLISECONDS: Final = 1000 * 366 * 86_400_000


class DurationError(ValueError):
    """Not a duration. Give ISO 8601 text such as PT30S, or an object such as {seconds: 30}."""

    def __init__(self, message: str, *, calendar: bool = False) -> None:
        super().__init__(message)
        self.calendar = calendar


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time in `milliseconds`, or the `expression` (bare jq) of one."""

    milliseconds: int | None = None
    expression: str | None = None

    @property
    def timedelta(self) -> timedelta:
        """The length of a literal duration; raises ValueError for an expression."""
        if self.milliseconds is None:
            msg = "the duration is an expression: evaluate it, then parse its result"
            raise ValueError(msg)
        return timedelta(milliseconds=self.milliseconds)

    def __str__(self) -> str:
        """ISO 8601, or the expression in `${ … }`."""
        if self.milliseconds is None:
            return f"${{ {self.expression} }}"
        return iso(self.milliseconds)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Validate with `parse`: every field of this type takes the same three forms."""
        return core_schema.no_info_plain_validator_function(_validated)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The three forms, without months and years, which have no fixed length."""
        amount = r"\d+(?:\.\d+)?"
        iso_pattern = (
            rf"^P(?!$)({amount}W)?({amount}D)?(T(?=\d)({amount}H)?({amount}M)?({amount}S)?)?$"
        )
        units = {unit: {"type": "integer", "minimum": 0} for unit in UNITS}
        return {
            "oneOf": [
                {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": False,
                    "properties": units,
                },
                {"type": "string", "pattern": iso_pattern},
                {"type": "string", "pattern": r"^\s*\$\{.+\}\s*$"},
            ]
        }


def parse(value: object) -> Duration:
    """Read a duration from text, an object of units or an expression; raises DurationError."""
    if isinstance(value, Duration):
        return value
    if isinstance(value, str):
        return (
            Duration(expression=program_of(value))
            if is_expression(value)
            else Duration(_iso_milliseconds(value))
        )
    if isinstance(value, dict):
        return Duration(_object_milliseconds(value))
    msg = "a duration is text such as PT30S or an object such as {seconds: 30}"
    raise DurationError(msg)


def iso(milliseconds: int) -> str:
    """Write a length as ISO 8601 in days, hours, minutes and seconds."""
    days, rest = divmod(milliseconds, UNITS["days"])
    hours, rest = divmod(rest, UNITS["hours"])
    minutes, rest = divmod(rest, UNITS["minutes"])
    seconds, fraction = divmod(rest, 1000)
    second = f"{seconds}.{fraction:03d}".rstrip("0") if fraction else str(seconds or "")
    clock = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (second, "S")) if n)
    return (
        "P" + (f"{days}D" if days else "") + (f"T{clock}" if clock else "")
        if days or clock
        else "PT0S"
    )


def _iso_milliseconds(text: str) -> int:
    match = _ISO.fullmatch(text)
    if match is None:
        msg = f"`{text[:80]}` is not an ISO 8601 duration such as PT30S or P2DT4H"
        raise DurationError(msg)
    years, months, *amounts = match.groups()
    if years or months:
        msg = "months and years have no fixed length: give days, such as P30D"
        raise DurationError(msg, calendar=True)
    return _bounded(
        sum(float(n) * unit for n, unit in zip(amounts, _ISO_UNITS, strict=True) if n is not None),
    )


def _object_milliseconds(value: dict[str, Any]) -> int:
    if not value:
        msg = "an empty duration: give at least one of " + ", ".join(UNITS)
        raise DurationError(msg)
    for unit, amount in value.items():
        if unit in ("months", "years"):
            msg = f"{unit} have no fixed length: give days"
            raise DurationError(msg, calendar=True)
        if unit not in UNITS:
            guess = did_you_mean(unit, UNITS)
            msg = f"unknown unit `{unit}`{guess or ': a duration has ' + ', '.join(UNITS)}"
            raise DurationError(msg)
        if isinstance(amount, bool) or not isinstance(amount, int) or amount < 0:
            msg = f"`{unit}` must be a whole number, 0 or more"
            raise DurationError(msg)
    return _bounded(sum(amount * UNITS[unit] for unit, amount in value.items()))


def _bounded(milliseconds: float) -> int:
    if milliseconds > MAX_MILLISECONDS:
        msg = "a duration of more than a thousand years"
        raise DurationError(msg)
    return round(milliseconds)


def _validated(value: object) -> Duration:
    try:
        return parse(value)
    except DurationError as error:
        kind = "duration_calendar" if error.calendar else "duration"
        raise PydanticCustomError(kind, "{reason}", {"reason": str(error)}) from None
