"""How a team ends: what of it is still open, and with which command by whom; then it is retired.

Whoever may settle a part does so, with the same call: the process owner or a reviewer retires the
flows, the operator cancels the runs, and the centre of excellence retires the team when nothing is
left. What ends by itself with the team (members, tokens, workers, clients, trust rules) is listed
too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Select, exists, func, select
from sqlmodel import col

from coe.access.load import renew_version
from coe.access.machine_models import MachineClient, TrustRule, WorkerKey
from coe.access.membership_changes import drop_all, lock_policy, without_team
from coe.access.models import Membership, Team, TeamState
from coe.access.permissions import Permission
from coe.audit.events import Tag
from coe.catalog.models import EntryKind, Lifecycle, LinkKind
from coe.catalog.retirement import retire_entry
from coe.catalog.tables import ENTRIES, LINKS, VERSIONS
from coe.errors import Conflict
from coe.human_tasks.reassignment import escalate_unanswerable
from coe.identifiers import PLATFORM_TEAM
from coe.identity.team_lifecycle.steps import TeamStep, TeamStepState
from coe.identity.teams import answers
from coe.identity.teams.changes import refresh
from coe.identity.teams.checks import find_team
from coe.identity.teams.leaving import end_machines, settle_leavers
from coe.runs.actions import cancel_run
from coe.runs.models import ENDED
from coe.runs.tables import RUNS, SCHEDULES, TASKS
from coe.runs.task_models import OPEN_TASK_STATES
from coe.secrets import SecretStore
from coe.work import Read, Work, check_reason

MAX_NAMED: Final = 5
MAX_CANCELLED: Final = 200
"""How many runs one call cancels."""
_UNSETTLED: Final = frozenset({TeamStepState.OPEN, TeamStepState.WAITING})
_LIVE: Final = (Lifecycle.PUBLISHED, Lifecycle.DEPRECATED)
_SETTLES: Final = (Permission.TEAM_RETIRE, Permission.FLOW_RETIRE, Permission.RUN_CANCEL)
_NAME: Final = ENTRIES.c.namespace + "/" + ENTRIES.c.name


@dataclass(frozen=True, slots=True)
class Ending:
    """What a team's end has come to: whether the team is retired, and the steps."""

    is_retired: bool
    steps: tuple[TeamStep, ...]


async def ending_of(work: Work, team: str) -> tuple[TeamStep, ...]:
    """What of a team is still open before it can be retired, and what ends with it.

    Raises:
        NotFound: There is no such team.
        Forbidden: The actor may settle nothing of it: `team:retire`, `flow:retire` and `run:cancel`
            are refused.
        Conflict: It is retired.
    """
    await find_team(work, team)
    _require_any(work, team)
    return tuple([each async for each in _steps(work, team, frozenset())])


async def end_team(
    work: Work, team: str, *, reason: str, retire_flows: bool = False, cancel_runs: bool = False
) -> Ending:
    """Settle of a team what the caller asks for and may, and retire it if nothing is left.

    Args:
        work: The transaction of all of it.
        team: The team.
        reason: Why; it is kept with each part.
        retire_flows: Retire its published flows, tables and templates that no other team calls.
        cancel_runs: Cancel its open runs, at most `MAX_CANCELLED` a call.

    Raises:
        NotFound: There is no such team.
        Forbidden: The actor may settle nothing of it.
        Conflict: It is retired, or the platform's.
        Invalid: The reason is blank or too long.
    """
    await find_team(work, team)
    _require_any(work, team)
    check_reason(reason)
    if team == PLATFORM_TEAM:
        raise Conflict("the platform's own team is never retired")
    done: set[str] = set()
    if cancel_runs and await _cancel_runs(work, team, reason):
        done.add("runs")
    if retire_flows and await _retire_entries(work, team, reason):
        done.add("entries")
    steps = [each async for each in _steps(work, team, frozenset(done))]
    blocked = any(
        each.state in {TeamStepState.OPEN, TeamStepState.WAITING} for each in steps[:_BLOCKING]
    )
    may = work.decide(Permission.TEAM_RETIRE, team=team).allowed
    if blocked or not may:
        state = TeamStepState.OPEN
    else:
        await retire_team(work, team, reason=reason)
        state = TeamStepState.NOW
        steps = [
            replace(each, state=TeamStepState.NOW) if each.state is TeamStepState.LATER else each
            for each in steps
        ]
    command = f"coe team offboard {team} --reason REASON"
    steps.append(TeamStep("team", "is retired", state, f"{PLATFORM_TEAM}/lead", command))
    return Ending(state is TeamStepState.NOW, tuple(steps))


