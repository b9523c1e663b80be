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
from uuid import UUID

from sqlalchemy import Row, Select, exists, func, not_, select
from sqlmodel import col

from coe.access.load import renew_version
from coe.access.machine_models import MachineClient, TrustRule, WorkerKey
from coe.access.membership_changes import drop_all, without_team
from coe.access.models import Membership, Team, TeamState
from coe.access.permissions import Permission
from coe.audit.events import Tag
from coe.catalog.models import EntryKind, Lifecycle, LinkKind
from coe.catalog.retirement import may_retire_entry, retire_entry
from coe.catalog.scope import readable_entries
from coe.catalog.tables import ENTRIES, LINKS, VERSIONS
from coe.errors import Conflict, Forbidden, NotFound
from coe.human_tasks.reassignment import escalate_unanswerable
from coe.identifiers import PLATFORM_TEAM
from coe.identity.team_lifecycle.steps import TeamStep, TeamStepState
from coe.identity.teams import answers
from coe.identity.teams.changes import hold_policy, refresh
from coe.identity.teams.checks import find_team
from coe.identity.teams.leaving import end_machines, settle_leavers
from coe.runs.actions import cancel_run
from coe.runs.interventions import is_stopping
from coe.runs.models import ENDED
from coe.runs.tables import RUNS, SCHEDULES, TASKS
from coe.runs.task_models import OPEN_TASK_STATES
from coe.runs.visibility import readable_runs
from coe.secrets import SecretStore
from coe.work import Read, Work, check_reason

MAX_NAMED: Final = 5
MAX_CANCELLED: Final = 200
"""How many runs one call cancels."""
MAX_TRIED: Final = 5 * MAX_CANCELLED
"""How many runs one call tries to cancel, so that refused ones do not keep it from the others."""
_UNSETTLED: Final = frozenset({TeamStepState.OPEN, TeamStepState.WAITING})
_LIVE: Final = (Lifecycle.PUBLISHED, Lifecycle.DEPRECATED)
_RETIRABLE: Final = (EntryKind.DECISION, EntryKind.FLOW, EntryKind.TEMPLATE)
"""The kinds of entries that a verb retires; systems are not reviewed, and stay."""
_STAYS_OPEN: Final = (Conflict, Forbidden, NotFound)
"""Why one part cannot be settled now: the others are, and the steps still list it."""
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

    Each run and each entry is settled whole or not at all. One that is refused stays open, and
    keeps no other from being settled.

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
    await find_team(work, team)
    decision = work.require(Permission.TEAM_RETIRE, resource=f"team:{team}", team=team)
    check_reason(reason)
    if team == PLATFORM_TEAM:
        raise Conflict("the platform's own team is never retired")
    await answers.keep_waiting(work, team)
    if await hold_policy(work):
        decision = work.require(Permission.TEAM_RETIRE, resource=f"team:{team}", team=team)
    found = await find_team(work, team)
    found.state = TeamState.RETIRED.value
    await work.session.flush()  # who registers a machine in it waits, or is waited for
    steps = [each async for each in _steps(work, team, frozenset())][:_BLOCKING]
    open_ = [
        f"{each.title} ({', '.join(each.names)})" if each.names else each.title
        for each in steps
        if each.command
    ]
    if open_:
        raise Conflict(f"{team} cannot be retired yet: {'; '.join(open_)}")
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
    """Cancel the open runs, each apart, as far as the actor may: what is refused stays open.

    Runs that are stopping already are left alone.
    """
    may = readable_runs(work), readable_runs(work, Permission.RUN_CANCEL)
    open_ = _open_runs(team).where(not_(is_stopping()), *may)
    rows = await work.session.scalars(open_.order_by(RUNS.c.id).limit(MAX_TRIED))
    cancelled = 0
    for key in rows.all():
        if cancelled == MAX_CANCELLED:
            break
        try:
            async with work.session.begin_nested():
                cancelled += await _cancel_once(work, key, reason)
        except _STAYS_OPEN:
            continue
    return cancelled > 0


async def _cancel_once(work: Work, run: UUID, reason: str) -> bool:
    """Cancel a run, unless another call has done so while this one waited for the run."""
    mine = RUNS.c.id == run
    await work.session.execute(select(RUNS.c.id).where(mine).with_for_update(key_share=True))
    if await work.session.scalar(select(is_stopping()).select_from(RUNS).where(mine)):
        return False
    await cancel_run(work, run, reason=reason)
    return True


async def _retire_entries(work: Work, team: str, reason: str) -> bool:
    """Retire, each apart, what is not called by others, as far as the actor may.

    What is refused stays open, whole.
    """
    called = {each.called for each in await _callers(work, team)}
    retired = False
    for row in (await work.session.execute(_live_entries(work, team))).all():
        if row.ref in called or not row.readable:
            continue
        try:
            async with work.session.begin_nested():
                if await may_retire_entry(work, row.namespace, row.name):
                    await retire_entry(work, row.namespace, row.name, comment=reason)
                    retired = True
        except _STAYS_OPEN:
            continue
    return retired


