"""What a caller may read, as terms of the index: the query changes with it, the index does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tantivy import Occur, Query, Schema


@dataclass(frozen=True, slots=True)
class Reach:
    """Data classes by team; `elsewhere` holds for every team that is not in `teams`.

    `every` are all classes that there are: a team with all of them needs no comparison.
    """

    elsewhere: frozenset[str] = frozenset()
    teams: Mapping[str, frozenset[str]] = field(default_factory=dict)
    every: frozenset[str] = frozenset()

    @property
    def whole(self) -> bool:
        """Whether it is everything."""
        return bool(self.every) and self.elsewhere == self.every and not self.teams

    def query(self, schema: Schema, prefix: str = "", classes: str = "data_class") -> Query:
        """The entries of these teams and classes; `classes` is a field of `prefix` and a class."""
        if self.whole and not prefix:
            return Query.all_query()
        parts: list[Query] = []
        for allowed, slugs in self._grouped().items():
            if not allowed:
                continue
            team = Query.term_set_query(schema, "team", slugs)
            if allowed == self.every and not prefix:
                parts.append(team)
            else:
                within = [prefix + each for each in sorted(allowed)]
                parts.append(both(team, Query.term_set_query(schema, classes, within)))
        if self.elsewhere:
            within = [prefix + each for each in sorted(self.elsewhere)]
            others = [(Occur.Must, Query.term_set_query(schema, classes, within))]
            if self.teams:
                own = Query.term_set_query(schema, "team", sorted(self.teams))
                others.append((Occur.MustNot, own))
            parts.append(Query.boolean_query(others))
        return either(parts)

    def _grouped(self) -> dict[frozenset[str], list[str]]:
        grouped: dict[frozenset[str], list[str]] = {}
        for slug, classes in self.teams.items():
            grouped.setdefault(classes, []).append(slug)
        return grouped


@dataclass(frozen=True, slots=True)
class Reader:
    """A caller: what it may read of all, of what it owns, and of versions that it wrote."""

    subject: str
    everything: Reach
    owned: Reach
    written: Reach

    def entries(self, schema: Schema) -> Query:
        """The entries that it may read."""
        if self.everything.whole:
            return Query.all_query()
        own = Query.term_query(schema, "owners", self.subject)
        return either([self.everything.query(schema), both(own, self.owned.query(schema))])

    def versions(self, schema: Schema, state: str) -> Query:
        """The entries of which it may read a version in this state."""
        prefix, subject = f"{state}|", f"|{self.subject}"
        parts = [self.everything.query(schema, prefix, "states")]
        for reach, name in ((self.owned, "state_owners"), (self.written, "state_authors")):
            widened = Reach(
                frozenset(each + subject for each in reach.elsewhere),
                {
                    team: frozenset(each + subject for each in classes)
                    for team, classes in reach.teams.items()
                },
            )
            parts.append(widened.query(schema, prefix, name))
        return either(parts)


def either(parts: list[Query]) -> Query:
    """What matches one of the queries."""
    if not parts:
        return Query.empty_query()
    return parts[0] if len(parts) == 1 else Query.boolean_query([(Occur.Should, p) for p in parts])


def both(*parts: Query) -> Query:
    """What matches all of the queries."""
    if len(parts) == 1:
        return parts[0]
    return Query.boolean_query([(Occur.Must, each) for each in parts])
