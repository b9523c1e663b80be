"""Ask for access to a team, and answer: the lead, in the inbox or with `coe team requests`.

What is granted may end by itself. A role that two people give needs a second one here too: then the
lead's answer is the proposal (`coe.identity.teams.proposals`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlmodel import col

from coe.access.decision import Decision
from coe.access.membership_changes import MembersSource, find_membership, named_source
from coe.access.models import Team
from coe.access.permissions import Permission
from coe.access.policy_lines import Relation
from coe.audit.events import Tag
from coe.errors import Conflict, Invalid, Problem
from coe.formats import instants
from coe.identity.teams import answers
from coe.identity.teams.changes import Change
from coe.identity.teams.checks import check_end, check_roles, check_subject, find_team
from coe.identity.teams.models import AccessRequest, RequestState
from coe.identity.teams.proposals import apply_or_propose
from coe.identity.teams.sealed_texts import open_text, seal_text
from coe.json_types import JSON
from coe.paging import Page
from coe.work import Read, Work, check_reason

MAX_OPEN: Final = 10
"""How many requests of one person wait at a time."""
_OPEN: Final = (RequestState.PENDING.value, RequestState.PROPOSED.value)
_REQUESTS: Final = AccessRequest.metadata.tables[str(AccessRequest.__tablename__)]


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A person's request for a role in a team, and what became of it."""

    id: UUID
    team: str
    subject: str
    display_name: str
    role: str | None
    until: datetime | None
    reason: str
    requested_at: datetime
    state: RequestState
    decided_by: str | None
    decided_at: datetime | None
    answer: str | None


async def request_access(
    work: Work,
    team: str,
    *,
    role: str | None,
    reason: str,
    until: datetime | None = None,
) -> RequestRecord:
    """Ask for a role in a team, or for the membership alone; the team's lead answers.

    The same request is made once. That a team exists is no secret.

    Raises:
        NotFound: There is no such team.
        Forbidden: `team:request` is refused: the caller is no person.
        Conflict: The caller has the role, or has too many open requests.
        Invalid: Every problem of the input.
    """
    found = await find_team(work, team)
    decision = work.require(Permission.TEAM_REQUEST, resource=f"team:{team}", team=team)
    subject = work.actor.subject
    check_reason(reason)
    check_end(until, work.now, path="/until")
    await check_subject(work, team, subject)
    if role is not None:
        await check_roles(work, team, subject, [role], path="/role")
    _check_lasting(found, until)
    held = {name for name, place in work.policy.roles(subject) if place == team}
    is_in = team in work.policy.teams(subject)
    if is_in and (role is None or role in held):
        raise Conflict(f"{subject} has that in {team} already")
    open_ = await _open_requests(work, subject)
    same = next((row for row in open_ if (row.team, row.role) == (team, role)), None)
    if same is not None:
        return await request_record(work, same)
    if len(open_) >= MAX_OPEN:
        raise Conflict(f"{MAX_OPEN} requests of {subject} wait for an answer already")
    row = AccessRequest(
        team=team,
        subject=subject,
        display_name=work.actor.display_name,
        role=role,
        until=until,
        requested_at=work.now,
        reason_sealed=b"",
    )
    row.reason_sealed = await seal_text(work.keyring, row, "reason", reason)
    work.session.add(row)
    await work.session.flush()
    await _record(work, row, decision, reason, "asked")
    return await request_record(work, row)


async def grant_request(
    work: Work, request_id: UUID, *, until: datetime | None = None, reason: str | None = None
) -> RequestRecord:
    """Grant what a person asked for, until the time asked for or an earlier one.

    Raises:
        NotFound: There is no such request, or it may not be read.
        Forbidden: `team:members` is refused: also to who asked.
        Conflict: It is answered already, or the person has left.
        Invalid: The end is not in the future or after the one asked for; or one is missing, because
            the team's people come from another source than the API.
    """
    row, decision = await _lock(work, request_id)
    team = await find_team(work, row.team)
    end = until or row.until
    check_end(end, work.now, path="/until")
    if row.until is not None and end is not None and end > row.until:
        message = "it is later than what was asked for"
        raise Invalid([Problem("INPUT_END", message, path="/until")])
    _check_lasting(team, end)
    await check_subject(work, row.team, row.subject)
    row.until = end
    outcome = await apply_or_propose(
        work,
        MembersSource.API.value,
        await _change(work, row, end),
        decision=decision,
        reason=reason or "asked for access",
        request=row.id,
    )
    state = RequestState.GRANTED if outcome.proposal is None else RequestState.PROPOSED
    await answers.answer(work, row, state, reason)
    await _record(work, row, decision, reason, "granted")
    return await request_record(work, row)


