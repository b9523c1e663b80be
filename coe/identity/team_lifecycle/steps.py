"""A step of a team's start or end: whether it is done, and who does it with which command."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TeamStepState(StrEnum):
    """Whether a step is done."""

    DONE = "DONE"
    """It is so."""
    NOW = "NOW"
    """This call has done it."""
    WAITING = "WAITING"
    """It was begun, and waits for a second person or for the engine."""
    OPEN = "OPEN"
    """Somebody has to do it."""
    LATER = "LATER"
    """The end of the team does it by itself."""
    LEFT_OUT = "LEFT_OUT"
    """The caller has left it out."""


@dataclass(frozen=True, slots=True)
class TeamStep:
    """A step; `who` is a role as team/role, or who else does it. `names` are what it is about."""

    key: str
    title: str
    state: TeamStepState
    who: str = ""
    command: str = ""
    names: tuple[str, ...] = ()
