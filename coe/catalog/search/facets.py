"""Facets: counts of the found entries by property; each facet ignores its own filter."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    Text,
    and_,
    cast,
    func,
    literal,
    select,
    true,
    union_all,
)

from coe.catalog.records import Facet, FacetValue
from coe.catalog.scope import readable_versions
from coe.catalog.search.filters import CatalogFilter, predicates
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.work import Read

_TOTAL = ""
_MAX_VALUES = 50
_SINGLE = {
    "kinds": "kind",
    "owners": "team",
    "domains": "domain",
    "dataClasses": "data_class",
}
_MANY = {"tags": "tags", "systems": "systems", "lifecycles": "states"}
FACET_NAMES = ("kinds", "owners", "tags", "domains", "systems", "lifecycles", "dataClasses")


async def count(
    read: Read,
    matched: ColumnElement[bool],
    wanted: CatalogFilter,
    *,
    with_facets: bool,
) -> tuple[int, tuple[Facet, ...]]:
    """The number of matching entries, and their numbers by the values of each property.

    Args:
        read: One statement is executed.
        matched: The predicate of the text and of the actor's scope, without the filter.
        wanted: The filter.
        with_facets: If false, only the total is counted.
    """
    narrowing = predicates(read, wanted)
    base = _base(read, matched, narrowing)
    parts = [select(literal(_TOTAL), literal(_TOTAL), func.count()).where(_flags(base, narrowing))]
    if with_facets:
        parts += [_values(base, name, narrowing) for name in FACET_NAMES]
    rows = (await read.session.execute(union_all(*parts))).all()
    counted: defaultdict[str, list[FacetValue]] = defaultdict(list)
    for name, value, number in rows:
        counted[name].append(FacetValue(value, number))
    total = counted[_TOTAL][0].count
    if not with_facets:
        return total, ()
    return total, tuple(Facet(name, _most_frequent(counted[name])) for name in FACET_NAMES)


def _base(
    read: Read, matched: ColumnElement[bool], narrowing: dict[str, ColumnElement[bool]]
) -> CTE:
    stored = (*_SINGLE.values(), "tags", "systems")
    states = (
        select(cast(VERSIONS.c.lifecycle, Text))
        .distinct()
        .where(VERSIONS.c.entry_id == ENTRIES.c.id, readable_versions(read))
    )
    properties = [
        *(ENTRIES.c[column] for column in stored),
        func.array(states.scalar_subquery()).label("states"),
    ]
    flags = [
        func.coalesce(predicate, False).label(f"in_{name}") for name, predicate in narrowing.items()
    ]
    return select(*properties, *flags).where(matched).cte("base")


def _flags(base: CTE, names: set[str] | dict[str, ColumnElement[bool]]) -> ColumnElement[bool]:
    return and_(true(), *(base.c[f"in_{name}"] for name in sorted(names)))


def _values(
    base: CTE,
    name: str,
    narrowing: dict[str, ColumnElement[bool]],
) -> Select[str, str, int]:
    others = _flags(base, {other for other in narrowing if other != name})
    value: ColumnElement[str] = (
        cast(base.c[_SINGLE[name]], Text) if name in _SINGLE else func.unnest(base.c[_MANY[name]])
    )
    found = select(value.label("value")).where(others).subquery()
    return (
        select(literal(name), found.c.value, func.count())
        .where(found.c.value.is_not(None))
        .group_by(found.c.value)
    )


def _most_frequent(values: list[FacetValue]) -> tuple[FacetValue, ...]:
    return tuple(sorted(values, key=lambda each: (-each.count, each.value))[:_MAX_VALUES])
