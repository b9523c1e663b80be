"""Search the combinations of a decision table's atoms for gaps, overlaps and unreachable rules.

Rules are bits of a number, so one `and` gives the rules that still match. Combinations that leave
the same rules are searched once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import Final

from coe.decisions.partitions import Atom, atoms_of, described, masks_of
from coe.decisions.table import DecisionTable, example_of
from coe.json_types import JSON
from coe.language.source import tokens

# Up to so many bits, taking the lowest one by one is faster than writing the number out.
_FEW_BITS: Final = 64


class FindingKind(StrEnum):
    """The kinds of findings."""

    GAP = "gap"
    OVERLAP = "overlap"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding: its rules, an example of a case, and the region of all such cases.

    `region` has a condition for each input that it restricts. An unreachable rule has no case.
    """

    kind: FindingKind
    rules: tuple[str, ...] = ()
    case: dict[str, JSON] | None = None
    region: Mapping[str, str] = field(default_factory=dict)


class TooLarge(Exception):
    """The table has more combinations than may be searched."""


class Search:
    """Searches the combinations of a table's atoms, in at most `steps` visits of an atom."""

    def __init__(self, table: DecisionTable, steps: int) -> None:
        self._table = table
        self._steps = steps
        self.atoms: list[tuple[Atom, ...]] = []
        # For each input, as bits: the atoms of each rule; the rules of each atom; for the atoms of
        # each rule, the rules that match any of them.
        self._of_rule: list[list[int]] = []
        self._of_atom: list[list[int]] = []
        self._touched: list[dict[int, int]] = []
        for place, column in enumerate(table.columns):
            conditions = [rule.conditions[place] for rule in table.rules]
            atoms = atoms_of(column, conditions)
            known = masks_of(conditions, atoms)
            masks = [known[condition] for condition in conditions]
            self.atoms.append(atoms)
            self._of_rule.append(masks)
            self._of_atom.append(_transposed(masks, len(atoms)))
            self._touched.append(_touching_rules(masks, self._of_atom[-1]))
        self._free = self._free_from()
        self._all = (1 << len(table.rules)) - 1

    # ------------------------------------------------------------ gaps
    def gaps(self) -> Iterator[Finding]:
        """The regions for which no rule fires."""
        known: dict[tuple[int, int], bool] = {}
        for chosen in self._holes(0, self._all, known, None):
            yield Finding(FindingKind.GAP, (), self._case(chosen), self._region(chosen))

    def _holes(
        self,
        place: int,
        active: int,
        known: dict[tuple[int, int], bool],
        within: Sequence[int] | None,
    ) -> Iterator[list[list[int]]]:
        """Regions in which no active rule matches, as atoms of the inputs from `place` on."""
        if active == 0:
            yield [_bits(self._bounds(at, within)) for at in range(place, len(self.atoms))]
        elif not self._covered(place, active, known, within):
            for left, chosen in self._groups(place, active, within).items():
                for rest in self._holes(place + 1, left, known, within):
                    yield [chosen, *rest]

    def _covered(
        self,
        place: int,
        active: int,
        known: dict[tuple[int, int], bool],
        within: Sequence[int] | None,
    ) -> bool:
        """Whether the active rules cover every case of the inputs from `place` on."""
        if active & self._free[place]:
            return True
        if active == 0:
            return False
        found = known.get((place, active))
        if found is None:
            groups = self._groups(place, active, within)
            found = all(self._covered(place + 1, left, known, within) for left in groups)
            known[place, active] = found
        return found

    def _groups(
        self, place: int, active: int, within: Sequence[int] | None
    ) -> dict[int, list[int]]:
        """The atoms of an input, grouped by the active rules that match them."""
        of_atom = self._of_atom[place]
        grouped: dict[int, list[int]] = {}
        for atom in _bits(self._bounds(place, within)):
            grouped.setdefault(active & of_atom[atom], []).append(atom)
        self._steps -= len(of_atom)
        if self._steps < 0:
            raise TooLarge
        return grouped

    def _bounds(self, place: int, within: Sequence[int] | None) -> int:
        return (1 << len(self.atoms[place])) - 1 if within is None else within[place]

    def _free_from(self) -> list[int]:
        """For each input the rules that have no condition on it and on those after it."""
        free = (1 << len(self._table.rules)) - 1
        found = [free]
        for atoms, masks in zip(reversed(self.atoms), reversed(self._of_rule), strict=True):
            whole = (1 << len(atoms)) - 1
            free &= sum(1 << place for place, each in enumerate(masks) if each == whole)
            found.append(free)
        return found[::-1]

    # ------------------------------------------------------------ overlaps
    def overlaps(self) -> Iterator[Finding]:
        """The pairs of rules that fire for one case."""
        rules = self._table.rules
        for second in range(len(rules)):
            before = self._touching(second) & ((1 << second) - 1)
            for first in _bits(before):
                chosen = [_bits(masks[first] & masks[second]) for masks in self._of_rule]
                names = (rules[first].id, rules[second].id)
                yield Finding(FindingKind.OVERLAP, names, self._case(chosen), self._region(chosen))

    def _touching(self, rule: int) -> int:
        """The rules that share a case with this one, itself among them, as bits."""
        shared = self._all
        for masks, touched in zip(self._of_rule, self._touched, strict=True):
            shared &= touched[masks[rule]]
        return shared

    # ------------------------------------------------------------ unreachable rules
    def unreachable(self, *, first: bool) -> Iterator[Finding]:
        """Rules with contradictory conditions; with `first` also rules whose cases others cover."""
        for place, rule in enumerate(self._table.rules):
            own = [masks[place] for masks in self._of_rule]
            if not all(own):
                yield Finding(FindingKind.UNREACHABLE, (rule.id,))
            elif first and place and (before := self._covering(place, own)):
                yield Finding(FindingKind.UNREACHABLE, (rule.id, *before))

    def _covering(self, place: int, own: Sequence[int]) -> tuple[str, ...]:
        """The rules before this one that cover all its cases: one, or all of them together."""
        rules = self._table.rules
        active = self._touching(place) & ((1 << place) - 1)
        touching = _bits(active)
        for other in touching:
            if all(
                masks[other] & each == each for masks, each in zip(self._of_rule, own, strict=True)
            ):
                return (rules[other].id,)
        if active and self._covered(0, active, {}, own):
            return tuple(rules[other].id for other in touching)
        return ()

    # ------------------------------------------------------------ examples and regions
    def _case(self, chosen: Sequence[Sequence[int]]) -> dict[str, JSON]:
        """A case of a region, as the input of a decision."""
        case: dict[str, JSON] = {}
        for column, atoms, places in zip(self._table.columns, self.atoms, chosen, strict=True):
            _put(case, tokens(column.path), example_of(column, atoms[places[0]].key))
        return case

    def _region(self, chosen: Sequence[Sequence[int]]) -> dict[str, str]:
        return {
            column.name: described(column, atoms, places)
            for column, atoms, places in zip(self._table.columns, self.atoms, chosen, strict=True)
            if len(places) < len(atoms)
        }


def _transposed(masks: Sequence[int], width: int) -> list[int]:
    """The rules of each atom, from the atoms of each rule."""
    found = [0] * width
    for rule, each in enumerate(masks):
        for atom in _bits(each):
            found[atom] |= 1 << rule
    return found


def _touching_rules(masks: Sequence[int], of_atom: Sequence[int]) -> dict[int, int]:
    """For each mask of atoms the rules that match one of them."""
    return {each: reduce(or_, (of_atom[atom] for atom in _bits(each)), 0) for each in set(masks)}


def _bits(number: int) -> list[int]:
    if number.bit_count() > _FEW_BITS:
        return [place for place, bit in enumerate(bin(number)[:1:-1]) if bit == "1"]
    found = []
    while number:
        lowest = number & -number
        found.append(lowest.bit_length() - 1)
        number ^= lowest
    return found


def _put(case: dict[str, JSON], path: Sequence[str], value: JSON) -> None:
    place = case
    for token in path[:-1]:
        inner = place.setdefault(token, {})
        if not isinstance(inner, dict):
            return
        place = inner
    place[path[-1]] = value
