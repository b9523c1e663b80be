"""How a team starts: the first steps in one call, and what it still needs, with who does it.

The checklist is what is so, not what somebody ticked: each item is asked of the tables. A call does
what its caller may, and says who does the rest; the next one, by them or after an approval, goes
on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import exists, or_, select
from sqlmodel import col

from coe.access.actor import DataClass
from coe.access.machine_models import EnrolmentCode, WorkerKey
from coe.access.membership_changes import MembersSource, is_person
from coe.access.models import Team
from coe.access.permissions import Permission
from coe.access.policy_lines import Relation
from coe.catalog.models import Lifecycle
from coe.catalog.tables import VERSIONS
from coe.identifiers import PLATFORM_TEAM, WORKER_ROLE, worker_subject
from coe.identity.team_lifecycle.steps import TeamStep, TeamStepState
from coe.identity.teams.actions import (
    NewMember,
    NewTeam,
    add_member,
    change_member,
    create_team,
)
from coe.identity.teams.checks import LEAD, find_team
from coe.identity.teams.proposals import waiting_proposal
from coe.identity.workers import create_enrolment_code
from coe.json_types import JSON
from coe.outbox import OUTBOX, OutboxKind, enqueue
from coe.runs.tables import RUNS, TEAM_WORKERS
from coe.templates.actions import instantiate
from coe.templates.records import Instantiation
from coe.work import Read, Work, check_reason

_LETS_WORK: Final = (Permission.TEAM_MEMBERS, Permission.WORKER_ENROL)
"""The permissions of which one is enough to ask the engine for a team's work pool again."""


@dataclass(frozen=True, slots=True)
class FirstFlow:
    """The template of a team's first flow; the process owner is the team's lead by default."""

    template: str
    name: str
    parameters: JSON
    process_owner: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Onboarding:
    """What a team's start shall have; `team.name` is needed for a team that is new.

    Without `enrols` no worker is let in, without `flow` none is made.
    """

    team: str
    name: str | None = None
    domain: str | None = None
    contact: str | None = None
    source: MembersSource = MembersSource.API
    lead: str | None = None
    developers: Sequence[str] = ()
    enrols: bool = True
    flow: FirstFlow | None = None


@dataclass(frozen=True, slots=True)
class Onboarded:
    """The steps of a team's start, and the code with which its worker enrols, if one was made."""

    team: str
    steps: tuple[TeamStep, ...]
    code: str | None = None


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """A step of a team's start: whether it is done, who does it, and with which command."""

    key: str
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
        (
            "lead",
            "has a lead",
            f"{PLATFORM_TEAM}/lead",
            f"coe team add {team} SUBJECT --role lead --reason REASON",
        ),
        (
            "builder",
            "has a developer or process owner",
            f"{team}/lead",
            f"coe team add {team} SUBJECT --role developer --reason REASON",
        ),
        (
            "service",
            "its worker is a member",
            f"{team}/lead",
            f"coe team add {team} {worker} --role {WORKER_ROLE} --reason REASON",
        ),
        ("code", "its worker may enrol", f"{team}/lead", f"coe worker code {team}"),
        (
            "worker",
            "its worker has asked for runs",
            f"{team}/developer",
            f"coe worker enrol {team}; coe worker team {team}",
        ),
        ("flow", "has a flow", f"{team}/developer", "coe template instantiate TEMPLATE"),
        (
            "live",
            "has a published flow",
            f"{team}/process-owner",
            "coe flow publish FLOW",
        ),
        ("run", "has run a flow", f"{team}/operator", "coe flow run FLOW"),
    )
    return [
        ChecklistItem(key, title, done.get(key, False), who, how) for key, title, who, how in steps
    ]


async def onboard_team(work: Work, new: Onboarding, *, reason: str) -> Onboarded:
    """Do the first steps of a team that the caller may do and that are not done yet.

    Called again, by the same or by somebody else, it goes on where it stands.

    Raises:
        NotFound: There is no such template, or it may not be read.
        Forbidden: The team is new, and `team:create` is refused.
        Conflict: The team is retired, or a person cannot be in it.
        Invalid: Every problem of the input; nothing is done.
    """
    check_reason(reason)
    start = _Start(work, new, reason)
    await start.make_team()
    await start.let_in(worker_subject(new.team), [WORKER_ROLE], "service", f"{new.team}: worker")
    if new.lead is not None:
        await start.let_in(new.lead, [LEAD], "lead")
    for developer in new.developers:
        await start.let_in(developer, ["developer"], "builder")
    await start.make_pool()
    await start.make_code()
    await start.make_flow()
    return Onboarded(new.team, await start.steps(), start.code)


