"""Four eyes: what reviewers decide on a version, and how many of them a publication needs.

A team publishes its own local flows without them, unless the version makes somebody the flow's
process owner or deputy who is not so already: these read the data of its runs, past ones too.

Only what was decided since the last submission counts; a refusal sends the version back, and
whatever was approved before it counts no more.
"""

from __future__ import annotations

from sqlalchemy import select
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
from coe.errors import Conflict
from coe.work import Work


async def add_verdict(
    work: Work, version: EntryVersion, verdict: ReviewVerdict, comment: str
) -> None:
    """Keep what the actor decided.

    Raises:
        Conflict: The actor has approved this submission already.
    """
    if verdict is ReviewVerdict.APPROVED and work.actor.subject in await approvers(work, version):
        raise Conflict(f"{work.actor.subject} has approved this submission already")
    work.session.add(
        VersionApproval(
            version_id=version.id,
            by=work.actor.subject,
            at=work.now,
            decision=verdict,
            comment=comment,
        ),
    )
    await work.session.flush()


async def approvers(work: Work, version: EntryVersion) -> frozenset[str]:
    """Who approved the version since it was last submitted."""
    since = version.submitted_at or version.created_at
    found = await work.session.scalars(
        select(col(VersionApproval.by)).where(
            col(VersionApproval.version_id) == version.id,
            col(VersionApproval.decision) == ReviewVerdict.APPROVED,
            col(VersionApproval.at) >= since,
        ),
    )
    return frozenset(found)


async def require_approvals(
    work: Work,
    entry: Entry,
    version: EntryVersion,
    needed: int,
) -> None:
    """See that enough people but the author approved; a team's local flow mostly needs none.

    Raises:
        Conflict: They have not.
    """
    if entry.flow_kind is FlowKind.LOCAL and not await _names_others(work, entry, version):
        return
    given = len(await approvers(work, version) - {version.created_by})
    if given < needed:
        raise Conflict(f"{version.version} has {given} of the {needed} approvals that it needs")


async def _names_others(work: Work, entry: Entry, version: EntryVersion) -> bool:
    """Whether a version gives the flow a process owner or deputy that it has not had.

    Those of the live version stay; the first one names people of the team.
    """
    card = search_document_of(version)
    named = {each for each in (card.process_owner, card.deputy) if each is not None}
    if await work.session.get(EntryAlias, (entry.id, LIVE)) is not None:
        return not named <= {entry.process_owner, entry.deputy}
    return any(entry.team not in work.policy.teams(each) for each in named)
