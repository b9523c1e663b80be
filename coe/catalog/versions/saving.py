"""Save versions of entries of every kind, safe under concurrent writes.

A draft is replaced by a save of its version number; a version that was submitted never changes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from coe.access.permissions import Permission
from coe.catalog.links import Link
from coe.catalog.models import Entry, EntryKind, EntryLink, EntryVersion, FlowKind, Lifecycle
from coe.catalog.owners import CARD_CODES
from coe.catalog.records import ENTRY_COLUMNS, VERSION_COLUMNS, SavedVersion
from coe.catalog.scope import relations_to
from coe.catalog.search.document import SearchDocument
from coe.catalog.semver import parse_version, precedence
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.catalog.versions.current import count_callers, link_targets, refresh_entry
from coe.catalog.versions.sealing import (
    problems_from_json,
    problems_to_json,
    seal,
    seal_text,
    unseal,
)
from coe.db import new_id
from coe.errors import Conflict, Invalid, Problem
from coe.json_types import JSON
from coe.work import Work

_LOCK = 0x0C0E_CA7A
"""Advisory lock of catalog writes: each may also update the entries that it links to."""
REGISTER: Final = {
    EntryKind.DECISION: Permission.DECISION_REGISTER,
    EntryKind.FLOW: Permission.FLOW_REGISTER,
    EntryKind.SYSTEM: Permission.FLOW_REGISTER,
    EntryKind.TEMPLATE: Permission.TEMPLATE_REGISTER,
}
"""The permission to save, replace and delete drafts of each kind."""
_CARD = set(CARD_CODES.columns)


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version to save; `content`, `schemas`, `tests` and `changelog` are sealed.

    `tests` is the text of a tests.yaml: None keeps those of a draft that is replaced, and an empty
    text removes them; None keeps its changelog too. Without `may_replace` the version must be new:
    its number was chosen for it. `path` is the pointer of the version number in
    its document, for problems.
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
    tests: str | None = None
    may_replace: bool = True
    line: int | None = field(default=None, compare=False)
    column: int | None = field(default=None, compare=False)

    @property
    def ref(self) -> str:
        """`namespace/name@version`."""
        return f"{self.namespace}/{self.name}@{self.version}"


class SaveOutcome(StrEnum):
    """What a save did."""

    CREATED = "CREATED"
    REPLACED = "REPLACED"
    UNCHANGED = "UNCHANGED"


@dataclass(frozen=True, slots=True)
class Saving:
    """A version that was saved; `before` has the digests of the draft that it replaced."""

    entry: Entry
    version: EntryVersion
    outcome: SaveOutcome
    before: JSON = None

    @property
    def changed(self) -> bool:
        """Whether anything was written, so that the verb records it."""
        return self.outcome is not SaveOutcome.UNCHANGED

    def detail(self, **more: JSON) -> JSON:
        """The detail of its audit event: the digests after the save, and those before."""
        return {**digests_of(self.version), **more, "before": self.before}


async def lock_catalog(session: AsyncSession) -> None:
    """Lock the catalog against other writers until the end of this transaction."""
    await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


async def save_version(work: Work, new: NewVersion) -> Saving:
    """Add a version as a draft, replace the draft of its number, or find its equal.

    Raises:
        Invalid: An entry of another kind has the name.
        Forbidden: The draft of that number has a data class that the actor may not register.
        Conflict: The version was submitted already, with other content.
    """
    await lock_catalog(work.session)
    entry = await _entry(work, new)
    existing = await work.session.scalar(
        select(EntryVersion).where(
            col(EntryVersion.entry_id) == entry.id,
            col(EntryVersion.version) == new.version,
        ),
    )
    if existing is None:
        version = await _version(work, entry, new)
        await refresh_entry(work, entry)
        return Saving(entry, version, SaveOutcome.CREATED)
    if await _is_equal(work, existing, new):
        return Saving(entry, existing, SaveOutcome.UNCHANGED)
    if existing.lifecycle is not Lifecycle.DRAFT or not new.may_replace:
        raise await _taken(work.session, existing, new)
    before = await _replace(work, entry, existing, new)
    return Saving(entry, existing, SaveOutcome.REPLACED, before)


async def saved_version(work: Work, saving: Saving) -> SavedVersion:
    """The result of a verb that saves: the records, and the warnings stored with the version."""
    entry, version = saving.entry, saving.version
    column, sealed = "problems_sealed", version.problems_sealed
    opened = await unseal(work.keyring, version.id, version.team, column, sealed)
    return SavedVersion(
        ENTRY_COLUMNS.of(entry),
        VERSION_COLUMNS.of(version),
        problems_from_json(opened),
        created=saving.outcome is SaveOutcome.CREATED,
        replaced=saving.outcome is SaveOutcome.REPLACED,
    )


def digests_of(version: EntryVersion) -> dict[str, JSON]:
    """The digests of a version's content and of its tests, for the log."""
    return {"digest": version.digest, "testsDigest": version.tests_digest}