async def refuse_request(work: Work, request_id: UUID, *, reason: str) -> RequestRecord:
    """Refuse what a person asked for; who asked withdraws it so.

    Raises:
        NotFound: There is no such request, or it may not be read.
        Forbidden: `team:members` is refused.
        Conflict: It is answered already.
        Invalid: The reason is blank or too long.
    """
    check_reason(reason)
    row = await _find(work, request_id, lock=True)
    decision = None
    if row.subject == work.actor.subject:
        state = RequestState.WITHDRAWN
        answers.check_pending(row)
    else:
        state = RequestState.REFUSED
        row, decision = await _lock(work, request_id)
    await answers.answer(work, row, state, reason)
    await _record(work, row, decision, reason, state.lower())
    return await request_record(work, row)


async def list_requests(
    read: Read,
    *,
    team: str | None = None,
    state: RequestState | None = RequestState.PENDING,
    mine: bool = False,
    first: int = 20,
    after: str | None = None,
) -> Page[RequestRecord]:
    """A page of the actor's requests and those that it may answer, the newest first.

    Raises:
        Invalid: `first` or `after` is not valid.
    """
    own = col(AccessRequest.subject) == read.actor.subject
    return await answers.page(
        read,
        AccessRequest,
        request_record,
        [own if mine else _readable(read)],
        team=team,
        state=state,
        at=col(AccessRequest.requested_at),
        first=first,
        after=after,
    )


async def find_request(read: Read, request_id: UUID) -> RequestRecord:
    """A request of the actor, or one that it may answer.

    Raises:
        NotFound: There is none.
    """
    return await request_record(read, await _find(read, request_id))


async def request_record(read: Read, row: AccessRequest) -> RequestRecord:
    """The record of a request, with its texts opened."""
    return RequestRecord(
        id=row.id,
        team=row.team,
        subject=row.subject,
        display_name=row.display_name,
        role=row.role,
        until=row.until,
        reason=await open_text(read.keyring, row, "reason", row.reason_sealed) or "",
        requested_at=row.requested_at,
        state=RequestState(row.state),
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        answer=await open_text(read.keyring, row, "answer", row.answer_sealed),
    )


async def _change(work: Work, row: AccessRequest, end: datetime | None) -> Change:
    """The grant beside the team's source, or without an end the lasting membership."""
    asked = (row.role,) if row.role else ()
    if end is not None:
        return Change(row.team, row.subject, row.display_name, asked, until=end)
    membership = await find_membership(work.session, row.team, row.subject)
    held = membership.roles if membership is not None else ()
    expires_at = None
    if membership is not None and membership.origin != "grant":
        expires_at = membership.expires_at
    roles = tuple(sorted({*held, *asked}))
    return Change(row.team, row.subject, row.display_name, roles, expires_at)


def _check_lasting(team: Team, until: datetime | None) -> None:
    if until is not None or team.members_source == MembersSource.API:
        return
    source = named_source(team.members_source, team.slug)
    message = f"say until when: the lasting members of {team.slug} come from {source}"
    raise Invalid([Problem("INPUT_END", message, path="/until")])


async def _open_requests(work: Work, subject: str) -> list[AccessRequest]:
    rows = await work.session.scalars(
        select(AccessRequest).where(
            col(AccessRequest.subject) == subject, col(AccessRequest.state).in_(_OPEN)
        )
    )
    return list(rows)


def _readable(read: Read) -> ColumnElement[bool]:
    own = col(AccessRequest.subject) == read.actor.subject
    return or_(own, read.scope(Permission.TEAM_MEMBERS).clause(_REQUESTS.c.team))


async def _find(read: Read, request_id: UUID, *, lock: bool = False) -> AccessRequest:
    return await answers.find(read, AccessRequest, request_id, _readable(read), lock=lock)


async def _lock(work: Work, request_id: UUID) -> tuple[AccessRequest, Decision]:
    row = await _find(work, request_id, lock=True)
    relations = {Relation.SELF.value} if row.subject in work.actor.persons else set()
    decision = work.require(
        Permission.TEAM_MEMBERS,
        resource=f"team:{row.team}",
        team=row.team,
        relations=relations,
    )
    answers.check_pending(row)
    return row, decision


async def _record(
    work: Work, row: AccessRequest, decision: Decision | None, reason: str | None, what: str
) -> None:
    detail: dict[str, JSON] = {
        "request": str(row.id),
        "subject": row.subject,
        "role": row.role,
        "until": instants.write(row.until) if row.until else None,
        "what": what,
    }
    await work.record(
        Tag.ACCESS_TEAM_REQUEST,
        resource=f"team:{row.team}",
        team=row.team,
        decision=decision,
        reason=reason,
        detail=detail,
    )
