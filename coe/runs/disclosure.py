"""Read the data of runs and human tasks, where the actor may, and record each reading.

These columns hold personal data, so every reading leaves an event: one for each run or task and
`Work` (a root field of a request).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, select

from coe.access.actor import DataClass
from coe.access.permissions import Permission
from coe.audit.events import Tag
from coe.json_types import JSON
from coe.machine.approvals import answer_digest
from coe.runs.records import ErrorRecord, RunData
from coe.runs.sealing import TeamSealer
from coe.runs.tables import APPROVALS, RUNS, TASKS
from coe.runs.task_records import ApprovalData, TaskData
from coe.runs.visibility import (
    held,
    owned,
    readable_runs,
    readable_tasks,
    relation_columns,
    run_relations,
    task_relations,
)
from coe.work import Read, Work


async def read_run_data(work: Work, ids: Collection[UUID]) -> dict[UUID, RunData]:
    """Input, output and error of the runs whose data the actor may read; recorded.

    A run that may not be read at all, or not its data (`run:read_data`), is left out.
    """
    rows = await work.session.execute(
        select(
            *reading_columns(work),
            RUNS.c.input_sealed,
            RUNS.c.output_sealed,
            RUNS.c.error_sealed,
        ).where(RUNS.c.id.in_(ids), readable_runs(work), readable_runs(work, _DATA)),
    )
    return {row.run: await _open_run(work, row) for row in rows.all()}


def reading_columns(read: Read) -> tuple[ColumnElement[Any], ...]:
    """The columns of a run that `record_reading` needs."""
    return (
        RUNS.c.id.label("run"),
        RUNS.c.team,
        RUNS.c.data_class,
        RUNS.c.requester,
        RUNS.c.requester_persons,
        RUNS.c.version_id,
        RUNS.c.code,
        RUNS.c.correlation_id,
        owned(read),
        held(read),
    )


async def record_reading(work: Work, row: Row[*tuple[Any, ...]]) -> None:
    """Record that the data of a run was read, with the line of the policy that allows it."""
    await work.record(
        Tag.RUNS_RUN_READ_DATA,
        resource=f"run:{row.run}",
        team=row.team,
        decision=work.decide(
            _DATA,
            team=row.team,
            data_class=DataClass(row.data_class),
            relations=run_relations(work, row),
        ),
        correlation_id=row.correlation_id,
    )


async def read_task_data(work: Work, ids: Collection[UUID]) -> dict[UUID, TaskData]:
    """Context, answer and reason of the tasks that the actor may read the data of; recorded.

    Whoever may read a task (`human_task:read`) may see what its decision needs.
    """
    rows = await work.session.execute(
        select(TASKS, RUNS.c.correlation_id, *relation_columns(work))
        .join(RUNS, RUNS.c.id == TASKS.c.run_id)
        .where(TASKS.c.id.in_(ids), readable_tasks(work)),
    )
    return {row.id: await _open_task(work, row) for row in rows.all()}


async def read_approval_data(work: Work, ids: Collection[UUID]) -> dict[UUID, ApprovalData]:
    """What the answers to tasks say that the actor may read the data of; recorded for each task.

    So every approver sees the answer that those before approved.
    """
    approvals = (await work.session.execute(select(APPROVALS).where(APPROVALS.c.id.in_(ids)))).all()
    tasks = await work.session.execute(
        select(TASKS, RUNS.c.correlation_id, *relation_columns(work))
        .join(RUNS, RUNS.c.id == TASKS.c.run_id)
        .where(TASKS.c.id.in_({each.task_id for each in approvals}), readable_tasks(work)),
    )
    teams = {}
    for task in tasks.all():
        await _record_task_reading(work, task)
        teams[task.id] = task.team
    return {
        each.id: await _open_approval(work, each, teams[each.task_id])
        for each in approvals
        if each.task_id in teams
    }


_DATA = Permission.RUN_READ_DATA


async def _open_run(work: Work, row: Row[*tuple[Any, ...]]) -> RunData:
    sealer = TeamSealer(work.keyring, row.team)
    await record_reading(work, row)
    return RunData(
        input=await sealer.open(RUNS, row.run, "input", row.input_sealed),
        output=await sealer.open(RUNS, row.run, "output", row.output_sealed),
        error=read_error(await sealer.open(RUNS, row.run, "error", row.error_sealed)),
    )


async def _open_approval(work: Work, row: Row[*tuple[Any, ...]], team: str) -> ApprovalData:
    sealer = TeamSealer(work.keyring, team)
    answer = await sealer.open(APPROVALS, row.id, "answer", row.answer_sealed)
    comment = await sealer.open(APPROVALS, row.id, "comment", row.comment_sealed)
    return ApprovalData(answer, answer_digest(row.decision, answer), comment)


async def _open_task(work: Work, row: Row[*tuple[Any, ...]]) -> TaskData:
    sealer = TeamSealer(work.keyring, row.team)
    await _record_task_reading(work, row)
    return TaskData(
        context=await sealer.open(TASKS, row.id, "context", row.context_sealed),
        answer=await sealer.open(TASKS, row.id, "answer", row.answer_sealed),
        reason=await sealer.open(TASKS, row.id, "reason", row.reason_sealed),
    )


async def _record_task_reading(work: Work, row: Row[*tuple[Any, ...]]) -> None:
    await work.record(
        Tag.RUNS_HUMAN_TASK_READ_DATA,
        resource=f"human_task:{row.id}",
        team=row.team,
        decision=work.decide(
            Permission.HUMAN_TASK_READ,
            team=row.team,
            data_class=DataClass(row.data_class),
            relations=task_relations(work, row),
        ),
        correlation_id=row.correlation_id,
    )


def read_error(error: JSON) -> ErrorRecord | None:
    """An error as RFC 7807 has it, from its JSON form."""
    if not isinstance(error, dict):
        return None
    status = error.get("status")
    texts = {
        name: str(error[name])
        for name in ("title", "detail", "instance")
        if error.get(name) is not None
    }
    return ErrorRecord(
        type=str(error.get("type", "about:blank")),
        status=int(status) if isinstance(status, int | float) else 500,
        **texts,
    )
