"""The approvals of a human task: each is of one answer, and another answer starts over.

What an approval is of is computed from its sealed answer whenever it counts, and is not kept
beside it: a digest of little data, such as of an amount, would tell the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import insert, or_, select, update

from coe.db import new_id
from coe.errors import Conflict, Invalid, Problem
from coe.formats import instants
from coe.json_types import JSON
from coe.machine.approvals import Agreement, GivenAnswer, agree, answer_digest
from coe.runs.row_codes import APPROVAL_CODES, with_code
from coe.runs.sealing import TeamSealer
from coe.runs.tables import APPROVALS, TASKS
from coe.work import Read, Work


@dataclass(frozen=True, slots=True)
class NewAnswer:
    """What a person answers, and the digest of the earlier answer to which they agree, if any."""

    outcome: str
    answer: JSON
    reason: str | None = None
    agrees_to: str | None = None


async def add_approval(work: Work, task: Any, new: NewAnswer) -> Agreement:
    """Record an answer to the task, which is locked; void the approvals of another answer.

    Raises:
        Invalid: The answer is not the one to which it agrees.
        Conflict: Nobody's approval of the answer to which it agrees counts (any more).
    """
    standing = await _standing(work, task)
    at = instants.write_seconds(work.now)
    given = GivenAnswer(work.actor.subject, at, answer_digest(new.outcome, new.answer))
    _check_agreed(new, given, list(standing.values()))
    first = new.outcome == task.outcomes[0]
    agreement = agree(
        list(standing.values()), given, needed=task.approvals_needed, first_outcome=first
    )
    void = [key for key, each in standing.items() if each in agreement.void]
    if void:
        await work.session.execute(
            update(APPROVALS)
            .where(APPROVALS.c.id.in_(void))
            .values(voided_at=work.now, voided_by=work.actor.subject)
        )
    await _insert(work, task, new)
    return agreement


async def require_codes(read: Read, task: Any) -> None:
    """Require that the platform wrote the answers so far to the tasks of a process.

    Whether somebody has approved the task, or answered another one, is decided by them.

    Raises:
        ChangedInDatabase: Somebody changed one of them in the database.
    """
    root = task.root_run_id or task.run_id
    theirs = select(TASKS.c.id).where(or_(TASKS.c.run_id == root, TASKS.c.root_run_id == root))
    columns = [APPROVALS.c[name] for name in (*APPROVAL_CODES.columns, "code")]
    found = await read.session.execute(select(*columns).where(APPROVALS.c.task_id.in_(theirs)))
    for row in found:
        APPROVAL_CODES.require(read.keyring.macs, row)


async def _standing(work: Work, task: Any) -> dict[UUID, GivenAnswer]:
    """The approvals that count so far, by time, each with what it is of."""
    sealer = TeamSealer(work.keyring, task.team)
    found = await work.session.execute(
        select(APPROVALS)
        .where(APPROVALS.c.task_id == task.id, APPROVALS.c.voided_at.is_(None))
        .order_by(APPROVALS.c.at, APPROVALS.c.id)
    )
    standing: dict[UUID, GivenAnswer] = {}
    for row in found.all():
        answer = await sealer.open(APPROVALS, row.id, "answer", row.answer_sealed)
        digest = answer_digest(row.decision, answer)
        standing[row.id] = GivenAnswer(row.by, instants.write_seconds(row.at), digest)
    return standing


def _check_agreed(new: NewAnswer, given: GivenAnswer, standing: list[GivenAnswer]) -> None:
    if new.agrees_to is None:
        return
    if new.agrees_to != given.digest:
        message = f"this is not the digest of the answer that you send, which is {given.digest}"
        raise Invalid([Problem("INPUT_AGREES_TO", message, path="/agreesTo")])
    if not any(each.digest == given.digest for each in standing):
        raise Conflict(
            "nobody's approval of this answer counts any more: another answer was given, or the "
            "approval was withdrawn; read the task again"
        )


async def _insert(work: Work, task: Any, new: NewAnswer) -> None:
    sealer = TeamSealer(work.keyring, task.team)
    approval_id = new_id()
    row = {
        "id": approval_id,
        "task_id": task.id,
        "by": work.actor.subject,
        "persons": sorted(work.actor.persons),
        "at": work.now,
        "decision": new.outcome,
        "comment_sealed": await sealer.maybe(APPROVALS, approval_id, "comment", new.reason),
        "answer_sealed": await sealer.seal(APPROVALS, approval_id, "answer", new.answer),
    }
    await work.session.execute(
        insert(APPROVALS).values(with_code(APPROVAL_CODES, work.keyring.macs, row))
    )
