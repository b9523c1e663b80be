"""What an actor may read, as one SQL predicate, so that lists need no decision per row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, false, or_, true

from coe.access.actor import DataClass

ALL_CLASSES = frozenset(DataClass)


@dataclass(frozen=True, slots=True)
class AccessScope:
    """Teams and data classes in which an actor has a permission.

    `elsewhere` holds for every team that is not in `teams`, known or not. For each pair of team and
    class, the scope agrees with `Policy.decide`.
    """

    elsewhere: frozenset[DataClass] = frozenset()
    teams: Mapping[str, frozenset[DataClass]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether it allows nothing."""
        return not self.elsewhere and not any(self.teams.values())

    def allows(self, team: str, data_class: DataClass = DataClass.INTERNAL) -> bool:
        """Whether it allows a resource of this team and class."""
        return data_class in self.teams.get(team, self.elsewhere)

    def within(self, other: AccessScope) -> bool:
        """Whether the other scope allows all that this one does."""
        teams = {*self.teams, *other.teams}
        return self.elsewhere <= other.elsewhere and all(
            self.teams.get(team, self.elsewhere) <= other.teams.get(team, other.elsewhere)
            for team in teams
        )

    def of_team(self, team: str) -> AccessScope:
        """What it allows of one team."""
        return AccessScope(teams={team: self.teams.get(team, self.elsewhere)})

    def clause(
        self,
        team: ColumnElement[str],
        data_class: ColumnElement[Any] | None = None,
    ) -> ColumnElement[bool]:
        """The predicate over a column of team slugs and one of data classes.

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
