"""The conditions of decision tables, and the values for which they are true.

A condition is either true or false for every value of its input, and for a missing value. So the
gaps of a table can be found exactly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any, TypeAlias

from coe.decisions.values import Key, ValueType, decimals_of, text_of


@dataclass(frozen=True, slots=True)
class Column:
    """An input: its type and the values that it can have.

    `members` are all its values, if the input lists them; `low` and `high` bound those of other
    inputs. `step` is the least difference of two values, None where there is none. `path` is the
    JSON pointer of the value in the data.
    """

    name: str
    kind: ValueType
    path: str
    members: frozenset[Key] | None = None
    low: Key | None = None
    high: Key | None = None
    step: Key | None = None
    decimals: int | None = None
    optional: bool = False


# ---------------------------------------------------------------- kinds of conditions
@dataclass(frozen=True, slots=True)
class Anything:
    """True for every value and for a missing one."""


@dataclass(frozen=True, slots=True)
class NoValue:
    """True for a missing value."""


@dataclass(frozen=True, slots=True)
class Equal:
    """True for one value."""

    key: Key


@dataclass(frozen=True, slots=True)
class Between:
    """True for the values from `low` to `high`; None is no bound."""

    low: Key | None = None
    high: Key | None = None
    low_in: bool = True
    high_in: bool = True


@dataclass(frozen=True, slots=True)
class OneOf:
    """True if one of its parts is."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True if its part is false."""

    part: Condition


Condition: TypeAlias = Anything | NoValue | Equal | Between | OneOf | Not


def holds(condition: Condition, key: Key | None) -> bool:
    """Whether a condition is true for a value; None is a missing value."""
    match condition:
        case Anything():
            return True
        case NoValue():
            return key is None
        case Equal(wanted):
            return key == wanted
        case Between():
            return key is not None and _between(condition, key)
        case OneOf(parts):
            return any(holds(part, key) for part in parts)
        case Not(part):
            return not holds(part, key)


def _between(bounds: Between, key: Any) -> bool:
    low, high = bounds.low, bounds.high
    return (low is None or (ge if bounds.low_in else gt)(key, low)) and (
        high is None or (le if bounds.high_in else lt)(key, high)
    )


def keys_in(condition: Condition) -> Iterator[Key]:
    """Every value that a condition names; its truth changes at these alone."""
    match condition:
        case Equal(key):
            yield key
        case Between(low, high):
            yield from (key for key in (low, high) if key is not None)
        case OneOf(parts):
            for part in parts:
                yield from keys_in(part)
        case Not(part):
            yield from keys_in(part)


def within(column: Column, key: Key) -> str | None:
    """Why the input cannot have a value; None if it can."""
    bound: Any = key
    if column.members is not None:
        if key in column.members:
            return None
        names = ", ".join(text_of(column.kind, each) for each in _sorted(column.members))
        return f"must be one of {names}"
    if column.low is not None and bound < column.low:
        return f"must be {text_of(column.kind, column.low)} or more"
    if column.high is not None and bound > column.high:
        return f"must be {text_of(column.kind, column.high)} or less"
    if column.decimals is not None and decimals_of(key) > column.decimals:
        return f"must have {column.decimals} decimals or less"
    return None


def _sorted(keys: Collection[Key]) -> list[Key]:
    return sorted(keys)
