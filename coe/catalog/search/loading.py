"""Entries as the index of the search has them, read from the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, Text, Uuid, any_, bindparam, cast, select
from sqlalchemy.dialects.postgresql import ARRAY

from coe.access.actor import DataClass
from coe.catalog.search.document import SearchDocument
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.db.plans import Connections, Plan
from coe.search.entries import IndexedEntry, VersionState
from coe.search.words import spaced

BATCH: Final = 2_000
_IDS: Final = ARRAY(Uuid)
_NAMES: Final = (
    *("id", "namespace", "name", "kind", "team", "title", "summary", "data_class", "lifecycle"),
    *("updated_at", "uses", "tags", "systems", "domain", "process_owner", "deputy"),
)


def _entries() -> Select[Any]:
    current = VERSIONS.alias("current")
    return select(*(ENTRIES.c[name] for name in _NAMES), cast(current.c.card, Text)).outerjoin(
        current, current.c.id == ENTRIES.c.current_version_id
    )


def _versions() -> Select[Any]:
    card = VERSIONS.c.card
    return select(
        VERSIONS.c.entry_id,
        VERSIONS.c.lifecycle,
        VERSIONS.c.data_class,
        card["process_owner"].astext.label("process_owner"),
        card["deputy"].astext.label("deputy"),
        VERSIONS.c.created_by,
        VERSIONS.c.editors,
    )


_SOME: Final = Plan(_entries().where(ENTRIES.c.id == any_(bindparam("ids", type_=_IDS))))
_OF_SOME: Final = Plan(_versions().where(VERSIONS.c.entry_id == any_(bindparam("ids", type_=_IDS))))
_NEXT: Final = Plan(
    _entries()
    .where(ENTRIES.c.id > bindparam("after", type_=ENTRIES.c.id.type))
    .order_by(ENTRIES.c.id)
    .limit(BATCH)
)


async def entries_of(connections: Connections, ids: Sequence[UUID]) -> list[IndexedEntry]:
    """The entries with these ids, as they are now; those that are gone are left out."""
    rows = await _SOME.fetch(connections, ids=list(ids))
    return await _with_versions(connections, rows)


async def all_entries(connections: Connections) -> AsyncIterator[list[IndexedEntry]]:
    """All entries, in portions."""
    after = UUID(int=0)
    while rows := await _NEXT.fetch(connections, after=after):
        yield await _with_versions(connections, rows)
        after = rows[-1][0]


async def _with_versions(
    connections: Connections, rows: Sequence[Sequence[Any]]
) -> list[IndexedEntry]:
    states: defaultdict[UUID, list[VersionState]] = defaultdict(list)
    found = await _OF_SOME.fetch(connections, ids=[row[0] for row in rows])
    for ident, state, data_class, owner, deputy, author, editors in found:
        authors = tuple(dict.fromkeys((author, *editors)))
        owners = _persons(owner, deputy)
        states[ident].append(VersionState(state.value, data_class.value, owners, authors))
    return [_entry(row, tuple(states[row[0]])) for row in rows]


def _entry(row: Sequence[Any], versions: tuple[VersionState, ...]) -> IndexedEntry:
    values = dict(zip(_NAMES, row, strict=False))
    owners = _persons(values.pop("process_owner"), values.pop("deputy"))
    for name in ("kind", "data_class", "lifecycle"):
        values[name] = values[name].value
    for name in ("tags", "systems"):
        values[name] = tuple(values[name])
    card = row[len(_NAMES)]
    return IndexedEntry(**values, **_described(card), owners=owners, versions=versions)


def _described(card: str | None) -> dict[str, Any]:
    """What the card of the current version says beside the columns of its entry."""
    if card is None:
        return {}
    about = SearchDocument.model_validate_json(card)
    return {
        "description": about.description,
        "parameters": about.parameters,
        "steps": about.steps,
    }


def _persons(*subjects: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for each in subjects if each))


def texts_of(document: SearchDocument, ref: str) -> Iterable[tuple[str, str]]:
    """The fields that a highlight may be in, by name, the weightiest first."""
    yield "title", document.title
    yield "ref", ref
    yield "tags", ", ".join(document.tags)
    yield "summary", document.summary
    yield "parameters", " · ".join(map(spaced, document.parameters))
    yield "steps", ", ".join(map(spaced, document.steps))
    yield "description", document.description
    yield "domain", document.domain or ""
    yield "systems", ", ".join(document.systems)


ALL_CLASSES: Final = frozenset(each.value for each in DataClass)
