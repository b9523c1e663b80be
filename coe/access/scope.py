"""What an actor may read, as one predicate: lists start from it and make no call per row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, false, or_, true

from coe.access.actor import DataClass

ALL_CLASSES = frozenset(DataClass)


@dataclass(frozen=True, slots=True)
class AccessScope:
    """Teams and data classes in which an actor holds a permission.

    `teams` are those that differ from `elsewhere`, which holds for every other team, known or
    not. It says for each pair of team and class what `Policy.decide` says.
    """

    elsewhere: frozenset[DataClass] = frozenset()
    teams: Mapping[str, frozenset[DataClass]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing at all is within it."""
        return not self.elsewhere and not any(self.teams.values())

    def allows(self, team: str, data_class: DataClass = DataClass.INTERNAL) -> bool:
        """Whether a thing of this team and class is within it."""
        return data_class in self.teams.get(team, self.elsewhere)

    def clause(
        self,
        team: ColumnElement[str],
        data_class: ColumnElement[Any] | None = None,
    ) -> ColumnElement[bool]:
        """A predicate over a column with team slugs and one with data classes.

        Without the second column every row counts as INTERNAL.
        """
        if data_class is None:
            return self._by_team(team)
        parts = [
            and_(team.in_(sorted(slugs)), _one_of(data_class, classes))
            for classes, slugs in self._grouped().items()
            if classes
        ]
        if self.elsewhere:
            others = _one_of(data_class, self.elsewhere)
            parts.append(and_(team.not_in(sorted(self.teams)), others) if self.teams else others)
        return or_(*parts) if parts else false()

    def _by_team(self, team: ColumnElement[str]) -> ColumnElement[bool]:
        inside = sorted(slug for slug in self.teams if self.allows(slug))
        outside = sorted(slug for slug in self.teams if not self.allows(slug))
        if DataClass.INTERNAL in self.elsewhere:
            return team.not_in(outside) if outside else true()
        return team.in_(inside) if inside else false()

    def _grouped(self) -> dict[frozenset[DataClass], list[str]]:
        grouped: dict[frozenset[DataClass], list[str]] = {}
        for slug, classes in self.teams.items():
            grouped.setdefault(classes, []).append(slug)
        return grouped


def _one_of(column: ColumnElement[Any], classes: frozenset[DataClass]) -> ColumnElement[bool]:
    return true() if classes == ALL_CLASSES else column.in_(sorted(classes))