class _Start:
    """The start of one team: what this call has done, and what waits."""

    def __init__(self, work: Work, new: Onboarding, reason: str) -> None:
        self.work, self.new, self.reason = work, new, reason
        self.states: dict[str, TeamStepState] = {}
        self.commands: dict[str, str] = {}
        self.code: str | None = None
        self._row: Team | None = None

    async def make_team(self) -> None:
        """Make the team, if there is none."""
        new = self.new
        row = await self.work.session.get(Team, new.team, populate_existing=True)
        if row is None:
            name = new.name or ""
            wanted = NewTeam(new.team, name, new.domain, new.contact, new.source)
            row = await create_team(self.work, wanted)
            self.states["team"] = TeamStepState.NOW
        else:
            row = await find_team(self.work, new.team)
        self._row = row

    async def let_in(
        self, subject: str, roles: Sequence[str], key: str, name: str | None = None
    ) -> None:
        """Take somebody into the team, or give a member these roles beside those that it has."""
        work, team = self.work, self.new.team
        held = {role for role, place in work.policy.roles(subject) if place == team}
        if held.issuperset(roles) or not self._may_change(subject):
            return
        waits = await waiting_proposal(work, team, subject, roles)
        if waits is None:
            member = NewMember(subject, [*sorted(held.union(roles))], name)
            verb = change_member if team in work.policy.teams(subject) else add_member
            waits = (await verb(work, team, member, reason=self.reason)).proposal
        self.states[key] = TeamStepState.NOW if waits is None else TeamStepState.WAITING
        if waits is not None:
            self.commands[key] = f"coe team approve {waits}"

    def _may_change(self, subject: str) -> bool:
        """Whether the actor may change this member, and the team's people come from the API."""
        assert self._row is not None  # noqa: S101  # `make_team` comes first
        theirs = self._row.members_source == MembersSource.API or not is_person(subject)
        own = {Relation.SELF.value} if subject in self.work.actor.persons else set()
        permission = Permission.TEAM_MEMBERS
        decision = self.work.decide(permission, team=self.new.team, relations=own)
        return theirs and decision.allowed

    async def make_pool(self) -> None:
        """Ask the engine for the team's work pool; it answers that it has one, if so.

        A new team has asked for it. For one that is there, whoever may take in its worker asks.
        """
        assert self._row is not None  # noqa: S101  # the same
        asked = exists().where(
            OUTBOX.c.kind == OutboxKind.POOL.value, OUTBOX.c.subject == self._row.id
        )
        if await self.work.session.scalar(select(asked)):
            waits = "team" not in self.states  # it was asked before this call
            self.states["pool"] = TeamStepState.WAITING if waits else TeamStepState.NOW
            return
        if any(self.work.decide(each, team=self.new.team).allowed for each in _LETS_WORK):
            await enqueue(self.work.session, OutboxKind.POOL, self._row.id)
        self.states["pool"] = TeamStepState.DONE

    async def make_code(self) -> None:
        """Make a code with which the team's worker enrols, unless one may enrol or has."""
        work, team = self.work, self.new.team
        if not self.new.enrols:
            self.states["code"] = TeamStepState.LEFT_OUT
            return
        is_member = worker_subject(team) in work.policy.memberships.holders(f"{team}/{WORKER_ROLE}")
        may = work.decide(Permission.WORKER_ENROL, team=team).allowed
        if may and is_member and not (await _done(work, team))["code"]:
            self.code, _ = await create_enrolment_code(work, team)
            self.states["code"] = TeamStepState.NOW

    async def make_flow(self) -> None:
        """Make the first flow from its template."""
        work, team, flow = self.work, self.new.team, self.new.flow
        if flow is None:
            self.states["flow"] = TeamStepState.LEFT_OUT
            return
        may = work.decide(Permission.TEMPLATE_INSTANTIATE, team=team).allowed
        if not may or (await _done(work, team))["flow"]:
            return
        leads = sorted(work.policy.memberships.holders(f"{team}/{LEAD}"))
        owner = flow.process_owner or (leads[0] if leads else work.actor.subject)
        request = Instantiation(flow.template, team, flow.name, flow.parameters, owner, flow.title)
        await instantiate(work, request)
        self.states["flow"] = TeamStepState.NOW

    async def steps(self) -> tuple[TeamStep, ...]:
        """All steps, with what this call has done."""
        found = [TeamStep("team", "is there", self.states.get("team", TeamStepState.DONE))]
        pool = self.states["pool"]
        found.append(TeamStep("pool", "has a work pool", pool, "the engine", "coe engine show"))
        for item in await checklist(self.work, self.new.team):
            state = TeamStepState.DONE if item.done else TeamStepState.OPEN
            own = self.states.get(item.key)
            if own is not None and not (own is TeamStepState.LEFT_OUT and item.done):
                state = own
            command = self.commands.get(item.key, item.command)
            who = "a second person" if state is TeamStepState.WAITING else item.who
            found.append(TeamStep(item.key, item.title, state, who, command))
        return tuple(found)


async def _done(read: Read, team: str) -> dict[str, bool]:
    holders = read.policy.memberships.holders
    live = VERSIONS.c.lifecycle == Lifecycle.PUBLISHED
    key_is_good = col(WorkerKey.revoked_at).is_(None), col(WorkerKey.expires_at) > read.now
    code_is_good = col(EnrolmentCode.used_at).is_(None), col(EnrolmentCode.expires_at) > read.now
    found = await read.session.execute(
        select(
            exists().where(TEAM_WORKERS.c.team == team).label("worker"),
            or_(
                exists().where(TEAM_WORKERS.c.team == team),
                exists().where(col(WorkerKey.team) == team, *key_is_good),
                exists().where(col(EnrolmentCode.team) == team, *code_is_good),
            ).label("code"),
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
