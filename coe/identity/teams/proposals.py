"""Changes of members that a second person approves: proposed, listed, approved or refused.

Which roles need it is in `policies/approvals.csv`, and who approves in the policy
(`team:approve`): not who proposed it, nor whom it is about. A person who works in another team
already is never put into one by its lead alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select
from sqlmodel import col

from coe.access.decision import Decision
from coe.access.membership_changes import MembersSource, check_source, is_person
from coe.access.permissions import Permission
from coe.audit.events import Tag
from coe.errors import Conflict
from coe.formats import instants
from coe.governance.subjects import proposal_relations
from coe.identity.teams import answers
from coe.identity.teams.changes import Change, Changing, changing, hold_policy, roles_before
from coe.identity.teams.checks import check_end, check_last_lead, check_subject, find_team
from coe.identity.teams.models import (
    AccessRequest,
    MembershipProposal,
    ProposalState,
    RequestState,
)
from coe.identity.teams.sealed_texts import open_text, seal_text
from coe.json_types import JSON
from coe.paging import Page
from coe.work import Read, Work, check_reason

MAX_PENDING: Final = 100
_PROPOSALS: Final = MembershipProposal.metadata.tables[str(MembershipProposal.__tablename__)]


@dataclass(frozen=True, slots=True)
class ProposalRecord:
    """A change of one membership that needs a second person, or that had one."""

    id: UUID
    team: str
    subject: str
    display_name: str
    roles: tuple[str, ...] | None
    roles_before: tuple[str, ...] | None
    expires_at: datetime | None
    until: datetime | None
    source: str
    proposed_by: str
    proposed_at: datetime
    reason: str
    state: ProposalState
    decided_by: str | None
    decided_at: datetime | None
    answer: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A change that was made, or the proposal that waits for a second person."""

    proposal: UUID | None = None


async def apply_or_propose(
    work: Work,
    origin: str,
    change: Change,
    *,
    decision: Decision | None,
    reason: str,
    request: UUID | None = None,
) -> Outcome:
    """Make one change, or propose it (`make_or_propose`).

    Raises:
        Conflict: Too many changes of the team wait already.
    """
    async with changing(work) as changes:
        return await make_or_propose(
            changes, origin, change, decision=decision, reason=reason, request=request
        )


async def make_or_propose(
    changes: Changing,
    origin: str,
    change: Change,
    *,
    decision: Decision | None,
    reason: str,
    request: UUID | None = None,
) -> Outcome:
    """Make a change with others, or propose it if the policy asks for a second person.

    The same proposal is made once.

    Raises:
        Conflict: Too many changes of the team wait already.
    """
    work = changes.work
    before = await roles_before(work, change.team, change.subject)
    if not needs_second_person(work, origin, change, before, asked=request is not None):
        await changes.make(
            origin, change, tag=Tag.ACCESS_TEAM_MEMBERS, decision=decision, reason=reason
        )
        return Outcome()
    waiting = await _same(work, origin, change)
    if waiting is not None:
        return Outcome(waiting)
    row = _row(work, origin, change, before, request)
    await _insert(work, row, reason)
    await work.record(
        Tag.ACCESS_TEAM_PROPOSE,
        resource=f"team:{change.team}",
        team=change.team,
        decision=decision,
        reason=reason,
        detail=_plain(row),
    )
    return Outcome(row.id)


def needs_second_person(
    read: Read, origin: str, change: Change, before: list[str] | None, *, asked: bool
) -> bool:
    """Whether a change waits for a second person; `asked` says that its subject asked for it.

    What a directory takes is gone at once: only what it gives may wait.
    """
    if origin != MembersSource.API and change.roles is not None:
        gained = frozenset(change.roles) - frozenset(before or ())
        return bool(read.policy.needs_approval(change.team, gained))
    if origin != MembersSource.API:
        return False
    if read.policy.needs_approval(change.team, change.affected(before)):
        return True
    joins = before is None and change.roles is not None and is_person(change.subject)
    return not asked and joins and bool(read.policy.teams(change.subject) - {change.team})


