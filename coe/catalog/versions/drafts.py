"""Delete drafts: the number of a version is free until the version is submitted."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlmodel import col

from coe.access.policy import Decision
from coe.catalog.models import Entry, EntryLink, EntryVersion, Lifecycle
from coe.catalog.records import ENTRY_COLUMNS, VERSION_COLUMNS, EntryRecord, VersionRecord
from coe.catalog.refs import require_ref
from coe.catalog.versions.current import count_callers, link_targets, refresh_entry
from coe.catalog.versions.saving import REGISTER
from coe.catalog.versions.transitions import find_for_update, require_permission
from coe.errors import Conflict
from coe.work import Work


@dataclass(frozen=True, slots=True)
class DeletedDraft:
    """A draft that was deleted; `entry` is None if it was the only version of its entry."""

    version: VersionRecord
    entry: EntryRecord | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft that the actor may change, locked until the commit, and the policy's decision."""

    entry: Entry
    version: EntryVersion
    decision: Decision


async def find_draft(work: Work, ref: str) -> Draft:
    """Find the draft of an exact ref, and require the permission to save drafts of its kind.

    Raises:
        Invalid: The ref has no exact version.
        NotFound: There is no such version, or the actor may neither change nor read it.
        Forbidden: The policy refuses.
        Conflict: The version is no draft.
    """
    entry, version = await find_for_update(work, require_ref(ref, exact=True))
    transition = require_permission(work, entry, version, REGISTER[entry.kind])
    if version.lifecycle is not Lifecycle.DRAFT:
        raise Conflict(
            f"{ref} is {version.lifecycle}: from its submission on a version never changes; "
            "register a new one"
        )
    return Draft(entry, version, transition.decision)


async def remove_draft(work: Work, draft: Draft) -> DeletedDraft:
    """Delete a draft, and its entry if it has no other version.

    Raises:
        Conflict: It was submitted once, so that its reviews must be kept.
    """
    entry, version, session = draft.entry, draft.version, work.session
    if version.submitted_at is not None:
        raise Conflict(
            f"{version.version} was submitted for review, and its reviews are kept: "
            f"retire it (coe {entry.kind.lower()} retire), or change it and submit it again"
        )
    deleted = VERSION_COLUMNS.of(version)
    called = await link_targets(session, [version.id])
    await session.execute(delete(EntryLink).where(col(EntryLink.version_id) == version.id))
    await session.delete(version)
    await session.flush()
    left = await session.scalar(
        select(func.count()).where(col(EntryVersion.entry_id) == deleted.entry_id)
    )
    if left:
        await refresh_entry(work, entry)
    else:
        await session.delete(entry)
        await session.flush()
    await count_callers(session, called)
    return DeletedDraft(deleted, ENTRY_COLUMNS.of(entry) if left else None)