def tests_digest(text: str) -> str:
    """SHA-256 over the text of the tests, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


async def _is_equal(work: Work, version: EntryVersion, new: NewVersion) -> bool:
    """Whether a save would change nothing.

    Tests and changelogs are compared only if they are given. A version of an earlier release was
    submitted without tests: what it would get now is ignored.
    """
    if version.digest != new.digest or not new.may_replace:
        return version.digest == new.digest
    is_draft = version.lifecycle is Lifecycle.DRAFT
    if new.tests is not None and (is_draft or version.tests_digest is not None):
        given = tests_digest(new.tests) if new.tests else None
        if given != version.tests_digest:
            return False
    if not is_draft or new.changelog is None:
        return True
    return new.changelog == await changelog_of(work, version)


async def changelog_of(work: Work, version: EntryVersion) -> str | None:
    """The changelog of a version, decrypted."""
    if version.changelog_sealed is None:
        return version.changelog
    column, sealed = "changelog_sealed", version.changelog_sealed
    return str(await unseal(work.keyring, version.id, version.team, column, sealed))


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
        signature="",
        card={},
        content_sealed=b"",
        schemas_sealed=b"",
        problems_sealed=b"",
        created_at=work.now,
        created_by=work.actor.subject,
        author_persons=sorted(work.actor.persons),
    )
    await _fill(work, version, new)
    work.session.add(version)
    await work.session.flush()
    _link(work, version, new)
    return version


async def _replace(work: Work, entry: Entry, version: EntryVersion, new: NewVersion) -> JSON:
    """Replace a draft by new content; return the digests that it had."""
    work.require(
        REGISTER[entry.kind],
        resource=f"{entry.kind.lower()}:{new.ref}",
        team=version.team,
        data_class=version.data_class,
        relations=relations_to(work, entry, version),
    )
    before = digests_of(version)
    await _fill(work, version, new)
    version.edited_at = work.now
    if work.actor.subject not in (version.created_by, *version.editors):
        version.editors = [*version.editors, work.actor.subject]
    version.author_persons = sorted({*version.author_persons, *work.actor.persons})
    called = await link_targets(work.session, [version.id])
    await work.session.execute(
        delete(EntryLink).where(col(EntryLink.version_id) == version.id),
    )
    _link(work, version, new)
    await refresh_entry(work, entry)
    called |= await link_targets(work.session, [version.id])
    await count_callers(work.session, called)
    return before


async def _fill(work: Work, version: EntryVersion, new: NewVersion) -> None:
    """Write the content into a version; what the former content had as evidence is gone."""
    version.data_class = new.search_document.data_class
    version.digest, version.body_digest = new.digest, new.body_digest
    version.signature = work.platform.signer.sign_digest(new.digest)
    version.engine = new.engine
    version.card = new.search_document.to_json()
    version.code = CARD_CODES.code(work.keyring.macs, version.model_dump(include=_CARD))
    keyring, problems = work.keyring, problems_to_json(new.problems)
    version.content_sealed = await seal(keyring, version, "content_sealed", new.content)
    version.schemas_sealed = await seal(keyring, version, "schemas_sealed", new.schemas)
    version.problems_sealed = await seal(keyring, version, "problems_sealed", problems)
    version.evidence_sealed = None
    if new.changelog is not None:
        version.changelog = None
        version.changelog_sealed = await seal_text(
            keyring, version, "changelog_sealed", new.changelog
        )
    if new.tests is not None:
        version.tests_digest = tests_digest(new.tests) if new.tests else None
        version.tests_sealed = await seal_text(keyring, version, "tests_sealed", new.tests)


def _link(work: Work, version: EntryVersion, new: NewVersion) -> None:
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


async def _taken(session: AsyncSession, version: EntryVersion, new: NewVersion) -> Conflict:
    highest = await session.scalar(
        select(VERSIONS.c.version)
        .where(VERSIONS.c.entry_id == version.entry_id)
        .order_by(VERSIONS.c.precedence.desc())
        .limit(1),
    )
    if version.lifecycle is Lifecycle.DRAFT:
        return Conflict(f"{new.ref} was saved by somebody else in the meantime: try it again")
    other = "content" if version.digest != new.digest else "tests"
    return Conflict(
        f"{new.ref} is {version.lifecycle} with other {other}: from its submission on a version "
        f"never changes; use a number above {highest}"
    )


def _at_version(new: NewVersion, code: str, message: str, help: str | None) -> Problem:
    return Problem(code, message, path=new.path, line=new.line, column=new.column, help=help)
