"""Approvals (four eyes): the decisions of reviewers, and how many a publication needs.

A team publishes its own local flows without approvals, unless the version names a new process owner
or deputy: they read the data of all runs of the flow, past ones too.

Only approvals since the last submission count: a refusal sends the version back, and the approvals
before it are void.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import or_, select
from sqlmodel import col

from coe.catalog.models import (
    LIVE,
    Entry,
    EntryAlias,
    EntryVersion,
    FlowKind,
    ReviewVerdict,
    VersionApproval,
)
from coe.catalog.scope import readable_versions
from coe.catalog.search.document import search_document_of
from coe.catalog.tables import VERSIONS
from coe.catalog.versions.sealing import seal_comment
from coe.errors import Conflict
from coe.language.lint import Standards, published
from coe.work import Read, Work


@dataclass(frozen=True, slots=True)
class ApprovalState:
    """How many people must approve a version before its publication, and how many have."""

    needed: int
    given: int


def approvals_needed(read: Read) -> int:
    """The number of people who must approve a version (standard COE050)."""
    standards: Standards = published(read.platform.settings.content_dir)
    standard = standards.standards.get("COE050")
    needed = standard.options.get("approvals", 1) if standard else 1
    return int(str(needed))


async def approval_states(read: Read, version_ids: Sequence[UUID]) -> dict[UUID, ApprovalState]:
    """How far the approvals of versions are, those that the actor may read."""
    rows = await read.session.execute(
        select(EntryVersion, Entry)
        .join(Entry, col(Entry.id) == col(EntryVersion.entry_id))
        .where(VERSIONS.c.id.in_(version_ids), readable_versions(read)),
    )
    versions = {version.id: (entry, version) for version, entry in rows.all()}
    given = await _given(read, [version for _, version in versions.values()])
    return {
        ident: ApprovalState(await _needed(read, entry, version), given[ident])
        for ident, (entry, version) in versions.items()
    }


async def _given(read: Read, versions: Sequence[EntryVersion]) -> dict[UUID, int]:
    """How many people other than the authors approved each version since its submission."""
    rows = await read.session.execute(
        select(VersionApproval).where(
            col(VersionApproval.version_id).in_([version.id for version in versions]),
            col(VersionApproval.decision) == ReviewVerdict.APPROVED,
        ),
    )
    found = rows.scalars().all()
    return {
        version.id: len(
            {
                row.by
                for row in found
                if row.version_id == version.id
                and row.at >= (version.submitted_at or version.created_at)
                and row.digest in (None, version.digest)
            }
            - {version.created_by, *version.editors}
        )
        for version in versions
    }


async def _needed(read: Read, entry: Entry, version: EntryVersion) -> int:
    if entry.flow_kind is FlowKind.LOCAL and not await _names_new_owner(read, entry, version):
        return 0
    return approvals_needed(read)


async def add_verdict(
    work: Work, version: EntryVersion, verdict: ReviewVerdict, comment: str
) -> None:
    """Store the actor's decision.

    Raises:
        Conflict: The actor has approved this submission already.
    """
    if verdict is ReviewVerdict.APPROVED and work.actor.subject in await approvers(work, version):
        raise Conflict(f"{work.actor.subject} has approved this submission already")
    row = VersionApproval(
        version_id=version.id,
        by=work.actor.subject,
        at=work.now,
        decision=verdict,
        digest=version.digest,
    )
    row.comment_sealed = await seal_comment(work.keyring, row, version.team, comment)
    work.session.add(row)
    await work.session.flush()


async def approvers(read: Read, version: EntryVersion) -> frozenset[str]:
    """The subjects that approved the version, as it is now, since its last submission."""
    since = version.submitted_at or version.created_at
    found = await read.session.scalars(
        select(col(VersionApproval.by)).where(
            col(VersionApproval.version_id) == version.id,
            col(VersionApproval.decision) == ReviewVerdict.APPROVED,
            col(VersionApproval.at) >= since,
            or_(
                col(VersionApproval.digest).is_(None),
                col(VersionApproval.digest) == version.digest,
            ),
        ),
    )
    return frozenset(found)


async def require_approvals(work: Work, entry: Entry, version: EntryVersion) -> None:
    """Require approvals by enough people other than the author.

    A local flow usually needs none.

    Raises:
        Conflict: Approvals are missing.
    """
    needed = await _needed(work, entry, version)
    given = (await _given(work, [version]))[version.id]
    if given < needed:
        ref = f"{entry.namespace}/{entry.name}@{version.version}"
        command = f"coe {entry.kind.value.lower()} review"
        raise Conflict(
            f"{ref} has {given} of the {needed} approvals that it needs; a reviewer approves it "
            f"first: {command}"
        )


async def _names_new_owner(read: Read, entry: Entry, version: EntryVersion) -> bool:
    """Whether a version names a process owner or deputy that the live version does not name.

    The first version may name people of the team.
    """
    document = search_document_of(version)
    named = {each for each in (document.process_owner, document.deputy) if each is not None}
    if await read.session.get(EntryAlias, (entry.id, LIVE)) is not None:
        return not named <= {entry.process_owner, entry.deputy}
    return any(entry.team not in read.policy.teams(each) for each in named)