async def approve(work: Work, proposal_id: UUID, *, reason: str | None = None) -> ProposalRecord:
    """Approve a proposed change as its second person: it is made.

    Raises:
        NotFound: There is no such proposal, or it may not be read.
        Forbidden: `team:approve` is refused, with the line that decided.
        Conflict: It is decided, the membership has changed since, or another source has the say.
    """
    row, decision = await _lock(work, proposal_id)
    if await hold_policy(work):
        decision = _require(work, row)
    change = Change(
        row.team,
        row.subject,
        row.display_name,
        None if row.roles is None else tuple(row.roles),
        row.expires_at,
        row.until,
    )
    team = await find_team(work, row.team)
    if is_person(row.subject) and row.until is None:
        check_source(row.team, team.members_source, row.origin)
    if change.roles is not None:
        await check_subject(work, row.team, row.subject)
    check_end(row.expires_at or row.until, work.now, path="/id")
    if await roles_before(work, row.team, row.subject) != row.roles_before:
        raise Conflict(f"the roles of {row.subject} in {row.team} have changed since: refuse it")
    if row.origin == MembersSource.API and row.until is None:
        check_last_lead(work, row.team, row.subject, row.roles or ())
    await answers.answer(work, row, ProposalState.APPROVED, reason)
    async with changing(work) as changes:
        await changes.make(
            row.origin,
            change,
            tag=Tag.ACCESS_TEAM_APPROVE,
            decision=decision,
            reason=reason or "approved",
        )
    await _tell_request(work, row, RequestState.GRANTED)
    return await proposal_record(work, row)


async def waiting_proposal(
    work: Work, team: str, subject: str, roles: Collection[str]
) -> UUID | None:
    """The proposal to give a subject these roles that waits for a second person, if one does."""
    rows = await work.session.scalars(
        select(MembershipProposal).where(
            col(MembershipProposal.team) == team,
            col(MembershipProposal.subject) == subject,
            col(MembershipProposal.state) == ProposalState.PENDING.value,
        )
    )
    return next((row.id for row in rows if set(roles) <= set(row.roles or ())), None)


async def refuse(work: Work, proposal_id: UUID, *, reason: str) -> ProposalRecord:
    """Refuse a proposed change; who proposed it withdraws it so.

    Raises:
        NotFound: There is no such proposal, or it may not be read.
        Forbidden: `team:approve` is refused, with the line that decided.
        Conflict: It is decided.
        Invalid: The reason is blank or too long.
    """
    check_reason(reason)
    row = await _find(work, proposal_id, lock=True)
    withdrawn = row.proposed_by == work.actor.subject
    decision = None
    if withdrawn:
        answers.check_pending(row)
    else:
        row, decision = await _lock(work, proposal_id)
    state = ProposalState.WITHDRAWN if withdrawn else ProposalState.REFUSED
    await answers.answer(work, row, state, reason)
    await work.record(
        Tag.ACCESS_TEAM_REFUSE,
        resource=f"team:{row.team}",
        team=row.team,
        decision=decision,
        reason=reason,
        detail={**_plain(row), "withdrawn": withdrawn},
    )
    await _tell_request(work, row, RequestState.REFUSED)
    return await proposal_record(work, row)


async def list_proposals(
    read: Read,
    *,
    team: str | None = None,
    state: ProposalState | None = ProposalState.PENDING,
    first: int = 20,
    after: str | None = None,
) -> Page[ProposalRecord]:
    """A page of the proposals that the actor made or may decide on, the newest first.

    Raises:
        Invalid: `first` or `after` is not valid.
    """
    return await answers.page(
        read,
        MembershipProposal,
        proposal_record,
        [_readable(read)],
        team=team,
        state=state,
        at=col(MembershipProposal.proposed_at),
        first=first,
        after=after,
    )


async def find_proposal(read: Read, proposal_id: UUID) -> ProposalRecord:
    """A proposal that the actor made or may decide on.

    Raises:
        NotFound: There is none.
    """
    return await proposal_record(read, await _find(read, proposal_id))


