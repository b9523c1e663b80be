"""What a look at one part of an installation says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from coe.installation.pages import PAGES
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
        page: The page to read on, if it is not well; by default that of the part (`PAGES`).
    """

    part: str
    health: Health
    detail: str
    help: str | None = None
    data: Mapping[str, JSON] = field(default_factory=dict)
    page: str | None = None

    def __post_init__(self) -> None:
        """Name the page of the part."""
        page = None if self.health is Health.OK else self.page or PAGES.get(self.part)
        object.__setattr__(self, "page", page)
