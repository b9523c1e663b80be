"""Divide the values of an input into atoms: parts within which no condition changes its truth.

A condition changes its truth only at the values that it names. So each of these values is an atom,
and so are all values between two of them: one value represents its atom. Checking a table is
counting over atoms, and it is exact.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any

from coe.decisions.conditions import (
    Anything,
    Between,
    Column,
    Condition,
    Equal,
    Not,
    NoValue,
    OneOf,
    keys_in,
)
from coe.decisions.values import EXACT, KINDS, Key, ValueType, text_of


@dataclass(frozen=True, slots=True)
class Atom:
    """A part of an input's values. `key` represents all of them; None is the missing value.

    `low` and `high` are its ends, None where it has none; `rest` is every text that is not named.
    """

    key: Key | None
    low: Key | None = None
    high: Key | None = None
    low_in: bool = True
    high_in: bool = True
    rest: bool = False


def atoms_of(column: Column, conditions: Iterable[Condition]) -> tuple[Atom, ...]:
    """Divide an input by its conditions; the atoms are in order, and together they are complete."""
    named = {key for condition in conditions for key in keys_in(condition)}
    found = list(_values(column, named))
    if column.optional:
        found.append(Atom(None))
    return tuple(found)


def masks_of(conditions: Iterable[Condition], atoms: Sequence[Atom]) -> dict[Condition, int]:
    """For each condition the atoms for which it is true, as bits."""
    index = _Index(atoms)
    return {condition: index.mask(condition) for condition in set(conditions)}


class _Index:
    """Finds atoms by the value that represents them."""

    def __init__(self, atoms: Sequence[Atom]) -> None:
        self._all = (1 << len(atoms)) - 1
        self._keys: list[Any] = [atom.key for atom in atoms if atom.key is not None]
        self._places = {atom.key: place for place, atom in enumerate(atoms)}

    def mask(self, condition: Condition) -> int:
        match condition:
            case Anything():
                return self._all
            case NoValue():
                return self._at(None)
            case Equal(key):
                return self._at(key)
            case Between():
                return self._between(condition)
            case OneOf(parts):
                return reduce(or_, map(self.mask, parts), 0)
            case Not(part):
                return self._all & ~self.mask(part)

    def _at(self, key: Key | None) -> int:
        place = self._places.get(key)
        return 0 if place is None else 1 << place

    def _between(self, bounds: Between) -> int:
        first, last = 0, len(self._keys)
        if bounds.low is not None:
            first = (bisect_left if bounds.low_in else bisect_right)(self._keys, bounds.low)
        if bounds.high is not None:
            last = (bisect_right if bounds.high_in else bisect_left)(self._keys, bounds.high)
        return ((1 << last) - 1) & ~((1 << first) - 1)


def _values(column: Column, named: set[Key]) -> Iterator[Atom]:
    if column.members is not None:
        yield from (Atom(key, key, key) for key in _in_order(column.members))
    elif column.kind is ValueType.BOOLEAN:
        yield from (Atom(key, key, key) for key in (False, True))
    elif not KINDS[column.kind].ordered:
        yield from (Atom(key, key, key) for key in _in_order(named))
        yield Atom(_unnamed_text(named), rest=True)
    else:
        yield from _ordered(column, named)


def _in_order(keys: Iterable[Key]) -> list[Key]:
    return sorted(keys)


def _unnamed_text(named: set[Key]) -> str:
    """A text that no condition names."""
    candidates = ("other", *(f"other-{number}" for number in range(1, len(named) + 1)))
    return next(each for each in candidates if each not in named)


# ---------------------------------------------------------------- ordered types
def _ordered(column: Column, named: set[Key]) -> Iterator[Atom]:
    ends: list[Any] = [key for key in (column.low, column.high) if key is not None]
    cuts: list[Any] = _in_order(named | set(ends))
    for low, high in zip([None, *cuts], [*cuts, None], strict=True):
        if _inside(column, low, high) and (between := _between(column, low, high)) is not None:
            yield between
        if high is not None and _inside(column, high, high):
            yield Atom(high, high, high)


def _inside(column: Column, low: Any, high: Any) -> bool:
    """Whether a part lies within the bounds of the input, which are cuts themselves."""
    return (column.low is None or (low is not None and low >= column.low)) and (
        column.high is None or (high is not None and high <= column.high)
    )


def _between(column: Column, low: Any, high: Any) -> Atom | None:
    """The atom strictly between two cuts; None if no value lies there."""
    step: Any = column.step
    if step is None:
        key = _number_between(low, high)
        return Atom(key, low, high, low_in=False, high_in=False)
    first = None if low is None else EXACT.add(Decimal(low), Decimal(step))
    last = None if high is None else EXACT.subtract(Decimal(high), Decimal(step))
    if first is not None and last is not None and first > last:
        return None
    first, last = (_typed(column, each) for each in (first, last))
    key = first if first is not None else last if last is not None else _typed(column, Decimal(0))
    return Atom(key, first, last)


def _typed(column: Column, value: Decimal | None) -> Any:
    return value if value is None or column.kind is ValueType.NUMBER else int(value)


def _number_between(low: Any, high: Any) -> Decimal:
    """A number strictly between two others, with as few digits as possible."""
    if low is None:
        return Decimal(0) if high is None else EXACT.subtract(Decimal(high), Decimal(1))
    if high is None:
        return EXACT.add(Decimal(low), Decimal(1))
    low, high = Decimal(low), Decimal(high)
    unit = Decimal(1)
    while True:
        middle = EXACT.divide_int(EXACT.add(low, high), EXACT.multiply(unit, Decimal(2)))
        for aside in (0, 1, -1):
            candidate = EXACT.multiply(EXACT.add(middle, Decimal(aside)), unit)
            if low < candidate < high:
                return candidate
        unit = unit.scaleb(-1)


# ---------------------------------------------------------------- text
def described(column: Column, atoms: Sequence[Atom], chosen: Iterable[int]) -> str:
    """Write the chosen atoms as a condition of the input."""
    places = sorted(chosen)
    if any(atoms[place].rest for place in places):
        left = set(range(len(atoms))) - set(places)
        return f"not({', '.join(_atom_text(column, atoms[place]) for place in sorted(left))})"
    values = [place for place in places if atoms[place].key is not None]
    if KINDS[column.kind].ordered and column.members is None:
        texts = [_part(column, atoms[first], atoms[last]) for first, last in _sequences(values)]
    else:
        texts = [_atom_text(column, atoms[place]) for place in values]
    if len(values) < len(places):
        texts.append("null")
    return ", ".join(texts)


def _atom_text(column: Column, atom: Atom) -> str:
    return text_of(column.kind, atom.key) if atom.key is not None else "null"


def _sequences(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and the last of each sequence of neighbours."""
    start = None
    for place in places:
        if start is None:
            start = previous = place
        elif place != previous + 1:
            yield start, previous
            start = place
        previous = place
    if start is not None:
        yield start, previous


def _part(column: Column, first: Atom, last: Atom) -> str:
    low, high = first.low, last.high
    if low is None and high is None:
        return "not(null)"
    if low is None:
        return f"{'<=' if last.high_in else '<'} {text_of(column.kind, high)}"  # type: ignore[arg-type]  # one of the two is there
    if high is None:
        return f"{'>=' if first.low_in else '>'} {text_of(column.kind, low)}"
    if first is last and low == high:
        return text_of(column.kind, low)
    opening, closing = "[" if first.low_in else "(", "]" if last.high_in else ")"
    return f"{opening}{text_of(column.kind, low)}..{text_of(column.kind, high)}{closing}"
