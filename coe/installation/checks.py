"""What a look at one part of an installation says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from coe.json_types import JSON


class Health(StrEnum):
    """How a part is: a warning says what to look at, a problem what does not work."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One part of an installation.

    Attributes:
        part: The name of the part.
        health: How it is.
        detail: The same in a few words, for people.
        help: The next command, or the page that says what to do; None if there is nothing to do.
        data: The numbers behind it.
    """

    part: str
    health: Health
    detail: str
    help: str | None = None
    data: Mapping[str, JSON] = field(default_factory=dict)
