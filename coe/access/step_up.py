"""Where a person has to have proved a moment ago who they are: `policies/step-up.csv`.

A line, `s, team, permission, data class, minutes`, asks for a sign-in at most so many minutes old
before a person does this to a resource of this team and class. It never allows anything: the
policy lines decide first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from coe.access.actor import DataClass
from coe.access.permissions import NOUNS, PERMISSIONS, in_scopes
from coe.access.policy_lines import ANY
from coe.identifiers import is_slug

STEP_UP_FIELDS: Final = ("team", "permission", "data class", "minutes")
MAX_MINUTES: Final = 1440
_BROKEN_MINUTES: Final = 1


@dataclass(frozen=True, slots=True)
class StepUpLine:
    """A line of `policies/step-up.csv`; `permission` may be a noun with all verbs (`flow:*`)."""

    team: str
    permission: str
    data_class: str
    minutes: int
    note: str | None = None
    source: str = ""

    @classmethod
    def of(cls, fields: Iterable[str], *, note: str | None = None, source: str = "") -> Self:
        """The line of these four fields, each checked.

        Raises:
            ValueError: A field is missing, empty or not allowed, or there are too many.
        """
        values = tuple(fields)
        if len(values) != len(STEP_UP_FIELDS):
            message = f"a line has {len(STEP_UP_FIELDS)} fields after its s: {STEP_UP_FIELDS}"
            raise ValueError(message)
        team, permission, data_class, minutes = values
        noun = permission.removesuffix(":*")
        if team != ANY and not is_slug(team):
            raise ValueError(f"{team!r} is not a team")
        if permission not in PERMISSIONS and not (permission.endswith(":*") and noun in NOUNS):
            raise ValueError(f"{permission!r} is not a permission")
        if data_class != ANY and data_class not in tuple(DataClass):
            raise ValueError(f"{data_class!r} is not a data class")
        if not (minutes.isascii() and minutes.isdigit() and 1 <= int(minutes) <= MAX_MINUTES):
            raise ValueError(f"{minutes!r} is not a number of minutes from 1 to {MAX_MINUTES}")
        return cls(team, permission, data_class, int(minutes), note, source)

    @classmethod
    def broken(cls, source: str) -> Self:
        """What a stored line that cannot be read asks for: it never asks for less than before."""
        return cls(ANY, ANY, ANY, _BROKEN_MINUTES, source=source)

    @property
    def fields(self) -> tuple[str, str, str, str]:
        """The four fields."""
        return (self.team, self.permission, self.data_class, str(self.minutes))

    def takes_in(self, permission: str, team: str, data_class: DataClass) -> bool:
        """Whether the line is about this."""
        return (
            (self.permission == ANY or in_scopes(permission, frozenset({self.permission})))
            and self.team in {ANY, team}
            and self.data_class in {ANY, data_class.value}
        )

    def __str__(self) -> str:
        """The line as its file has it."""
        return ", ".join(("s", *self.fields))


class StepUp:
    """The lines of one policy version."""

    def __init__(self, lines: Iterable[StepUpLine] = ()) -> None:
        """Keep the lines, the strictest first."""
        self.lines: Final = tuple(sorted(lines, key=lambda line: line.minutes))

    def asks(self, permission: str, *, team: str, data_class: DataClass) -> StepUpLine | None:
        """The strictest line about this; None where no fresh sign-in is asked for."""
        return next(
            (line for line in self.lines if line.takes_in(permission, team, data_class)), None
        )
