"""Verbs on people: suspend, let in again, note that somebody has left, and list accounts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, func, select
from sqlmodel import col

from coe.access.actor import ActorKind, subject_kind
from coe.access.decision import Decision
from coe.access.load import renew_version
from coe.access.membership_changes import drop_all
from coe.access.models import Membership, Person, PersonState
from coe.access.people import find_person
from coe.access.permissions import Permission
from coe.access.person_states import change_state, known_person
from coe.audit.events import Tag
from coe.errors import Invalid, NotFound, Problem
from coe.governance.subjects import relations_to_subject, team_of_subject
from coe.identifiers import PLATFORM_TEAM
from coe.identity.teams.changes import hold_policy, refresh
from coe.identity.teams.leaving import settle_leavers
from coe.paging import Page, check_first, decode, encode
from coe.work import Read, Work, check_reason

_CURSOR: Final = "people"


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """A person's account, without the sealed address."""

    subject: str
    display_name: str
    source: str
    state: PersonState
    state_changed_at: datetime | None
    created_at: datetime
    last_sign_in_at: datetime | None
    teams: tuple[str, ...]


async def suspend_person(work: Work, subject: str, *, reason: str) -> PersonRecord:
    """Refuse a person at every door from now on; tokens, sessions, roles and tasks are kept.

    Raises:
        NotFound: Nobody has this subject.
        Forbidden: `person:suspend` is refused.
        Conflict: The person is suspended already, or has left.
        Invalid: The reason is blank or too long.
    """
    decision = await _decide(work, subject, Permission.PERSON_SUSPEND, reason)
    person = await known_person(work.session, subject)
    await change_state(work.session, person, PersonState.SUSPENDED, now=work.now)
    return await _record(work, Tag.ACCESS_PERSON_SUSPEND, person, decision, reason)


async def activate_person(work: Work, subject: str, *, reason: str) -> PersonRecord:
    """Let a suspended person in again, with everything that was kept.

    Whom the directory has suspended too stays suspended by it: the record says so.

    Raises:
        NotFound: Nobody has this subject.
        Forbidden: `person:suspend` is refused.
        Conflict: The person is active already, or has left.
        Invalid: The reason is blank or too long.
    """
    decision = await _decide(work, subject, Permission.PERSON_SUSPEND, reason)
    person = await known_person(work.session, subject)
    await change_state(work.session, person, PersonState.ACTIVE, now=work.now)
    return await _record(work, Tag.ACCESS_PERSON_ACTIVATE, person, decision, reason)


async def offboard_person(work: Work, subject: str, *, reason: str) -> PersonRecord:
    """Note that a person has left for good, and leave them no access and no open work.

    All memberships, whichever source gave them, end; so do tokens and sessions. Open tasks go to
    others. What the person owns stays theirs in name: `holdings_of` lists it for the leads.

    Raises:
        NotFound: Nobody has this subject.
        Forbidden: `person:leave` is refused.
        Conflict: The person has left already.
        Invalid: The reason is blank or too long.
    """
    decision = await _decide(work, subject, Permission.PERSON_LEAVE, reason)
    person = await known_person(work.session, subject)
    return await leave_for_good(work, person, decision=decision, reason=reason)


async def leave_for_good(
    work: Work, person: Person, *, decision: Decision | None, reason: str
) -> PersonRecord:
    """What `offboard_person` does, for a caller that has checked its own permission."""
    await change_state(work.session, person, PersonState.LEFT, now=work.now)
    found = await work.session.scalars(
        select(Membership).where(func.lower(col(Membership.subject)) == person.subject.lower())
    )
    rows = found.all()
    held = {(role, row.team) for row in rows for role in (*row.roles, *row.granted) if role}
    await drop_all(work.session, [(row.team, row.subject) for row in rows])
    await renew_version(work.session)
    await settle_leavers(
        work, [person.subject], why=reason, decision=decision, held={person.subject: held}
    )
    await refresh(work)
    return _read_back(work, person)


async def list_people(
    read: Read,
    *,
    state: PersonState | None = None,
    first: int = 20,
    after: str | None = None,
) -> Page[PersonRecord]:
    """A page of the accounts, by subject: for those who may read people, else the actor's own.

    Raises:
        Invalid: `first` or `after` is not valid.
    """
    size = check_first(first)
    wanted: list[ColumnElement[bool]] = []
    if not read.decide(Permission.PERSON_READ, team=PLATFORM_TEAM).allowed:
        wanted.append(col(Person.subject) == read.actor.subject)
    if state is not None:
        wanted.append(col(Person.state) == state.value)
    total = await read.session.scalar(select(func.count()).select_from(Person).where(*wanted))
    if after is not None:
        wanted.append(col(Person.subject) > decode(_CURSOR, after, [str])[0])
    found = await read.session.scalars(
        select(Person).where(*wanted).order_by(col(Person.subject)).limit(size + 1)
    )
    rows = found.all()
    items = tuple(_read_back(read, row) for row in rows[:size])
    return Page(
        items=items,
        cursors=tuple(encode(_CURSOR, [each.subject]) for each in items),
        has_next=len(rows) > size,
        has_previous=after is not None,
        total=total or 0,
    )


async def find_record(read: Read, subject: str) -> PersonRecord:
    """The account of a person, for who has just changed it.

    Raises:
        NotFound: Nobody has this subject.
    """
    person = await find_person(read.session, subject)
    if person is None:
        raise NotFound
    return _read_back(read, person)


async def _decide(work: Work, subject: str, permission: Permission, reason: str) -> Decision:
    """Decide by the policy as it is once this transaction holds it."""
    decision = _require(work, subject, permission)
    check_reason(reason)
    return _require(work, subject, permission) if await hold_policy(work) else decision


def _require(work: Work, subject: str, permission: Permission) -> Decision:
    try:
        is_person = subject_kind(subject) is ActorKind.PERSON
    except ValueError as error:
        raise Invalid([Problem("INPUT_SUBJECT", str(error), path="/subject")]) from None
    if not is_person:
        message = f"{subject} is no person"
        raise Invalid([Problem("INPUT_SUBJECT", message, path="/subject")])
    team = team_of_subject(work.policy, subject)
    return work.require(
        permission,
        resource=f"person:{subject}",
        team=team,
        relations=relations_to_subject(work, subject),
    )


async def _record(
    work: Work, tag: Tag, person: Person, decision: Decision, reason: str
) -> PersonRecord:
    await work.record(
        tag,
        resource=f"person:{person.subject}",
        team=team_of_subject(work.policy, person.subject),
        decision=decision,
        reason=reason,
    )
    await refresh(work)
    return _read_back(work, person)


def _read_back(read: Read, person: Person) -> PersonRecord:
    return PersonRecord(
        subject=person.subject,
        display_name=person.display_name,
        source=person.source,
        state=PersonState(person.state),
        state_changed_at=person.state_changed_at,
        created_at=person.created_at,
        last_sign_in_at=person.last_sign_in_at,
        teams=tuple(sorted(read.policy.teams(person.subject))),
    )
