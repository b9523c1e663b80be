"""Open human tasks; escalate or expire those that nobody answers in time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from coe import content
from coe.access.files import read_roles
from coe.access.models import Team, TeamState
from coe.audit.events import Tag
from coe.audit.log import append
from coe.crypto.keys import Keyring
from coe.db import new_id
from coe.formats import instants
from coe.human_tasks.reminders import iso_texts, schedule_reminder
from coe.identifiers import EVERY_TEAM, qualified_role
from coe.json_types import JSON
from coe.language.names.directory import KnownNames, Names
from coe.language.names.references import NameKind
from coe.leaves.asked_roles import unknown_role
from coe.machine.commands import OpenHumanTask
from coe.machine.facts import Fact, FactKind
from coe.runs import inbox
from coe.runs.audit import run_event
from coe.runs.models import TimerKind
from coe.runs.records import IDENTITY_COLUMNS, RunIdentity
from coe.runs.row_codes import RUN_CODES, TASK_CODES, with_code
from coe.runs.sealing import TeamSealer
from coe.runs.tables import ESCALATIONS, RUNS, TASKS
from coe.runs.task_holders import change_holder, end_holding
from coe.runs.task_models import HumanTaskState
from coe.runs.timers import delete_timers, store_timers, timer_row
from coe.runs.visibility import qualified_roles
from coe.work import Platform

DEFAULT_OUTCOMES: Final = ("done",)


async def role_error(platform: Platform, run: RunIdentity, command: OpenHumanTask) -> JSON:
    """The error of a task that asks a role or a team that does not exist; None of another task.

    A retired team does not exist any more: nobody of it can answer. While no policy is in force
    nothing is known of roles, and nothing is refused.
    """
    asked = {qualified_role(role, run.team).partition("/")[::2] for role in command.every_role}
    others = {team for team, _ in asked} - {run.team, EVERY_TEAM}
    async with platform.database.session() as session:
        policy = await platform.policies.current(session)
        query = select(col(Team.slug)).where(
            col(Team.slug).in_(sorted(others)), col(Team.state) == TeamState.ACTIVE.value
        )
        exist = {*await session.scalars(query)} if others else set()
    roles = policy.role_names()
    if not roles:
        return None
    if not {role for _, role in asked} <= roles:  # nobody holds it: it may be one all the same
        root = content.root(platform.settings.content_dir)
        roles |= (await asyncio.to_thread(read_roles, root)).keys()
    names = {NameKind.TEAM: exist, NameKind.ROLE: roles}
    known = KnownNames({kind: Names(found, ()) for kind, found in names.items()})
    return unknown_role(command, run.team, known)


@dataclass(frozen=True, slots=True)
class NewTask:
    """The row of a task that is about to be opened, sealed, and its run."""

    run: RunIdentity
    row: dict[str, Any]


async def prepare_task(
    keyring: Keyring,
    run: RunIdentity,
    command: OpenHumanTask,
    at: datetime,
) -> NewTask:
    """Make the row of a task from its command.

    Call it before the transaction, as it may create a data key.
    """
    arguments = command.arguments if isinstance(command.arguments, dict) else {}
    sealer = TeamSealer(keyring, run.team)
    task_id = new_id()
    row: dict[str, Any] = {
        "id": task_id,
        "run_id": run.id,
        "key": command.key,
        "path": command.path,
        "flow": run.flow,
        "team": run.team,
        "data_class": run.data_class,
        "state": HumanTaskState.OPEN,
        "requester": run.requester,
        "requester_persons": list(run.requester_persons),
        "candidate_roles": [qualified_role(role, run.team) for role in command.roles],
        "exclude": list(command.exclude),
        "question": f"{run.flow}\n{command.question}",
        "outcomes": _texts(arguments.get("outcomes")) or list(DEFAULT_OUTCOMES),
        "approvals_needed": command.approvals,
        "title_sealed": await sealer.seal(
            TASKS, task_id, "title", str(arguments.get("title", command.name))
        ),
        "instructions_sealed": await sealer.maybe(
            TASKS, task_id, "instructions", arguments.get("instructions")
        ),
        "form_sealed": await sealer.seal(TASKS, task_id, "form", arguments.get("form", {})),
        "context_sealed": await sealer.seal(TASKS, task_id, "context", arguments.get("context")),
        "created_at": at,
        "due_at": command.due,
        "stages": [{"at": instants.write(stage.at), "to": stage.to} for stage in command.stages],
        "reminders": iso_texts(command.reminders),
    }
    good = RUN_CODES.good(keyring.macs, run)
    return NewTask(run, with_code(TASK_CODES, keyring.macs, row, good=good))


async def open_task(session: AsyncSession, keyring: Keyring, task: NewTask) -> None:
    """Insert the task, its timers and the audit event; reopen a task that a fault had cancelled."""
    row = task.row | {"root_run_id": await _root(session, task.run)}
    statement = upsert(TASKS).values(row)
    opened = await session.scalar(
        statement.on_conflict_do_update(
            index_elements=[TASKS.c.run_id, TASKS.c.key],
            set_={
                "state": HumanTaskState.OPEN,
                "assignee": None,
                "completed_at": None,
                "due_at": statement.excluded.due_at,
                "stages": statement.excluded.stages,
                "reminders": statement.excluded.reminders,
            },
            where=TASKS.c.state == HumanTaskState.CANCELLED,
        ).returning(TASKS.c.id),
    )
    if opened is None:
        return
    stages = row["stages"]
    if opened != row["id"]:
        stages = await _stages_left(session, opened, stages)
    await _set_timer(session, row["run_id"], row["key"], _next_time(stages, row["due_at"]))
    await schedule_reminder(session, row["run_id"], row["key"], row["reminders"])
    resource = f"human_task:{opened}"
    event = run_event(task.run, Tag.RUNS_HUMAN_TASK_OPEN, row["created_at"], resource=resource)
    await append(session, keyring, event)


async def _root(session: AsyncSession, run: RunIdentity) -> UUID | None:
    """The run at the root of the calls; None for a run that no other run called."""
    if run.parent_id is None:
        return None
    columns = (RUNS.c.id, RUNS.c.parent_id)
    callers = select(*columns).where(RUNS.c.id == run.parent_id).cte("callers", recursive=True)
    callers = callers.union_all(
        select(*columns).join(callers, RUNS.c.id == callers.c.parent_id),
    )
    found: UUID | None = await session.scalar(
        select(callers.c.id).where(callers.c.parent_id.is_(None)),
    )
    return found


async def escalate_or_expire(
    session: AsyncSession,
    keyring: Keyring,
    run_id: UUID,
    key: str,
    at: datetime,
) -> None:
    """Escalate an unanswered task to its next stage, or expire it when no stage is left.

    So a stage that is later than the due time delays the expiry. A task never answers itself: when
    it expires the machine raises a timeout error.
    """
    found = await session.execute(
        select(TASKS).where(TASKS.c.run_id == run_id, TASKS.c.key == key).with_for_update(),
    )
    task = found.one_or_none()
    if task is None or not task.state.open:
        return
    run = IDENTITY_COLUMNS.record(
        (await session.execute(select(*IDENTITY_COLUMNS).where(RUNS.c.id == run_id))).one(),
    )
    if task.stages:
        await _escalate(session, keyring, run, task, at)
    else:
        await _expire(session, keyring, run, task, at)


async def delete_task_timers(session: AsyncSession, run_id: UUID, key: str) -> None:
    """Delete the timers of a task that is closed."""
    await delete_timers(session, run_id, key, TimerKind.TASK, TimerKind.REMINDER)


async def _escalate(
    session: AsyncSession,
    keyring: Keyring,
    run: RunIdentity,
    task: Any,
    at: datetime,
) -> None:
    stage, *left = task.stages
    due = task.due_at
    if "after" in stage:  # an earlier version of the platform opened it, and counted from there
        due = (due or at) + timedelta(seconds=float(stage["after"]))
    to = qualified_role(str(stage["to"]), task.team)
    await change_holder(session, keyring, task, None, at)
    await session.execute(
        update(TASKS)
        .where(TASKS.c.id == task.id)
        .values(
            state=HumanTaskState.ESCALATED,
            assignee=None,
            candidate_roles=sorted({*qualified_roles(task), to}),
            due_at=due,
            stages=left,
        ),
    )
    await session.execute(
        insert(ESCALATIONS).values(
            id=new_id(),
            task_id=task.id,
            at=at,
            to=to,
            reason="nobody answered in time",
        ),
    )
    await _set_timer(session, run.id, task.key, _next_time(left, due))
    fact = Fact(FactKind.TASK_ESCALATED, at, task.key, {"to": to})
    dedupe = f"escalated:{task.key}:{stage.get('at', due)}:{len(left)}"
    await inbox.send(session, keyring, run.id, fact, dedupe=dedupe)
    resource = f"human_task:{task.id}"
    event = run_event(run, Tag.RUNS_HUMAN_TASK_ESCALATE, at, resource=resource, detail={"to": to})
    await append(session, keyring, event)


async def _expire(
    session: AsyncSession,
    keyring: Keyring,
    run: RunIdentity,
    task: Any,
    at: datetime,
) -> None:
    await session.execute(
        update(TASKS)
        .where(TASKS.c.id == task.id)
        .values(state=HumanTaskState.EXPIRED, completed_at=at),
    )
    await end_holding(session, [task.id], at)
    await delete_task_timers(session, run.id, task.key)
    await inbox.send(session, keyring, run.id, Fact(FactKind.TASK_EXPIRED, at, task.key))
    resource = f"human_task:{task.id}"
    await append(
        session, keyring, run_event(run, Tag.RUNS_HUMAN_TASK_EXPIRE, at, resource=resource)
    )


async def _stages_left(
    session: AsyncSession, task_id: UUID, stages: list[dict[str, str]]
) -> list[dict[str, str]]:
    """The stages of a task that is opened again which have not fired; they fire in order."""
    escalations = select(func.count()).where(ESCALATIONS.c.task_id == task_id)
    fired = await session.scalar(escalations) or 0
    if fired == 0:
        return stages
    await session.execute(
        update(TASKS)
        .where(TASKS.c.id == task_id)
        .values(state=HumanTaskState.ESCALATED, stages=stages[fired:]),
    )
    return stages[fired:]


def _next_time(stages: list[dict[str, str]], due: datetime | None) -> datetime | None:
    """When the next stage fires, or the task expires; None if neither comes."""
    return instants.read(stages[0]["at"]) if stages and "at" in stages[0] else due


async def _set_timer(session: AsyncSession, run_id: UUID, key: str, due: datetime | None) -> None:
    if due is None:
        return
    await store_timers(session, [timer_row(run_id, TimerKind.TASK, key, due)])


def _texts(value: JSON) -> list[str]:
    if value is None:
        return []
    values = value if isinstance(value, list) else [value]
    return [str(each) for each in values]
