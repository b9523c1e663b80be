"""What every change of a team's members is checked for, whichever source it comes from."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlmodel import col

from coe import content
from coe.access.actor import ActorKind, subject_kind
from coe.access.files import read_roles
from coe.access.models import Membership, PersonState, Team, TeamState
from coe.access.people import find_person
from coe.errors import Conflict, Invalid, NotFound, Problem
from coe.identifiers import WORKER_ROLE, is_worker, worker_subject
from coe.language.suggestions import did_you_mean
from coe.work import Read, Work

MAX_TIME: Final = timedelta(days=366)
MAX_ROLES: Final = 20
LEAD: Final = "lead"


async def find_team(read: Read, slug: str, *, keep: bool = False) -> Team:
    """The team, which works with the platform; `keep` lets nobody retire it meanwhile.

    Who holds the policy needs no `keep`, and who keeps a team does not take the policy afterwards.

    Raises:
        NotFound: There is none of this name.
        Conflict: It is retired.
    """
    lock = {"read": True} if keep else None
    team = await read.session.get(Team, slug, populate_existing=True, with_for_update=lock)
    if team is None:
        raise NotFound
    if team.state != TeamState.ACTIVE:
        raise Conflict(f"the team {slug} is retired")
    return team


async def check_roles(
    work: Work, team: str, subject: str, roles: Collection[str], *, path: str = "/roles"
) -> None:
    """Refuse roles that `policies/roles.yaml` does not have, and a worker's for anybody else.

    A worker reads the data of the team's runs, so only the team's own worker has its role.

    Raises:
        Invalid: Every role that is not possible, or there are too many.
    """
    root = content.root(work.platform.settings.content_dir)
    known = await asyncio.to_thread(read_roles, root)
    problems = [
        Problem(
            "INPUT_ROLE",
            f"there is no role {role!r}{did_you_mean(role, known)}",
            path=f"{path}/{index}",
            help=f"the roles: {', '.join(sorted(known))}",
        )
        for index, role in enumerate(roles)
        if role not in known
    ]
    if WORKER_ROLE in roles and subject != worker_subject(team):
        message = f"only {worker_subject(team)} has the role {WORKER_ROLE}"
        problems.append(Problem("INPUT_ROLE", message, path=path))
    if len(roles) > MAX_ROLES:
        message = f"one holds at most {MAX_ROLES} roles in a team"
        problems.insert(0, Problem("INPUT_ROLE", message, path=path))
    if problems:
        raise Invalid(problems)


def check_end(end: datetime | None, now: datetime, *, path: str) -> None:
    """Refuse an end that is past, or too far away.

    Raises:
        Invalid: It is.
    """
    if end is None or now < end <= now + MAX_TIME:
        return
    message = f"the end lies in the future, at most {MAX_TIME.days} days ahead"
    raise Invalid([Problem("INPUT_END", message, path=path)])


def check_last_lead(read: Read, team: str, subject: str, roles: Collection[str]) -> None:
    """Refuse a change that leaves a team without a lead.

    Raises:
        Conflict: The subject is its only lead, and would not be afterwards.
    """
    leads = read.policy.memberships.holders(f"{team}/{LEAD}")
    if leads == {subject} and LEAD not in roles:
        raise Conflict(f"{subject} is the only lead of {team}: let somebody else lead it first")


async def check_subject(work: Work, team: str, subject: str) -> None:
    """Refuse who cannot be in a team.

    No two names of people differ only in case. A person who has left does not come back under the
    same name. A service acts for one team, a team's worker for that of its name: otherwise who
    leads another team could issue tokens for it.

    Raises:
        Invalid: The subject is malformed, or no person or service that may be in this team.
        Conflict: The person has left, or the service acts for another team.
    """
    problems = list(_form_problems(team, subject))
    if problems:
        raise Invalid(problems)
    if subject_kind(subject) is ActorKind.SERVICE:
        others = work.policy.teams(subject) - {team}
        if others:
            raise Conflict(f"{subject} acts for another team, and a service acts for one")
        return
    person = await find_person(work.session, subject)
    if person is not None and person.state == PersonState.LEFT:
        raise Conflict(f"{subject} has left")
    known = person.subject if person else await _spelled(work, subject)
    if known is not None and known != subject:
        message = f"there is {known}, and no two names differ only in case"
        raise Invalid([Problem("INPUT_SUBJECT", message, path="/subject")])


def _form_problems(team: str, subject: str) -> Iterator[Problem]:
    try:
        kind = subject_kind(subject)
    except ValueError as error:
        yield Problem("INPUT_SUBJECT", str(error), path="/subject")
        return
    if kind is ActorKind.RUN:
        yield Problem("INPUT_SUBJECT", "a run is in no team", path="/subject")
    if is_worker(subject) and subject != worker_subject(team):
        message = f"{subject} is the worker of another team"
        yield Problem("INPUT_SUBJECT", message, path="/subject")


async def _spelled(work: Work, subject: str) -> str | None:
    found: str | None = await work.session.scalar(
        select(col(Membership.subject))
        .where(func.lower(col(Membership.subject)) == subject.lower())
        .order_by(col(Membership.subject) != subject)
        .limit(1)
    )
    return found
