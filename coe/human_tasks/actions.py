"""Verbs on human tasks: claim, release, delegate, complete. Each checks, changes and records.

The policy decides who may. It gets the relations of the actor to the task (candidate, claimant,
requester, excluded, approver), and a refusal names the line that decided.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update

from coe.access.actor import Actor, DataClass
from coe.access.permissions import Permission
from coe.access.policy import Decision
from coe.audit.events import Tag
from coe.crypto.row_codes import ChangedInDatabase
from coe.errors import Conflict, Invalid, NotFound, Problem
from coe.formats import instants
from coe.human_tasks.approvals import NewAnswer, add_approval, require_codes
from coe.human_tasks.opening import delete_task_timers
from coe.json_types import JSON
from coe.machine.approvals import Agreement
from coe.machine.facts import Fact, FactKind
from coe.runs import inbox
from coe.runs.computed import data_problems
from coe.runs.sealing import TeamSealer
from coe.runs.tables import ESCALATIONS, RUNS, TASKS
from coe.runs.task_holders import change_holder, end_holding
from coe.runs.task_models import HumanTaskState
from coe.runs.task_records import TASK_COLUMNS, TaskRecord, task_record
from coe.runs.visibility import (
    process_of,
    qualified_roles,
    readable_tasks,
    relation_columns,
    task_relations,
)
from coe.work import Read, Work, check_reason

TAGS: Final = {
    Permission.HUMAN_TASK_CLAIM: Tag.RUNS_HUMAN_TASK_CLAIM,
    Permission.HUMAN_TASK_COMPLETE: Tag.RUNS_HUMAN_TASK_COMPLETE,
    Permission.HUMAN_TASK_DELEGATE: Tag.RUNS_HUMAN_TASK_DELEGATE,
    Permission.HUMAN_TASK_RELEASE: Tag.RUNS_HUMAN_TASK_RELEASE,
}


async def claim_task(work: Work, task_id: UUID, *, comment: str | None = None) -> TaskRecord:
    """Claim a task, so that nobody else answers it; a second claim changes nothing.

    Raises:
        NotFound: There is no such task, or it may not be read.
        Forbidden: `human_task:claim` is refused, with the line that decided.
        Conflict: The task is closed, or another person has it.
    """
    task = await _lock(work, task_id)
    decision = await _require(work, task, Permission.HUMAN_TASK_CLAIM)
    _check_open(task)
    if task.assignee not in {None, work.actor.subject}:
        raise Conflict(f"{task.assignee} has claimed this task; it can be released or delegated")
    await _change(work, task, state=HumanTaskState.CLAIMED, assignee=work.actor.subject)
    await _record(work, task, decision, Permission.HUMAN_TASK_CLAIM, comment)
    return await _read_back(work, task_id)


async def release_task(work: Work, task_id: UUID, *, comment: str | None = None) -> TaskRecord:
    """Return a claimed task to all its candidates.

    Raises:
        NotFound: There is no such task, or it may not be read.
        Forbidden: `human_task:release` is refused, with the line that decided.
        Conflict: The task is closed, or nobody has it.
    """
    task = await _lock(work, task_id)
    decision = await _require(work, task, Permission.HUMAN_TASK_RELEASE)
    _check_open(task)
    if task.assignee is None:
        raise Conflict("nobody has claimed this task")
    await _change(work, task, state=await unclaimed_state(work, task), assignee=None)
    await _record(work, task, decision, Permission.HUMAN_TASK_RELEASE, comment)
    return await _read_back(work, task_id)


async def delegate_task(work: Work, task_id: UUID, *, to: str, comment: str) -> TaskRecord:
    """Assign a task to another candidate.

    Raises:
        NotFound: There is no such task, or it may not be read.
        Forbidden: `human_task:delegate` is refused, with the line that decided.
        Conflict: The task is closed.
        Invalid: `to` is not one of the task's candidates, or the comment is blank or too long.
    """
    task = await _lock(work, task_id)
    decision = await _require(work, task, Permission.HUMAN_TASK_DELEGATE)
    check_reason(comment, path="/comment")
    _check_open(task)
    if not await may_complete(work, task, to):
        message = "this person may not answer the task"
        roles = ", ".join(qualified_roles(task))
        raise Invalid([Problem("INPUT_TO", message, path="/to", help=f"Its roles: {roles}.")])
    await _change(work, task, state=HumanTaskState.CLAIMED, assignee=to)
    await _record(work, task, decision, Permission.HUMAN_TASK_DELEGATE, comment, detail={"to": to})
    return await _read_back(work, task_id)


async def complete_task(
    work: Work,
    task_id: UUID,
    *,
    outcome: str,
    answer: JSON,
    reason: str | None = None,
    agrees_to: str | None = None,
) -> TaskRecord:
    """Answer a task, and let the run continue.

    When a task needs several approvals, that many different people must give the same answer with
    its first outcome: another answer starts over, and the approvals before it are void. Any other
    outcome decides at once.

    Args:
        work: The transaction.
        task_id: The task.
        outcome: One of its outcomes.
        answer: What fits its form.
        reason: Why.
        agrees_to: The digest of the answer of an earlier approver. If that answer is not the one
            that stands, nothing is approved.

    Raises:
        NotFound: There is no such task, or it may not be read.
        Forbidden: `human_task:complete` is refused, with the line that decided.
        Conflict: The task is closed, another person has claimed it, or nobody's approval of the
            answer `agrees_to` counts any more.
        Invalid: The task has no such outcome, the answer does not fit its form, or it is not the
            answer `agrees_to`.
    """
    await _lock_process(work, task_id)
    task = await _lock(work, task_id)
    decision = await _require(work, task, Permission.HUMAN_TASK_COMPLETE)
    _check_open(task)
    if task.assignee not in {None, work.actor.subject}:
        raise Conflict(f"{task.assignee} has claimed this task")
    await _check_answer(work, task, outcome, answer)
    new = NewAnswer(outcome, answer, reason, agrees_to)
    agreement = await add_approval(work, task, new)
    if agreement.decided:
        await _complete(work, task, new, agreement)
    else:
        await _change(work, task, state=await unclaimed_state(work, task), assignee=None)
    detail: dict[str, JSON] = {
        "outcome": outcome,
        "approvals": len(agreement.approvals),
        "digest": agreement.approvals[-1].digest,
        "void": [each.to_json() for each in agreement.void],
    }
    await _record(work, task, decision, Permission.HUMAN_TASK_COMPLETE, reason, detail=detail)
    return await _read_back(work, task_id)


async def _lock(work: Work, task_id: UUID) -> Any:
    """Lock the task, read with its correlation id; NotFound for an actor who may not read it."""
    work.require_scope(Permission.HUMAN_TASK_READ)
    found = await work.session.execute(
        select(TASKS, RUNS.c.correlation_id)
        .join(RUNS, RUNS.c.id == TASKS.c.run_id)
        .where(TASKS.c.id == task_id, readable_tasks(work))
        .with_for_update(key_share=True, of=TASKS),
    )
    task = found.one_or_none()
    if task is None:
        raise NotFound
    return task


async def _lock_process(work: Work, task_id: UUID) -> None:
    """Let the answers to the tasks of one process wait for each other.

    So nobody answers two tasks at once of which one excludes who answered the other. A run is
    locked before its tasks, everywhere (see `completion.close`).
    """
    root = select(process_of(TASKS)).where(TASKS.c.id == task_id).scalar_subquery()
    await work.session.execute(
        select(RUNS.c.id).where(RUNS.c.id == root).with_for_update(key_share=True)
    )


async def _require(work: Work, task: Any, permission: Permission) -> Decision:
    return work.require(
        permission,
        resource=f"human_task:{task.id}",
        team=task.team,
        data_class=DataClass(task.data_class),
        relations=await _relations(work, task),
        correlation_id=task.correlation_id,
    )


async def _relations(read: Read, task: Any) -> frozenset[str]:
    await require_codes(read, task)
    found = await read.session.execute(
        select(TASKS, *relation_columns(read)).where(TASKS.c.id == task.id),
    )
    return task_relations(read, found.one())


async def may_complete(work: Work, task: Any, subject: str) -> bool:
    """Whether somebody else may answer the task; nobody may answer one that was changed."""
    try:
        theirs = replace(work, actor=Actor.of(subject))
    except ValueError:
        return False
    try:
        relations = await _relations(theirs, task)
    except ChangedInDatabase:
        return False
    return theirs.decide(
        Permission.HUMAN_TASK_COMPLETE,
        team=task.team,
        data_class=DataClass(task.data_class),
        relations=relations,
    ).allowed


def _check_open(task: Any) -> None:
    if not task.state.open:
        raise Conflict(f"the task is closed: {task.state.value}")


async def _check_answer(work: Work, task: Any, outcome: str, answer: JSON) -> None:
    sealer = TeamSealer(work.keyring, task.team)
    form = await sealer.open(TASKS, task.id, "form", task.form_sealed)
    problems = list(await work.compute(data_problems, form, answer, "/answer"))
    if outcome not in task.outcomes:
        outcomes = ", ".join(task.outcomes)
        message = f"the outcome must be one of {outcomes}"
        problems.insert(0, Problem("INPUT_OUTCOME", message, path="/outcome"))
    if problems:
        raise Invalid(problems)


async def _complete(work: Work, task: Any, new: NewAnswer, agreement: Agreement) -> None:
    sealer = TeamSealer(work.keyring, task.team)
    by = work.actor.subject
    await _change(
        work,
        task,
        state=HumanTaskState.COMPLETED,
        assignee=by,
        outcome=new.outcome,
        answer_sealed=await sealer.seal(TASKS, task.id, "answer", new.answer),
        reason_sealed=await sealer.maybe(TASKS, task.id, "reason", new.reason),
        completed_at=work.now,
        completed_by=by,
    )
    await delete_task_timers(work.session, task.run_id, task.key)
    data: dict[str, JSON] = {
        "outcome": new.outcome,
        "answer": new.answer,
        "reason": new.reason,
        "by": by,
        "at": instants.write_seconds(work.now),
        "approvals": [each.to_json() for each in agreement.approvals],
    }
    fact = Fact(FactKind.TASK_ANSWERED, work.now, task.key, data)
    await inbox.send(work.session, work.keyring, task.run_id, fact)


async def unclaimed_state(work: Work, task: Any) -> HumanTaskState:
    """The state of the open task when nobody has it."""
    escalated = await work.session.scalar(
        select(ESCALATIONS.c.id).where(ESCALATIONS.c.task_id == task.id).limit(1),
    )
    return HumanTaskState.OPEN if escalated is None else HumanTaskState.ESCALATED


async def _change(work: Work, task: Any, **values: Any) -> None:
    closes = values.get("completed_at") is not None
    if closes:
        await end_holding(work.session, [task.id], work.now)
    else:
        await change_holder(work.session, work.keyring, task, values["assignee"], work.now)
    await work.session.execute(update(TASKS).where(TASKS.c.id == task.id).values(values))


async def _record(
    work: Work,
    task: Any,
    decision: Decision,
    permission: Permission,
    reason: str | None,
    *,
    detail: JSON = None,
) -> None:
    await work.record(
        TAGS[permission],
        resource=f"human_task:{task.id}",
        team=task.team,
        decision=decision,
        reason=reason,
        detail=detail,
        correlation_id=task.correlation_id,
    )


async def _read_back(work: Work, task_id: UUID) -> TaskRecord:
    row = await work.session.execute(select(*TASK_COLUMNS).where(TASKS.c.id == task_id))
    return await task_record(work.keyring, row.one())
