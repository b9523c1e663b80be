"""Approvals (four eyes): the decisions of reviewers, and how many a publication needs.

A team publishes its own local flows without approvals, unless the version names a new process owner
or deputy: they read the data of all runs of the flow, past ones too.

Only approvals since the last submission count: a refusal sends the version back, and the approvals
before it are void.
"""

from __future__ import annotations

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
from coe.catalog.search.document import search_document_of
from coe.catalog.versions.sealing import seal_comment
from coe.errors import Conflict
from coe.work import Work


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


async def approvers(work: Work, version: EntryVersion) -> frozenset[str]:
    """The subjects that approved the version, as it is now, since its last submission."""
    since = version.submitted_at or version.created_at
    found = await work.session.scalars(
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


async def require_approvals(
    work: Work,
    entry: Entry,
    version: EntryVersion,
    needed: int,
) -> None:
    """Require approvals by enough people other than the author.

    A local flow usually needs none.

    Raises:
        Conflict: Approvals are missing.
    """
    if entry.flow_kind is FlowKind.LOCAL and not await _names_new_owner(work, entry, version):
        return
    given = len(await approvers(work, version) - {version.created_by, *version.editors})
    if given < needed:
        raise Conflict(f"{version.version} has {given} of the {needed} approvals that it needs")


async def _names_new_owner(work: Work, entry: Entry, version: EntryVersion) -> bool:
    """Whether a version names a process owner or deputy that the live version does not name.

    The first version may name people of the team.
    """
    document = search_document_of(version)
    named = {each for each in (document.process_owner, document.deputy) if each is not None}
    if await work.session.get(EntryAlias, (entry.id, LIVE)) is not None:
        return not named <= {entry.process_owner, entry.deputy}
    return any(entry.team not in work.policy.teams(each) for each in named)
