"""What is asked of the index, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from coe.search.parsing import ParsedText
from coe.search.reach import Reader


class By(StrEnum):
    """The order of what is found."""

    SCORE = "score"
    TITLE = "by_title"
    UPDATE = "by_update"
    USE = "by_use"


class Mode(StrEnum):
    """How much of a text an entry must have."""

    ALL = "all"
    TYPED = "typed"
    NEAR = "near"
    MOST = "most"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Criterion:
    """Values of a property, one of which must hold, or none of them if negated."""

    facet: str
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """How a text was understood; a cursor carries it, so that all pages understand it so.

    `corrected` are the words that were meant by words that nothing has, `weights` how much each
    word says, and `least` is how many of them an entry has.
    """

    mode: Mode = Mode.ALL
    corrected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    least: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the key of its order, the entry, how many stood before, and the plan."""

    key: float | int | str
    id: UUID
    seen: int
    plan: Plan


@dataclass(frozen=True, slots=True)
class Question:
    """A search by one reader; `after` is the place of the entry before the page."""

    parsed: ParsedText
    reader: Reader
    criteria: tuple[Criterion, ...] = ()
    by: By = By.SCORE
    first: int = 20
    after: Place | None = None
    facets: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A page of ids with their places, and what was counted.

    `facets` have the number of entries by value. `plan` says how the text was understood.
    """

    places: tuple[Place, ...]
    total: int
    has_next: bool
    plan: Plan
    facets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
