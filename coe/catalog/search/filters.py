"""Filters: one predicate for each property, so that a facet can leave out its own."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists

from coe.access.actor import DataClass
from coe.catalog.models import EntryKind, Lifecycle
from coe.catalog.refs import require_entries
from coe.catalog.scope import readable_versions
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.errors import Invalid, Problem
from coe.identifiers import is_slug
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


def predicates(read: Read, wanted: CatalogFilter) -> dict[str, ColumnElement[bool]]:
    """The predicate of each property that narrows, by the name of its facet.

    Raises:
        Invalid: An owner or a system can match nothing because of its form.
    """
    columns = ENTRIES.c
    found: dict[str, ColumnElement[bool]] = {}
    if wanted.kinds:
        found["kinds"] = columns.kind.in_(wanted.kinds)
    if wanted.owners:
        found["owners"] = columns.team.in_(_teams(wanted.owners))
    if wanted.tags:
        found["tags"] = columns.tags.overlap(list(wanted.tags))
    if wanted.domains:
        found["domains"] = columns.domain.in_(wanted.domains)
    if wanted.systems:
        systems = require_entries(wanted.systems, "system", path="/filter/systems")
        found["systems"] = columns.systems.overlap(list(systems))
    if wanted.lifecycles:
        found["lifecycles"] = exists().where(
            VERSIONS.c.entry_id == columns.id,
            VERSIONS.c.lifecycle.in_(wanted.lifecycles),
            readable_versions(read),
        )
    else:
        found["lifecycles"] = columns.lifecycle != Lifecycle.RETIRED
    if wanted.data_classes:
        found["dataClasses"] = columns.data_class.in_(wanted.data_classes)
    return found


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
