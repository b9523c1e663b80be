"""Durations: ISO 8601 text, an object of units, or an expression with such a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import PydanticCustomError, core_schema

from coe.formats import durations
from coe.formats.durations import DurationError
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
        units = {unit: {"type": "integer", "minimum": 0} for unit in UNITS}
        return {
            "oneOf": [
                {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": False,
                    "properties": units,
                },
                {"type": "string", "pattern": durations.PATTERN},
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
            else Duration(_milliseconds(durations.read(value)))
        )
    if isinstance(value, dict):
        return Duration(_object_milliseconds(value))
    msg = "a duration is text such as PT30S or an object such as {seconds: 30}"
    raise DurationError(msg)


def iso(milliseconds: int) -> str:
    """Write a length as ISO 8601 in days, hours, minutes and seconds."""
    return durations.write(timedelta(milliseconds=milliseconds))


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
    microseconds = sum(amount * UNITS[unit] * 1000 for unit, amount in value.items())
    return _milliseconds(durations.bounded(microseconds))


def _milliseconds(length: timedelta) -> int:
    return round(length / timedelta(milliseconds=1))


def _validated(value: object) -> Duration:
    try:
        return parse(value)
    except DurationError as error:
        kind = "duration_calendar" if error.calendar else "duration"
        raise PydanticCustomError(kind, "{reason}", {"reason": str(error)}) from None