async def retire_team(work: Work, team: str, *, reason: str) -> Team:
    """Retire a team: its members leave it, its machines end, and its namespace stays taken.

    Open tasks of other teams that only its members could answer go to the leads of those teams.

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
    steps = [each async for each in _steps(work, team, frozenset())][:_BLOCKING]
    open_ = [f"{each.title} ({', '.join(each.names)})" for each in steps if each.command]
    if open_:
        raise Conflict(f"{team} cannot be retired yet: {'; '.join(open_)}")
    await lock_policy(work.session)
    found.state = TeamState.RETIRED.value
    rows = await work.session.scalars(select(Membership).where(col(Membership.team) == team))
    members = rows.all()
    subjects = {row.subject for row in members}
    held = {
        row.subject: {(role, team) for role in (*row.roles, *row.granted) if role}
        for row in members
    }
    await drop_all(work.session, [(team, subject) for subject in subjects])
    await renew_version(work.session)
    machines = await end_machines(work, team)
    refused = await answers.refuse_all(work, team, f"the team {team} is retired")
    await work.record(
        Tag.ACCESS_TEAM_RETIRE,
        resource=f"team:{team}",
        team=team,
        decision=decision,
        reason=reason,
        detail={"members": [*sorted(subjects)], "machines": [*machines], "refused": refused},
    )
    left = await without_team(work.session, subjects, work.now)
    await settle_leavers(work, left, why=f"the team {team} is retired", held=held)
    await refresh(work)
    roles = {role for some in held.values() for role, _ in some}
    await escalate_unanswerable(work, team, roles, work.policy)
    return found


def _require_any(work: Work, team: str) -> None:
    if not any(work.decide(each, team=team).allowed for each in _SETTLES):
        work.require(Permission.TEAM_RETIRE, resource=f"team:{team}", team=team)


async def _cancel_runs(work: Work, team: str, reason: str) -> bool:
    """Cancel the open runs, as far as the actor may."""
    if not work.decide(Permission.RUN_CANCEL, team=team).allowed:
        return False
    rows = await work.session.scalars(_open_runs(team).order_by(RUNS.c.id).limit(MAX_CANCELLED))
    keys = rows.all()
    for key in keys:
        await cancel_run(work, key, reason=reason)
    return bool(keys)


async def _retire_entries(work: Work, team: str, reason: str) -> bool:
    """Retire what starts runs and is not called by others, as far as the actor may."""
    called = {name for name, _ in await _callers(work, team)}
    rows = (await work.session.execute(_live_entries(team))).all()
    retired = False
    for row in rows:
        permission = _RETIRES.get(row.kind)
        may = permission is not None and work.decide(permission, team=team).allowed
        if may and row.ref not in called:
            await retire_entry(work, row.namespace, row.name, comment=reason)
            retired = True
    return retired


_RETIRES: Final = {
    EntryKind.DECISION: Permission.DECISION_RETIRE,
    EntryKind.FLOW: Permission.FLOW_RETIRE,
    EntryKind.TEMPLATE: Permission.TEMPLATE_RETIRE,
}


async def _steps(work: Work, team: str, done: frozenset[str]) -> AsyncIterator[TeamStep]:
    """The steps of an end: those that have to be done first, then those that end with the team."""
    owner = f"{team}/process-owner"
    runs = [str(each) for each in await work.session.scalars(_open_runs(team).limit(MAX_NAMED + 1))]
    count = await work.session.scalar(select(func.count()).select_from(_open_runs(team).subquery()))
    how = f"coe team offboard {team} --cancel-runs"
    after = TeamStepState.WAITING if "runs" in done else TeamStepState.OPEN
    state = _state(runs, done, "runs", after)
    yield _step(
        TeamStep("runs", f"open runs: {count or 0}", state, f"{team}/operator", how, tuple(runs))
    )
    live = [row.ref for row in (await work.session.execute(_live_entries(team))).all()]
    how = f"coe team offboard {team} --retire-flows"
    state = _state(live, done, "entries", TeamStepState.OPEN)
    title = f"live flows, tables and templates: {len(live)}"
    yield _step(TeamStep("entries", title, state, f"{owner} or coe/reviewer", how, tuple(live)))
    callers = [f"{caller} calls {name}" for name, caller in await _callers(work, team)]
    who = ", ".join(sorted({f"{each.partition('/')[0]}/process-owner" for each in callers}))
    state = TeamStepState.OPEN if callers else TeamStepState.DONE
    title = f"flows of other teams that call them: {len(callers)}"
    yield _step(TeamStep("callers", title, state, who, "coe flow deprecate FLOW", tuple(callers)))
    tasks = await _count(work, select(TASKS.c.id).where(*_open_tasks(team)))
    yield _later("tasks", f"open human tasks of its runs, which end with them: {tasks}", tasks)
    schedules = await work.session.scalars(
        select(SCHEDULES.c.flow).where(SCHEDULES.c.team == team).order_by(SCHEDULES.c.flow)
    )
    names = list(schedules)
    title = f"schedules and subscriptions to events, which end with the flows: {len(names)}"
    yield _later("schedules", title, len(names), names)
    for key, title, model in (
        ("workers", "workers, whose keys end with it", WorkerKey),
        ("clients", "registered clients, which end with it", MachineClient),
        ("trust", "rules of trust in CIs, which end with it", TrustRule),
    ):
        machines: Any = model
        good = machines.team == team, machines.revoked_at.is_(None)
        found = await _count(work, select(machines.id).where(*good))
        yield _later(key, f"{title}: {found}", found)
    of_team = select(col(Membership.subject)).where(col(Membership.team) == team)
    members = await _count(work, of_team)
    title = f"members: {members}; who is in no other team loses tokens, sessions and tasks"
    yield _later("members", title, members)
    store = SecretStore(work.platform.settings.secrets_file)
    secrets = await asyncio.to_thread(store.naming, team)
    known = "not known to this process" if secrets is None else len(secrets)
    state = TeamStepState.OPEN if secrets else TeamStepState.DONE
    title = f"secrets of COE_SECRETS_FILE that name it: {known}"
    how = "take the team out of them"
    who = "who has the file"
    yield TeamStep("secrets", title, state, who, how, tuple(sorted(secrets or ())))


_BLOCKING: Final = 3
"""How many of the first steps have to be done before the team can be retired."""


def _state(
    found: Sequence[object], done: frozenset[str], key: str, otherwise: TeamStepState
) -> TeamStepState:
    if found:
        return otherwise
    return TeamStepState.NOW if key in done else TeamStepState.DONE


def _later(key: str, title: str, count: int, names: Sequence[str] = ()) -> TeamStep:
    state = TeamStepState.LATER if count else TeamStepState.DONE
    return _step(TeamStep(key, title, state, names=tuple(names)))


def _step(step: TeamStep) -> TeamStep:
    """The step with the first names of what it is about; what is done needs nobody."""
    names = step.names
    if len(names) > MAX_NAMED:
        names = (*names[:MAX_NAMED], "…")
    is_open = step.state in _UNSETTLED
    return replace(
        step,
        names=names,
        who=step.who if is_open else "",
        command=step.command if is_open else "",
    )


def _open_runs(team: str) -> Select[Any]:
    return select(RUNS.c.id).where(RUNS.c.team == team, RUNS.c.state.not_in(ENDED))


def _open_tasks(team: str) -> tuple[Any, ...]:
    return TASKS.c.team == team, TASKS.c.state.in_(OPEN_TASK_STATES)


def _live_entries(team: str) -> Select[Any]:
    live = exists().where(VERSIONS.c.entry_id == ENTRIES.c.id, VERSIONS.c.lifecycle.in_(_LIVE))
    return (
        select(_NAME.label("ref"), ENTRIES.c.namespace, ENTRIES.c.name, ENTRIES.c.kind)
        .where(ENTRIES.c.team == team, live)
        .order_by(_NAME)
    )


async def _callers(read: Read, team: str) -> list[tuple[str, str]]:
    """The entries of a team that live flows of others call, each with a caller."""
    called = LINKS.c.target_namespace + "/" + LINKS.c.target_name
    found = await read.session.execute(
        select(called.label("called"), _NAME.label("caller"))
        .distinct()
        .join(VERSIONS, VERSIONS.c.id == LINKS.c.version_id)
        .join(ENTRIES, ENTRIES.c.id == VERSIONS.c.entry_id)
        .where(
            LINKS.c.kind == LinkKind.CALLS,
            LINKS.c.target_namespace == team,
            ENTRIES.c.team != team,
            VERSIONS.c.lifecycle.in_(_LIVE),
        )
        .order_by(called, _NAME)
    )
    return [(row.called, row.caller) for row in found]


async def _count(read: Read, statement: Select[Any]) -> int:
    return await read.session.scalar(select(func.count()).select_from(statement.subquery())) or 0