async def proposal_record(read: Read, row: MembershipProposal) -> ProposalRecord:
    """The record of a proposal, with its reasons opened."""
    texts = [
        await open_text(read.keyring, row, column, sealed)
        for column, sealed in (("reason", row.reason_sealed), ("answer", row.answer_sealed))
    ]
    return ProposalRecord(
        id=row.id,
        team=row.team,
        subject=row.subject,
        display_name=row.display_name,
        roles=None if row.roles is None else tuple(row.roles),
        roles_before=None if row.roles_before is None else tuple(row.roles_before),
        expires_at=row.expires_at,
        until=row.until,
        source=row.origin,
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        reason=texts[0] or "",
        state=ProposalState(row.state),
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        answer=texts[1],
    )


def _readable(read: Read) -> ColumnElement[bool]:
    own = or_(
        col(MembershipProposal.proposed_by) == read.actor.subject,
        col(MembershipProposal.subject) == read.actor.subject,
    )
    may = (read.scope(each) for each in (Permission.TEAM_APPROVE, Permission.TEAM_MEMBERS))
    return or_(own, *(scope.clause(_PROPOSALS.c.team) for scope in may))


async def _find(read: Read, proposal_id: UUID, *, lock: bool = False) -> MembershipProposal:
    return await answers.find(read, MembershipProposal, proposal_id, _readable(read), lock=lock)


async def _lock(work: Work, proposal_id: UUID) -> tuple[MembershipProposal, Decision]:
    """The pending proposal, locked, and the decision that the actor may decide on it."""
    row = await _find(work, proposal_id, lock=True)
    decision = _require(work, row)
    answers.check_pending(row)
    return row, decision


def _require(work: Work, row: MembershipProposal) -> Decision:
    return work.require(
        Permission.TEAM_APPROVE,
        resource=f"team:{row.team}",
        team=row.team,
        relations=proposal_relations(work.actor, row),
    )


async def _tell_request(work: Work, row: MembershipProposal, state: RequestState) -> None:
    """Let the request for access that led to the proposal have its end."""
    if row.request_id is None:
        return
    request = await work.session.get(AccessRequest, row.request_id, populate_existing=True)
    if request is not None and request.state == RequestState.PROPOSED:
        request.state, request.decided_at = state.value, work.now
        await work.session.flush()


async def _same(work: Work, origin: str, change: Change) -> UUID | None:
    """The proposal of the same change that waits already."""
    roles = None if change.roles is None else sorted(set(change.roles))
    rows = await work.session.scalars(
        select(MembershipProposal).where(
            col(MembershipProposal.team) == change.team,
            col(MembershipProposal.subject) == change.subject,
            col(MembershipProposal.origin) == origin,
            col(MembershipProposal.state) == ProposalState.PENDING.value,
        )
    )
    same = (row.id for row in rows if (row.roles, row.until) == (roles, change.until))
    return next(same, None)


async def _insert(work: Work, row: MembershipProposal, reason: str) -> None:
    pending = select(func.count()).where(
        col(MembershipProposal.team) == row.team,
        col(MembershipProposal.state) == ProposalState.PENDING.value,
    )
    if (await work.session.scalar(pending) or 0) >= MAX_PENDING:
        raise Conflict(f"{MAX_PENDING} changes of {row.team} wait for a second person already")
    row.reason_sealed = await seal_text(work.keyring, row, "reason", reason)
    work.session.add(row)
    await work.session.flush()


def _row(
    work: Work, origin: str, change: Change, before: list[str] | None, request: UUID | None
) -> MembershipProposal:
    return MembershipProposal(
        team=change.team,
        subject=change.subject,
        display_name=change.display_name,
        roles=None if change.roles is None else sorted(set(change.roles)),
        roles_before=before,
        expires_at=change.expires_at,
        until=change.until,
        origin=origin,
        request_id=request,
        proposed_by=work.actor.subject,
        persons=sorted(work.actor.persons),
        proposed_at=work.now,
        reason_sealed=b"",
    )


def _plain(row: MembershipProposal) -> dict[str, JSON]:
    return {
        "proposal": str(row.id),
        "subject": row.subject,
        "source": row.origin,
        "before": None if row.roles_before is None else [*row.roles_before],
        "after": None if row.roles is None else [*row.roles],
        "until": instants.write(row.until) if row.until else None,
    }
