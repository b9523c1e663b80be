"""Save versions of entries of every kind, safe under concurrent writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import case, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from coe.catalog.links import Link
from coe.catalog.models import (
    LIVE,
    Entry,
    EntryAlias,
    EntryKind,
    EntryLink,
    EntryVersion,
    FlowKind,
    Lifecycle,
    LinkKind,
)
from coe.catalog.records import ENTRY_COLUMNS, VERSION_COLUMNS, SavedVersion
from coe.catalog.search.document import SearchDocument, search_document_of, write_search_document
from coe.catalog.semver import parse_version, precedence
from coe.catalog.tables import ENTRIES, LINKS, VERSIONS
from coe.catalog.versions.lifecycle import DISPLAY_ORDER
from coe.catalog.versions.sealing import problems_from_json, problems_to_json, seal, unseal
from coe.db import new_id
from coe.errors import Invalid, Problem
from coe.json_types import JSON
from coe.work import Work

_CALLED = frozenset({EntryKind.DECISION, EntryKind.FLOW})
_LOCK = 0x0C0E_CA7A
"""Advisory lock of catalog writes: each may also update the entries that it links to."""


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version to save; `content` and `schemas` are sealed.

    `path` is the pointer of the version number in its document, for problems.
    """

    kind: EntryKind
    flow_kind: FlowKind | None
    namespace: str
    name: str
    version: str
    search_document: SearchDocument
    digest: str
    body_digest: str
    content: JSON
    schemas: JSON
    path: str
    problems: tuple[Problem, ...] = ()
    links: tuple[Link, ...] = ()
    engine: str | None = None
    changelog: str | None = None
    line: int | None = field(default=None, compare=False)
    column: int | None = field(default=None, compare=False)


async def lock_catalog(session: AsyncSession) -> None:
    """Lock the catalog against other writers until the end of this transaction."""
    await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


async def save_version(work: Work, new: NewVersion) -> tuple[Entry, EntryVersion, bool]:
    """Add a version as a draft, or find the one with the same content; True if it was added.

    Raises:
        Invalid: An entry of another kind has the name, or the version exists with other content.
    """
    await lock_catalog(work.session)
    entry = await _entry(work, new)
    existing = await work.session.scalar(
        select(EntryVersion).where(
            col(EntryVersion.entry_id) == entry.id,
            col(EntryVersion.version) == new.version,
        ),
    )
    if existing is not None:
        if existing.digest != new.digest:
            raise Invalid([await _taken(work.session, entry, new)])
        return entry, existing, False
    version = await _version(work, entry, new)
    await refresh_entry(work, entry)
    return entry, version, True


async def saved_version(
    work: Work,
    entry: Entry,
    version: EntryVersion,
    *,
    created: bool,
) -> SavedVersion:
    """The result of a verb that saves: the records, and the warnings stored with the version."""
    column, sealed = "problems_sealed", version.problems_sealed
    opened = await unseal(work.keyring, version.id, version.team, column, sealed)
    problems = problems_from_json(opened)
    return SavedVersion(ENTRY_COLUMNS.of(entry), VERSION_COLUMNS.of(version), problems, created)


async def refresh_entry(work: Work, entry: Entry) -> None:
    """Set the entry's current version: `live`, or else the newest in the most advanced state."""
    session = work.session
    await session.flush()
    live = (
        select(col(EntryAlias.version_id))
        .where(col(EntryAlias.entry_id) == entry.id, col(EntryAlias.alias) == LIVE)
        .scalar_subquery()
    )
    rank = case(
        {state: place for place, state in enumerate(DISPLAY_ORDER)},
        value=col(EntryVersion.lifecycle),
    )
    current = await session.scalar(
        select(EntryVersion)
        .where(col(EntryVersion.entry_id) == entry.id)
        .order_by(
            (col(EntryVersion.id) == func.coalesce(live, entry.id)).desc(),
            rank,
            col(EntryVersion.precedence).desc(),
        )
        .limit(1),
    )
    if current is None:
        return
    before = entry.current_version_id
    entry.lifecycle = current.lifecycle
    entry.current_version = current.version
    entry.current_version_id = current.id
    entry.updated_at = work.now
    write_search_document(entry, search_document_of(current))
    await session.flush()
    if entry.kind in _CALLED and before != current.id:
        await _count_callers(session, entry, [each for each in (before, current.id) if each])


