"""Verbs of decision tables; the lifecycle (submit, review, publish …) is the catalog's."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, true
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.permissions import Permission
from coe.audit.events import Tag
from coe.catalog.decision_tables.documents import DecisionEntry, opened_decision, read_decision
from coe.catalog.models import EntryKind
from coe.catalog.names import check_names
from coe.catalog.records import VERSION_COLUMNS, SavedVersion, VersionRecord
from coe.catalog.refs import require_ref
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.catalog.versions.lifecycle import RUNNABLE
from coe.catalog.versions.resolution import resolve
from coe.catalog.versions.saving import NewVersion, save_version, saved_version
from coe.catalog.versions.sealing import unseal
from coe.catalog.versions.signatures import require_published
from coe.confined.budget import BudgetSpent
from coe.decisions.table import DecisionTable
from coe.errors import Conflict, Invalid, NotFound, Problem
from coe.language.lint.stages import Stage, at_stage
from coe.language.names.references import named_by_table
from coe.work import Platform, Read, Work

_VERSION = "/decision/version"


@dataclass(frozen=True, slots=True)
class DecisionPreview:
    """What a registration would save, and its problems; without an entry if it has errors."""

    definition: str
    digest: str
    problems: tuple[Problem, ...]
    entry: DecisionEntry | None


async def register_decision(
    work: Work, manifest: str, *, changelog: str | None = None, tests: str | None = None
) -> SavedVersion:
    """Save a version of a decision table as a draft, or replace the draft.

    For content that is already saved it returns the existing version, and records nothing.
    `changelog` and `tests` are as for `coe.catalog.actions.register_flow`.

    Raises:
        Invalid: The document has errors, such as gaps and overlaps; nothing is saved.
        Forbidden: `decision:register` in the team of its namespace is refused.
        Conflict: The version was submitted already, with other content.
    """
    entry, problems, source = await work.compute(read_decision, manifest)
    if entry is None:
        raise Invalid(problems)
    about = entry.table.document.decision
    decision = work.require(
        Permission.DECISION_REGISTER,
        resource=entry.resource,
        team=about.namespace,
        data_class=entry.search_document.data_class,
    )
    problems += await _names(work, entry)
    position = source.locate(_VERSION) if source else None
    new = NewVersion(
        kind=EntryKind.DECISION,
        flow_kind=None,
        namespace=about.namespace,
        name=about.name,
        version=about.version,
        search_document=entry.search_document,
        digest=entry.table.digest,
        body_digest=entry.body_digest,
        content={"definition": entry.table.source.text},
        schemas=entry.schemas,
        path=_VERSION,
        problems=problems,
        links=entry.links,
        changelog=changelog,
        tests=tests,
        line=position.line if position else None,
        column=position.column if position else None,
    )
    saving = await save_version(work, new)
    if saving.changed:
        await work.record(
            Tag.CATALOG_DECISION_REGISTER,
            resource=entry.resource,
            team=saving.entry.team,
            decision=decision,
            detail=saving.detail(changelog=changelog),
        )
    return await saved_version(work, saving)


async def check_decision(work: Work, manifest: str) -> DecisionPreview:
    """Preview what `register_decision` would save and report; nothing is saved.

    Raises:
        Forbidden: The actor may check tables (`decision:check`) in no team.
    """
    work.require_somewhere(Permission.DECISION_CHECK, resource="decision:new")
    try:
        entry, problems, _ = await work.compute(read_decision, manifest)
    except BudgetSpent as spent:
        return DecisionPreview(manifest, "", spent.problems, None)
    if entry is not None:
        problems += (*await _names(work, entry), *_refused(work, entry))
    return DecisionPreview(manifest, entry.table.digest if entry else "", problems, entry)


async def resolve_decision(session: AsyncSession, ref: str) -> VersionRecord:
    """The version of a table that a run uses, as for `contents.runnable`.

    Raises:
        NotFound: There is no such table, or the ref resolves to no version.
        Conflict: The version is a draft, in review or retired.
    """
    parsed = require_ref(ref)
    entry_id = await session.scalar(
        select(ENTRIES.c.id).where(
            ENTRIES.c.namespace == parsed.namespace,
            ENTRIES.c.name == parsed.name,
            ENTRIES.c.kind == EntryKind.DECISION,
        ),
    )
    if entry_id is None:
        raise NotFound(f"there is no decision table {parsed.entry}")
    key = (entry_id, parsed.selector)
    version = (await resolve(session, [key], true())).get(key)
    if version is None:
        raise NotFound(f"{ref} names no version that was published")
    if version.lifecycle not in RUNNABLE:
        raise Conflict(f"{version.ref} is {version.lifecycle}: only a published version decides")
    return version


async def signed_table(session: AsyncSession, holder: Read | Platform, ref: str) -> DecisionTable:
    """The table of an exact ref, as it was published; a run keeps it when it is retired.

    Raises:
        NotFound: There is no such version.
        NotAsPublished: It is not what was published.
        Conflict: The document is no longer valid.
    """
    parsed = require_ref(ref, exact=True)
    query = select(*VERSION_COLUMNS, VERSIONS.c.content_sealed).where(
        VERSIONS.c.namespace == parsed.namespace,
        VERSIONS.c.name == parsed.name,
        VERSIONS.c.version == parsed.selector,
        VERSIONS.c.kind == EntryKind.DECISION,
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"there is no decision table {ref}")
    version = VERSION_COLUMNS.record(row)
    column, sealed = "content_sealed", row.content_sealed
    opened = await unseal(holder.keyring, version.id, version.team, column, sealed)
    table = await holder.compute(opened_decision, opened)
    await require_published(holder, version, table.digest)
    return table


async def _names(read: Read, entry: DecisionEntry) -> tuple[Problem, ...]:
    """The problems of the names in a draft."""
    source, team = entry.table.source, entry.table.document.decision.namespace
    found = await check_names(read, source, named_by_table(source.data), team)
    return at_stage(found, Stage.DRAFT)


def _refused(read: Read, entry: DecisionEntry) -> tuple[Problem, ...]:
    """The problem that the actor may not save a table in its namespace, if so."""
    team, data_class = entry.table.document.decision.namespace, entry.search_document.data_class
    decision = read.decide(Permission.DECISION_REGISTER, team=team, data_class=data_class)
    if decision.allowed:
        return ()
    message = f"you may not save tables of `{team}`: {decision.explanation}"
    place = "/decision/namespace"
    return (entry.table.source.problem("INPUT_NAMESPACE", message, place, value=True),)
