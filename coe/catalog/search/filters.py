"""Filters: the properties of wanted entries, for the index and for statements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists

from coe.access.actor import DataClass
from coe.catalog.models import EntryKind, Lifecycle
from coe.catalog.refs import require_entries
from coe.catalog.scope import readable_versions
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.errors import Invalid, Problem
from coe.identifiers import is_slug
from coe.search.asking import Criterion
from coe.work import Read


@dataclass(frozen=True, slots=True)
class CatalogFilter:
    """The properties of wanted entries; one value of each tuple that is not empty must match.

    `owners` are slugs of teams, `systems` are refs. `lifecycles` are the states of versions: an
    entry is found if the actor may read a version of it in one of them, whatever its current
    version is. Without `lifecycles`, entries whose current version is RETIRED are excluded.
    """

    kinds: tuple[EntryKind, ...] = ()
    owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    lifecycles: tuple[Lifecycle, ...] = ()
    data_classes: tuple[DataClass, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether it has members of enumerations only: then there are few such statements."""
        return not (self.owners or self.tags or self.domains or self.systems)


def criteria(wanted: CatalogFilter) -> tuple[Criterion, ...]:
    """What narrows, by the name of the facet, as the index compares it.

    Raises:
        Invalid: An owner or a system can match nothing because of its form.
    """
    systems = require_entries(wanted.systems, "system", path="/filter/systems")
    given: dict[str, tuple[str, ...]] = {
        "kinds": tuple(each.value for each in wanted.kinds),
        "owners": _teams(wanted.owners),
        "tags": wanted.tags,
        "domains": wanted.domains,
        "systems": tuple(systems),
        "lifecycles": tuple(each.value for each in wanted.lifecycles),
        "dataClasses": tuple(each.value for each in wanted.data_classes),
    }
    return tuple(Criterion(facet, values) for facet, values in given.items() if values)


def predicates(read: Read, wanted: CatalogFilter) -> Iterator[ColumnElement[bool]]:
    """The predicates of a plain filter."""
    columns = ENTRIES.c
    if wanted.kinds:
        yield columns.kind.in_(wanted.kinds)
    if wanted.lifecycles:
        yield exists().where(
            VERSIONS.c.entry_id == columns.id,
            VERSIONS.c.lifecycle.in_(wanted.lifecycles),
            readable_versions(read),
        )
    else:
        yield columns.lifecycle != Lifecycle.RETIRED
    if wanted.data_classes:
        yield columns.data_class.in_(wanted.data_classes)


def _teams(owners: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(owner.removeprefix("team:") for owner in owners)
    problems = [
        Problem("INPUT_FILTER", f"{name!r} is not the name of a team", path=f"/filter/owners/{at}")
        for at, name in enumerate(names)
        if not is_slug(name)
    ]
    if problems:
        raise Invalid(problems)
    return names