async def _entry(work: Work, new: NewVersion) -> Entry:
    """The entry of the name, created if it is missing."""
    values = {
        "id": new_id(),
        "kind": new.kind,
        "flow_kind": new.flow_kind,
        "namespace": new.namespace,
        "name": new.name,
        "team": new.namespace,
        "title": new.search_document.title,
        "summary": new.search_document.summary,
        "tags": [],
        "systems": [],
        "data_class": new.search_document.data_class,
        "lifecycle": Lifecycle.DRAFT,
        "uses": 0,
        "created_at": work.now,
        "updated_at": work.now,
    } | dict.fromkeys(
        ("search_title", "search_tags", "search_summary", "search_body", "search_words"),
        "",
    )
    await work.session.execute(insert(ENTRIES).values(values).on_conflict_do_nothing())
    entry = await work.session.scalar(
        select(Entry).where(
            col(Entry.namespace) == new.namespace,
            col(Entry.name) == new.name,
        ),
    )
    if entry is None or (entry.kind, entry.flow_kind) != (new.kind, new.flow_kind):
        taken = (
            " ".join(part.lower() for part in (entry.flow_kind, entry.kind) if part)
            if entry
            else "entry"
        )
        message = f"{new.namespace}/{new.name} is the name of a {taken} already"
        raise Invalid([_at_version(new, "INPUT_NAME", message, "choose another name")])
    return entry


async def _version(work: Work, entry: Entry, new: NewVersion) -> EntryVersion:
    parsed = parse_version(new.version)
    if parsed is None:
        raise Invalid([_at_version(new, "INPUT_VERSION", "this is not an exact version", None)])
    version = EntryVersion(
        entry_id=entry.id,
        kind=new.kind,
        flow_kind=new.flow_kind,
        namespace=new.namespace,
        name=new.name,
        team=entry.team,
        data_class=new.search_document.data_class,
        version=new.version,
        precedence=precedence(parsed),
        lifecycle=Lifecycle.DRAFT,
        digest=new.digest,
        body_digest=new.body_digest,
        signature=work.platform.signer.sign_digest(new.digest),
        engine=new.engine,
        changelog=new.changelog,
        card=new.search_document.to_json(),
        content_sealed=b"",
        schemas_sealed=b"",
        problems_sealed=b"",
        created_at=work.now,
        created_by=work.actor.subject,
    )
    problems = problems_to_json(new.problems)
    version.content_sealed = await seal(work.keyring, version, "content_sealed", new.content)
    version.schemas_sealed = await seal(work.keyring, version, "schemas_sealed", new.schemas)
    version.problems_sealed = await seal(work.keyring, version, "problems_sealed", problems)
    work.session.add(version)
    await work.session.flush()
    work.session.add_all(
        EntryLink(
            version_id=version.id,
            kind=link.kind,
            target_namespace=link.namespace,
            target_name=link.name,
            selector=link.selector,
        )
        for link in dict.fromkeys(new.links)
    )
    return version


async def _taken(session: AsyncSession, entry: Entry, new: NewVersion) -> Problem:
    highest = await session.scalar(
        select(VERSIONS.c.version)
        .where(VERSIONS.c.entry_id == entry.id)
        .order_by(VERSIONS.c.precedence.desc())
        .limit(1),
    )
    message = (
        f"version {new.version} of {new.namespace}/{new.name} exists already, with other content"
    )
    help = f"a version never changes: use a number above {highest}"
    return _at_version(new, "INPUT_VERSION", message, help)


def _at_version(new: NewVersion, code: str, message: str, help: str | None) -> Problem:
    return Problem(code, message, path=new.path, line=new.line, column=new.column, help=help)


async def _count_callers(session: AsyncSession, entry: Entry, version_ids: list[UUID]) -> None:
    """Update `uses` of this entry and of the entries that these versions call."""
    caller = ENTRIES.alias("caller")
    callers = (
        select(func.count(caller.c.id.distinct()))
        .join(LINKS, LINKS.c.version_id == caller.c.current_version_id)
        .where(
            LINKS.c.kind == LinkKind.CALLS,
            LINKS.c.target_namespace == ENTRIES.c.namespace,
            LINKS.c.target_name == ENTRIES.c.name,
        )
        .scalar_subquery()
    )
    targets = (
        select(LINKS.c.version_id)
        .where(
            LINKS.c.version_id.in_(version_ids),
            LINKS.c.kind == LinkKind.CALLS,
            LINKS.c.target_namespace == ENTRIES.c.namespace,
            LINKS.c.target_name == ENTRIES.c.name,
        )
        .exists()
    )
    counted = ENTRIES.update().where(or_(targets, ENTRIES.c.id == entry.id))
    await session.execute(counted.values(uses=callers))
    await session.refresh(entry, ["uses"])
