"""Give the open tasks of somebody who leaves to others, so that none waits for nobody.

A task that the person has is released to its candidates. A task that nobody in its roles may answer
any more goes to the lead of its team, and without one to that of the centre of excellence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, insert, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from coe.access.actor import ActorKind
from coe.access.policy import Policy
from coe.audit.events import Tag
from coe.db import new_id
from coe.human_tasks.actions import may_complete, unclaimed_state
from coe.identifiers import EVERY_TEAM, PLATFORM_TEAM, qualified_role
from coe.runs.tables import ESCALATIONS, RUNS, TASKS
from coe.runs.task_holders import change_holder
from coe.runs.task_models import OPEN_TASK_STATES, HumanTaskState
from coe.runs.visibility import qualified_roles
from coe.work import Work

LEAD = "lead"
_WHY = "who could answer it has left"


@dataclass(frozen=True, slots=True)
class Reassigned:
    """A task that was released or given to others; `to` is the role that was added, if one was."""

    task: UUID
    team: str
    to: str | None


async def reassign_tasks(
    work: Work, subject: str, roles: Iterable[tuple[str, str]], policy: Policy
) -> tuple[Reassigned, ...]:
    """Release the open tasks that a person has, and find others for those that nobody may answer.

    Each is recorded.

    Args:
        work: The transaction in which the person leaves.
        subject: Who leaves.
        roles: The roles that the person held until now, as (role, team).
        policy: The policy without the person's memberships.
    """
    done = []
    theirs = replace(work, policy=policy)
    for task in await _affected(work, subject, tuple(roles)):
        to = await _role_for(theirs, task, subject)
        if task.assignee != subject and to is None:
            continue
        await _reassign(work, task, subject, to)
        done.append(await _record(work, task, subject, to))
    return tuple(done)


async def escalate_unanswerable(
    work: Work, team: str, roles: Iterable[str], policy: Policy
) -> tuple[Reassigned, ...]:
    """Find others for the open tasks that ask roles of a team which nobody holds any more.

    Each is recorded.

    Args:
        work: The transaction in which the team ends.
        team: The team.
        roles: The roles that were held in it.
        policy: The policy without the team's memberships.
    """
    done = []
    theirs = replace(work, policy=policy)
    for task in await _affected(work, "", tuple((role, team) for role in sorted(set(roles)))):
        if task.assignee and await may_complete(theirs, task, task.assignee):
            continue
        to = await _role_for(theirs, task, "")
        if to is not None:
            await _reassign(work, task, "", to)
            done.append(await _record(work, task, team, to))
    return tuple(done)


async def _record(work: Work, task: Any, before: str, to: str | None) -> Reassigned:
    await work.record(
        Tag.RUNS_HUMAN_TASK_REASSIGN,
        resource=f"human_task:{task.id}",
        team=task.team,
        detail={"from": before, "to": to},
        correlation_id=task.correlation_id,
    )
    return Reassigned(task.id, task.team, to)


async def _affected(work: Work, subject: str, roles: tuple[tuple[str, str], ...]) -> list[Any]:
    """The open tasks that the person has, or is a candidate for; locked."""
    named = [f"{place}/{role}" for role, team in roles for place in (team, EVERY_TEAM)]
    unqualified = [role for role, _ in roles]
    asks = TASKS.c.candidate_roles.op("&&")(cast([*named, *unqualified], ARRAY(Text)))
    found = await work.session.execute(
        select(TASKS, RUNS.c.correlation_id)
        .join(RUNS, RUNS.c.id == TASKS.c.run_id)
        .where(
            TASKS.c.state.in_(OPEN_TASK_STATES),
            or_(TASKS.c.assignee == subject, asks) if roles else TASKS.c.assignee == subject,
        )
        .order_by(TASKS.c.id)
        .with_for_update(key_share=True, of=TASKS)
    )
    return list(found)


async def _role_for(theirs: Work, task: Any, subject: str) -> str | None:
    """The role to add to a task that nobody in its roles may answer; None if somebody may."""
    if await _somebody(theirs, task, subject, qualified_roles(task)):
        return None
    leads = [qualified_role(LEAD, task.team), qualified_role(LEAD, PLATFORM_TEAM)]
    for role in leads:
        if theirs.policy.memberships.holders(role) - {subject}:
            return role
    return leads[-1]


async def _somebody(theirs: Work, task: Any, subject: str, roles: Iterable[str]) -> bool:
    memberships = theirs.policy.memberships
    people = {
        each
        for role in roles
        for each in memberships.holders(role)
        if memberships.kind(each) is ActorKind.PERSON and each != subject
    }
    for each in sorted(people):
        if await may_complete(theirs, task, each):
            return True
    return False


async def _reassign(work: Work, task: Any, subject: str, to: str | None) -> None:
    values: dict[str, Any] = {}
    if task.assignee == subject:
        await change_holder(work.session, work.keyring, task, None, work.now)
        values = {"assignee": None, "state": await unclaimed_state(work, task)}
    if to is not None:
        values["candidate_roles"] = sorted({*qualified_roles(task), to})
        values["state"] = HumanTaskState.ESCALATED
        row = {"id": new_id(), "task_id": task.id, "at": work.now, "to": to, "reason": _WHY}
        await work.session.execute(insert(ESCALATIONS).values(row))
    await work.session.execute(update(TASKS).where(TASKS.c.id == task.id).values(values))
