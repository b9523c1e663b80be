"""Verbs on teams: create one, change its members, say where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from coe.access.decision import Decision
from coe.access.load import renew_version
from coe.access.membership_changes import (
    MembersSource,
    check_source,
    find_membership,
    hand_over,
    is_person,
    named_source,
)
from coe.access.models import Person, Team
from coe.access.people import find_person
from coe.access.permissions import Permission
from coe.access.policy_lines import Relation
from coe.audit.events import Tag
from coe.db import new_id
from coe.errors import Conflict, Invalid, NotFound, Problem
from coe.identifiers import PLATFORM_TEAM, is_slug
from coe.identity.teams.changes import Change, hold_policy, refresh
from coe.identity.teams.checks import (
    check_end,
    check_last_lead,
    check_roles,
    check_subject,
    find_team,
)
from coe.identity.teams.proposals import Outcome, apply_or_propose
from coe.outbox import OutboxKind, enqueue
from coe.work import Work, check_reason

_MAX_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class NewTeam:
    """The team to create; `source` says where its people come from."""

    slug: str
    name: str
    domain: str | None = None
    contact: str | None = None
    source: MembersSource = MembersSource.API


@dataclass(frozen=True, slots=True)
class NewMember:
    """A subject with all roles that it shall have in a team.

    `name` is for people; by default the name that is known, else the subject.
    """

    subject: str
    roles: Sequence[str] = ()
    name: str | None = None
    expires_at: datetime | None = None


async def create_team(work: Work, new: NewTeam) -> Team:
    """Create a team, which has no members yet; the engine makes its work pool.

    Raises:
        Forbidden: `team:create` is refused.
        Conflict: There is a team of this name.
        Invalid: Every problem of the input.
    """
    decision = work.require(
        Permission.TEAM_CREATE, resource=f"team:{PLATFORM_TEAM}", team=PLATFORM_TEAM
    )
    _check_new(new)
    made = await work.session.scalar(
        insert(Team)
        .values(
            slug=new.slug,
            id=new_id(),
            name=new.name.strip(),
            domain=new.domain,
            contact=new.contact,
            members_source=new.source.value,
        )
        .on_conflict_do_nothing(index_elements=["slug"])
        .returning(col(Team.slug))
    )
    if made is None:
        raise Conflict(f"there is a team {new.slug} already")
    await work.record(
        Tag.ACCESS_TEAM_CREATE,
        resource=f"team:{new.slug}",
        team=new.slug,
        decision=decision,
        detail={"name": new.name, "source": new.source.value},
    )
    team = await find_team(work, new.slug)
    await enqueue(work.session, OutboxKind.POOL, team.id)
    return team


async def add_member(work: Work, team: str, new: NewMember, *, reason: str) -> Outcome:
    """Take a person or a service into a team.

    Returns:
        Whether it was done, or waits for a second person.

    Raises:
        NotFound: There is no such team.
        Forbidden: `team:members` is refused.
        Conflict: The subject is in the team, the team's people come from another source, or the
            person has left.
        Invalid: Every problem of the input.
    """
    return await _put(work, team, new, reason=reason, joins=True)


async def change_member(work: Work, team: str, new: NewMember, *, reason: str) -> Outcome:
    """Give a member of a team these roles and this end, in place of those before.

    Raises:
        NotFound: There is no such team, or the subject is not in it.
        Forbidden: `team:members` is refused.
        Conflict: The team's people come from another source, or nobody would lead the team.
        Invalid: Every problem of the input.
    """
    return await _put(work, team, new, reason=reason, joins=False)


async def remove_member(work: Work, team: str, subject: str, *, reason: str) -> Outcome:
    """Take a person or a service out of a team, with what was granted beside it.

    Who is in no other team loses tokens, sessions and open tasks.

    Raises:
        NotFound: There is no such team, or the subject is not in it.
        Forbidden: `team:members` is refused.
        Conflict: The team's people come from another source, or nobody would lead the team.
        Invalid: The reason is blank or too long.
    """
    found = await find_team(work, team)
    decision = _require(work, team, subject)
    check_reason(reason)
    row = await find_membership(work.session, team, subject)
    if row is None:
        raise NotFound
    if row.origin != "grant":
        _check_source(found, subject, row.origin)
    check_last_lead(work, team, subject, ())
    change = Change(team, subject, row.display_name, None)
    return await apply_or_propose(
        work, MembersSource.API.value, change, decision=decision, reason=reason
    )


async def set_members_source(work: Work, team: str, source: MembersSource, *, reason: str) -> Team:
    """Let the people of a team come from another source; those who are in it stay.

    Raises:
        NotFound: There is no such team.
        Forbidden: `team:source` is refused.
        Conflict: They come from there already; or they come from a file, or shall, which the file
            says itself.
        Invalid: The reason is blank or too long.
    """
    await find_team(work, team)
    decision = work.require(Permission.TEAM_SOURCE, resource=f"team:{team}", team=team)
    check_reason(reason)
    renewed = await hold_policy(work)
    found = await find_team(work, team)
    if renewed:
        decision = work.require(Permission.TEAM_SOURCE, resource=f"team:{team}", team=team)
    before = found.members_source
    if before == source:
        raise Conflict(f"the members of {team} come from {named_source(source, team)} already")
    if MembersSource.CONTENT in {before, source}:
        raise Conflict(
            f"write `members_source: {source}` into catalog/teams/{team}.yaml and load it: "
            "otherwise the next load takes it back"
        )
    await hand_over(work.session, team, source)
    await renew_version(work.session)
    await work.record(
        Tag.ACCESS_TEAM_SOURCE,
        resource=f"team:{team}",
        team=team,
        decision=decision,
        reason=reason,
        detail={"before": before, "after": source.value},
    )
    await refresh(work)
    return await find_team(work, team)


async def _put(work: Work, team: str, new: NewMember, *, reason: str, joins: bool) -> Outcome:
    found = await find_team(work, team)
    decision = _require(work, team, new.subject)
    check_reason(reason)
    await check_subject(work, team, new.subject)
    await check_roles(work, team, new.subject, new.roles)
    check_end(new.expires_at, work.now, path="/expiresAt")
    row = await find_membership(work.session, team, new.subject)
    is_in = row is not None and row.origin != "grant"
    if joins and is_in:
        raise Conflict(f"{new.subject} is in {team} already (coe team change)")
    if not joins and not is_in:
        raise NotFound
    _check_source(found, new.subject, row.origin if row is not None and is_in else None)
    check_last_lead(work, team, new.subject, new.roles)
    name = new.name or await _name(work, new.subject, row.display_name if row else None)
    if not _is_line(name):
        raise Invalid([Problem("INPUT_NAME", _wanted_name(), path="/name")])
    roles = tuple(sorted(set(new.roles)))
    change = Change(team, new.subject, name.strip(), roles, new.expires_at)
    return await apply_or_propose(
        work, MembersSource.API.value, change, decision=decision, reason=reason
    )


def _require(work: Work, team: str, subject: str) -> Decision:
    relations = {Relation.SELF.value} if subject in work.actor.persons else set()
    return work.require(
        Permission.TEAM_MEMBERS, resource=f"team:{team}", team=team, relations=relations
    )


def _check_source(team: Team, subject: str, origin: str | None) -> None:
    """The source of the team has the say about people; a file about the services that it names."""
    if is_person(subject):
        check_source(team.slug, team.members_source, MembersSource.API)
    elif origin == MembersSource.CONTENT:
        raise Conflict(f"{subject} comes from catalog/teams/{team.slug}.yaml: change it there")


async def _name(work: Work, subject: str, known: str | None) -> str:
    if known:
        return known
    person: Person | None = await find_person(work.session, subject) if is_person(subject) else None
    return person.display_name if person else subject


def _check_new(new: NewTeam) -> None:
    problems = []
    if not is_slug(new.slug):
        message = "a team's name is words of a-z and 0-9 with hyphens between them"
        problems.append(Problem("INPUT_TEAM", message, path="/slug"))
    if not _is_line(new.name):
        problems.append(Problem("INPUT_NAME", _wanted_name(), path="/name"))
    if new.domain is not None and not is_slug(new.domain):
        message = "a domain is words of a-z and 0-9 with hyphens between them"
        problems.append(Problem("INPUT_DOMAIN", message, path="/domain"))
    if new.contact is not None and not _is_line(new.contact):
        problems.append(Problem("INPUT_CONTACT", _wanted_name(), path="/contact"))
    if new.source is MembersSource.CONTENT:
        message = "a team whose members come from a file is made by the file (coe content load)"
        problems.append(Problem("INPUT_SOURCE", message, path="/membersSource"))
    if problems:
        raise Invalid(problems)


def _is_line(text: str) -> bool:
    return 0 < len(text.strip()) <= _MAX_NAME and text.isprintable()


def _wanted_name() -> str:
    return f"it is one line of 1 to {_MAX_NAME} characters, none of which is a control character"
