"""Check a flow's document by the language and the standards, given the catalog's entries."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import ColumnElement, select, tuple_

from coe.catalog.flows.computed import check_text
from coe.catalog.flows.documents import FlowDocument
from coe.catalog.links import Link
from coe.catalog.models import EntryKind, LinkKind
from coe.catalog.names import check_names, known_names, of_any_team, similar_entries
from coe.catalog.records import VersionRecord
from coe.catalog.scope import readable_versions
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.catalog.versions.resolution import resolve
from coe.catalog.versions.sealing import unseal
from coe.errors import Problem
from coe.json_types import JSON
from coe.language.lint import Catalogued, KnownFlow, Stage, at_stage, in_order, published
from coe.language.names.directory import name_problems
from coe.language.names.references import named_by, references_of
from coe.work import Read


async def check(
    read: Read,
    document: FlowDocument,
    stage: Stage = Stage.DRAFT,
    *,
    sample: bool = False,
) -> tuple[Problem, ...]:
    """All problems of a document at a stage: every door asks this function.

    Called flows and decision tables are searched among those that the actor may read: another one
    has the answer of one that does not exist. So have other names (`coe.catalog.names`). What a
    draft may still lack is in `coe.language.lint.stages`. A `sample` stands for the flows that a
    template gives, whose team and owner are not known: the team may have every role.
    """
    standards = published(read.platform.settings.content_dir)
    text, team = document.source.text, document.namespace
    definition = document.definition
    if definition is None:
        problems = await read.compute(check_text, text, None, standards, stage)
        named = await check_names(read, document.source, named_by(document.source.data), team)
        return problems + at_stage(named, stage)
    problems = await read.compute(check_text, text, await _known(read, document), standards, stage)
    references = tuple(references_of(definition))
    names = await known_names(read, references, team)
    if sample:
        names = of_any_team(names, team, document.search_document.process_owner)
    found = await asyncio.to_thread(
        lambda: tuple(name_problems(document.source, references, names, team=team))
    )
    return in_order((*problems, *at_stage(found, stage)))


async def _known(read: Read, document: FlowDocument) -> Catalogued:
    """The flows and tables that a document calls, by the ref as written."""
    called = {str(link): link for link in document.links if link.kind is LinkKind.CALLS}
    available = readable_versions(read)
    flows = await _called(read, called, available, EntryKind.FLOW)
    decisions = await _called(read, called, available, EntryKind.DECISION)
    missing = {link.entry for ref, link in called.items() if ref not in flows | decisions}
    return Catalogued(
        flows,
        decisions,
        await similar_entries(read, missing, EntryKind.FLOW),
        await similar_entries(read, missing, EntryKind.DECISION),
    )


async def _called(
    read: Read,
    called: Mapping[str, Link],
    available: ColumnElement[bool],
    kind: EntryKind,
) -> dict[str, KnownFlow]:
    """The called entries of this kind, by ref."""
    entries = await _entries(read, called.values(), available, kind)
    keys = {
        ref: (entries[link.entry], link.selector or None)
        for ref, link in called.items()
        if link.entry in entries
    }
    versions = await resolve(read.session, list(keys.values()), available)
    schemas = await _input_schemas(read, versions.values())
    return {
        ref: KnownFlow(found.version, schemas.get(found.id), found.lifecycle)
        if (found := versions.get(key))
        else KnownFlow(None)
        for ref, key in keys.items()
    }


async def _entries(
    read: Read,
    links: Iterable[Link],
    available: ColumnElement[bool],
    kind: EntryKind,
) -> dict[str, UUID]:
    """The ids of the linked entries with an available version, by `namespace/name`."""
    names = sorted({(link.namespace, link.name) for link in links})
    query = (
        select(ENTRIES.c.id, ENTRIES.c.namespace, ENTRIES.c.name)
        .distinct()
        .join(VERSIONS, VERSIONS.c.entry_id == ENTRIES.c.id)
        .where(
            tuple_(ENTRIES.c.namespace, ENTRIES.c.name).in_(names),
            ENTRIES.c.kind == kind,
            available,
        )
    )
    rows = (await read.session.execute(query)).all()
    return {f"{row.namespace}/{row.name}": row.id for row in rows}


async def _input_schemas(read: Read, versions: Iterable[VersionRecord]) -> dict[UUID, JSON]:
    query = select(VERSIONS.c.id, VERSIONS.c.team, VERSIONS.c.schemas_sealed).where(
        VERSIONS.c.id.in_([version.id for version in versions]),
    )
    found: dict[UUID, JSON] = {}
    for ident, team, sealed in (await read.session.execute(query)).all():
        opened = await unseal(read.keyring, ident, team, "schemas_sealed", sealed)
        found[ident] = opened.get("input") if isinstance(opened, dict) else None
    return found