async def _steps(work: Work, team: str, done: frozenset[str]) -> AsyncIterator[TeamStep]:
    """The steps of an end: those that have to be done first, then those that end with the team."""
    owner = f"{team}/process-owner"
    yield await _runs_step(work, team, done)
    live = (await work.session.execute(_live_entries(work, team))).all()
    how = f"coe team offboard {team} --retire-flows"
    state = _state(live, done, "entries", TeamStepState.OPEN)
    names = tuple(row.ref for row in live if row.readable)
    title = f"live flows, tables and templates: {len(live)}{_unread(len(live) - len(names))}"
    yield _step(TeamStep("entries", title, state, f"{owner} or coe/reviewer", how, names))
    yield await _callers_step(work, team)
    yield await _systems_step(work, team)
    tasks = await _count(work, select(TASKS.c.id).where(*_open_tasks(team)))
    yield _later("tasks", f"open human tasks of its runs, which end with them: {tasks}", tasks)
    schedules = await work.session.scalars(
        select(SCHEDULES.c.flow).where(SCHEDULES.c.team == team).order_by(SCHEDULES.c.flow)
    )
    flows = list(schedules)
    title = f"schedules and subscriptions to events, which end with the flows: {len(flows)}"
    yield _later("schedules", title, len(flows), flows)
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


async def _runs_step(work: Work, team: str, done: frozenset[str]) -> TeamStep:
    """The open runs; when all of them are stopping, nobody has to do anything but wait."""
    counts = _open_runs(team).with_only_columns(
        func.count().label("all"), func.count().filter(is_stopping()).label("stopping")
    )
    count, stopping = (await work.session.execute(counts)).one()
    first = _open_runs(team).order_by(is_stopping(), RUNS.c.id).limit(MAX_NAMED + 1)
    runs = [str(each) for each in await work.session.scalars(first)]
    after = TeamStepState.WAITING if count == stopping else TeamStepState.OPEN
    title = f"open runs: {count}" + (f", {stopping} of them stopping" if stopping else "")
    how = f"coe team offboard {team} --cancel-runs"
    state = _state(runs, done, "runs", after)
    return _step(TeamStep("runs", title, state, f"{team}/operator", how, tuple(runs)))


async def _callers_step(work: Work, team: str) -> TeamStep:
    """Who calls the team's entries: those that the actor may read by name, the others counted."""
    callers = await _callers(work, team)
    read = [each for each in callers if each.readable]
    owners = sorted({f"{each.caller.partition('/')[0]}/process-owner" for each in read})
    if len(read) < len(callers):
        owners.append(f"{PLATFORM_TEAM}/lead, who may read the others")
    state = TeamStepState.OPEN if callers else TeamStepState.DONE
    unread = _unread(len(callers) - len(read))
    title = f"flows of other teams that call them: {len(callers)}{unread}"
    names = tuple(f"{each.caller} calls {each.called}" for each in read)
    how = "coe flow deprecate FLOW"
    return _step(TeamStep("callers", title, state, ", ".join(owners), how, names))


async def _systems_step(work: Work, team: str) -> TeamStep:
    """The systems, which no verb retires: they keep nobody from retiring the team."""
    systems = (await work.session.execute(_entries(work, team, (EntryKind.SYSTEM,)))).all()
    names = tuple(row.ref for row in systems if row.readable)
    unread = _unread(len(systems) - len(names))
    title = f"systems, which stay in the catalog without an owner: {len(systems)}{unread}"
    state = TeamStepState.OPEN if systems else TeamStepState.DONE
    how = "register them in the namespace of the team that takes them over"
    return _step(TeamStep("systems", title, state, "who takes them over", how, names))


def _unread(count: int) -> str:
    return f", of which you may not read {count}" if count else ""


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


def _live_entries(read: Read, team: str) -> Select[Any]:
    return _entries(read, team, _RETIRABLE)


def _entries(read: Read, team: str, kinds: Sequence[EntryKind]) -> Select[Any]:
    """The live entries of these kinds of a team, each with whether the actor may read it."""
    live = exists().where(VERSIONS.c.entry_id == ENTRIES.c.id, VERSIONS.c.lifecycle.in_(_LIVE))
    return (
        select(
            _NAME.label("ref"),
            ENTRIES.c.namespace,
            ENTRIES.c.name,
            readable_entries(read).label("readable"),
        )
        .where(ENTRIES.c.team == team, ENTRIES.c.kind.in_(kinds), live)
        .order_by(_NAME)
    )


async def _callers(read: Read, team: str) -> Sequence[Row[Any]]:
    """The entries of a team that live flows of others call, each with a caller.

    `readable` is whether the actor may read the caller.
    """
    called = LINKS.c.target_namespace + "/" + LINKS.c.target_name
    found = await read.session.execute(
        select(
            called.label("called"),
            _NAME.label("caller"),
            readable_entries(read).label("readable"),
        )
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
    return found.all()


async def _count(read: Read, statement: Select[Any]) -> int:
    return await read.session.scalar(select(func.count()).select_from(statement.subquery())) or 0
