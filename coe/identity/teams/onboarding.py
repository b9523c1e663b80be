"""What a new team still needs, with who does it; and how a team ends.

The checklist is what is so, not what somebody ticked: each item is asked of the tables.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from sqlalchemy import exists, func, select
from sqlmodel import col

from coe.access.actor import DataClass
from coe.access.load import renew_version
from coe.access.membership_changes import drop_all, lock_policy, without_team
from coe.access.models import Membership, Team, TeamState
from coe.access.permissions import Permission
from coe.audit.events import Tag
from coe.catalog.models import Lifecycle, LinkKind
from coe.catalog.tables import ENTRIES, LINKS, VERSIONS
from coe.errors import Conflict
from coe.identifiers import PLATFORM_TEAM, WORKER_ROLE, worker_subject
from coe.identity.teams.changes import refresh
from coe.identity.teams.checks import find_team
from coe.identity.teams.leaving import end_machines, settle_leavers
from coe.runs.models import ENDED
from coe.runs.tables import RUNS, TEAM_WORKERS
from coe.work import Read, Work, check_reason

MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """A step of a team's start: whether it is done, who does it, and with which command."""

    title: str
    done: bool
    who: str
    command: str


async def checklist(read: Read, team: str) -> list[ChecklistItem]:
    """The steps from a new team to its first run, in order.

    Raises:
        NotFound: There is no such team.
        Conflict: It is retired.
    """
    await find_team(read, team)
    known = read.decide(Permission.ENTRY_READ, team=team, data_class=DataClass.INTERNAL).allowed
    done = await _done(read, team) if known else {}
    worker = worker_subject(team)
    steps = (
        ("lead", "has a lead", f"{PLATFORM_TEAM}/lead", f"coe team add {team} SUBJECT --role lead"),
        (
            "builder",
            "has a developer or process owner",
            f"{team}/lead",
            f"coe team add {team} SUBJECT --role developer",
        ),
        (
            "service",
            "its worker is a member",
            f"{team}/lead",
            f"coe team add {team} {worker} --role {WORKER_ROLE}",
        ),
        ("worker", "its worker has asked for runs", f"{team}/developer", f"coe worker {team}"),
        ("flow", "has a flow", f"{team}/developer", "coe template instantiate TEMPLATE"),
        (
            "live",
            "has a published flow",
            f"{team}/process-owner",
            "coe flow publish FLOW",
        ),
        ("run", "has run a flow", f"{team}/operator", "coe flow run FLOW"),
    )
    return [ChecklistItem(title, done.get(key, False), who, how) for key, title, who, how in steps]


async def retire_team(work: Work, team: str, *, reason: str) -> Team:
    """Retire a team: its members leave it, its machines end, and its namespace stays taken.

    Raises:
        NotFound: There is no such team.
        Forbidden: `team:retire` is refused.
        Conflict: It is retired or the platform's; or runs are open, flows are live or called by
            others: the message says which.
        Invalid: The reason is blank or too long.
    """
    found = await find_team(work, team)
    decision = work.require(Permission.TEAM_RETIRE, resource=f"team:{team}", team=team)
    check_reason(reason)
    if team == PLATFORM_TEAM:
        raise Conflict("the platform's own team is never retired")
    obstacles = [each async for each in _obstacles(work, team)]
    if obstacles:
        raise Conflict(f"{team} cannot be retired yet: {'; '.join(obstacles)}")
    await lock_policy(work.session)
    found.state = TeamState.RETIRED.value
    rows = await work.session.scalars(select(Membership).where(col(Membership.team) == team))
    members = rows.all()
    subjects = {row.subject for row in members}
    held = {row.subject: {(role, team) for role in row.roles} for row in members}
    await drop_all(work.session, [(team, subject) for subject in subjects])
    await renew_version(work.session)
    machines = await end_machines(work, team)
    await work.record(
        Tag.ACCESS_TEAM_RETIRE,
        resource=f"team:{team}",
        team=team,
        decision=decision,
        reason=reason,
        detail={"members": [*sorted(subjects)], "machines": [*machines]},
    )
    left = await without_team(work.session, subjects, work.now)
    await settle_leavers(work, left, why=f"the team {team} is retired", held=held)
    await refresh(work)
    return found


async def _done(read: Read, team: str) -> dict[str, bool]:
    holders = read.policy.memberships.holders
    live = VERSIONS.c.lifecycle == Lifecycle.PUBLISHED
    found = await read.session.execute(
        select(
            exists().where(TEAM_WORKERS.c.team == team).label("worker"),
            exists().where(VERSIONS.c.team == team).label("flow"),
            exists().where(VERSIONS.c.team == team, live).label("live"),
            exists().where(RUNS.c.team == team).label("run"),
        )
    )
    facts: dict[str, bool] = dict(found.one()._mapping)  # noqa: SLF001  # the row as a mapping
    return facts | {
        "lead": bool(holders(f"{team}/lead")),
        "builder": bool(holders(f"{team}/developer") | holders(f"{team}/process-owner")),
        "service": bool(holders(f"{team}/{WORKER_ROLE}")),
    }


async def _obstacles(work: Work, team: str) -> AsyncIterator[str]:
    """What is in the way of retiring a team, each as a phrase."""
    open_ = select(func.count()).where(RUNS.c.team == team, RUNS.c.state.not_in(ENDED))
    count = await work.session.scalar(open_) or 0
    if count:
        yield f"{count} runs are open (coe run list)"
    name = ENTRIES.c.namespace + "/" + ENTRIES.c.name
    live = (Lifecycle.PUBLISHED, Lifecycle.DEPRECATED)
    own = await work.session.scalars(
        select(name)
        .distinct()
        .join(VERSIONS, VERSIONS.c.entry_id == ENTRIES.c.id)
        .where(ENTRIES.c.team == team, VERSIONS.c.lifecycle.in_(live))
        .order_by(name)
    )
    if found := list(own):
        yield f"live entries: {_named(found)} (coe flow retire)"
    callers = await work.session.scalars(
        select(name)
        .distinct()
        .join(VERSIONS, VERSIONS.c.entry_id == ENTRIES.c.id)
        .join(LINKS, LINKS.c.version_id == VERSIONS.c.id)
        .where(
            LINKS.c.kind == LinkKind.CALLS,
            LINKS.c.target_namespace == team,
            ENTRIES.c.team != team,
            VERSIONS.c.lifecycle.in_(live),
        )
        .order_by(name)
    )
    if found := list(callers):
        yield f"flows of other teams call its entries: {_named(found)}"


def _named(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
