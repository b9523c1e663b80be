"""Queries of human tasks, each within what the actor may read (`human_task:read`).

Context, answer and reason are not included: reading them is recorded (`coe.runs.disclosure`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Final, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, func, not_, select, tuple_

from coe.catalog.models import EntryKind
from coe.catalog.names import require_known
from coe.catalog.refs import require_entries
from coe.db.records import Columns
from coe.formats import instants, uuids
from coe.paging import Page, check_first, decode, encode
from coe.runs.queries import StepKey
from coe.runs.tables import APPROVALS, ESCALATIONS, HOLDERS, REMINDERS, TASKS
from coe.runs.task_models import OPEN_TASK_STATES, HumanTaskState
from coe.runs.task_records import (
    ESCALATION_COLUMNS,
    HOLDER_COLUMNS,
    REMINDER_COLUMNS,
    TASK_APPROVAL_COLUMNS,
    TASK_COLUMNS,
    TaskExtras,
    TaskFilter,
    TaskRecord,
    task_record,
)
from coe.runs.visibility import claimable_tasks, readable_tasks
from coe.work import Read

R = TypeVar("R")

_UNCLAIMED_STATES: Final = (HumanTaskState.OPEN, HumanTaskState.ESCALATED)


async def task(read: Read, task_id: UUID) -> TaskRecord | None:
    """The human task, if it exists and may be read."""
    return (await tasks_by_id(read, [task_id])).get(task_id)


async def tasks_by_id(read: Read, ids: Collection[UUID]) -> dict[UUID, TaskRecord]:
    """Human tasks by their ids."""
    return {row.id: row for row in await _tasks(read, TASKS.c.id.in_(ids))}


async def tasks_by_step(read: Read, keys: Sequence[StepKey]) -> dict[StepKey, TaskRecord]:
    """The human task that each step opened; a step is a run id and a step key."""
    rows = await _tasks(read, tuple_(TASKS.c.run_id, TASKS.c.key).in_(keys))
    return {(row.run_id, row.key): row for row in rows}


async def inbox(
    read: Read,
    filters: TaskFilter | None = None,
    *,
    first: int = 20,
    after: str | None = None,
) -> Page[TaskRecord]:
    """A page of human tasks, the oldest first.

    Raises:
        Invalid: `first` or `after` is not valid, or the filter names a flow that is not there to be
            read.
    """
    size = check_first(first)
    which = and_(readable_tasks(read), *_conditions(read, filters or TaskFilter()))
    rows = await read.session.execute(
        select(*TASK_COLUMNS)
        .where(which, *_after(after))
        .order_by(TASKS.c.created_at, TASKS.c.id)
        .limit(size + 1),
    )
    found = rows.all()
    total = await read.session.scalar(select(func.count()).select_from(TASKS).where(which))
    if not total and filters and filters.flows:
        await require_known(read, require_entries(filters.flows, "flow"), EntryKind.FLOW)
    items = tuple([await task_record(read.keyring, row) for row in found[:size]])
    return Page(
        items=items,
        cursors=tuple(_cursor(item) for item in items),
        has_next=len(found) > size,
        has_previous=after is not None,
        total=total or 0,
    )


async def task_extras(read: Read, ids: Collection[UUID]) -> dict[UUID, TaskExtras]:
    """Approvals (without comments), escalations, reminders and holders of each task, by time."""
    approvals = await _by_task(read, ids, TASK_APPROVAL_COLUMNS, APPROVALS)
    escalations = await _by_task(read, ids, ESCALATION_COLUMNS, ESCALATIONS)
    reminders = await _by_task(read, ids, REMINDER_COLUMNS, REMINDERS)
    holders = await _by_task(read, ids, HOLDER_COLUMNS, HOLDERS)
    return {
        task_id: TaskExtras(
            tuple(approvals[task_id]),
            tuple(escalations[task_id]),
            tuple(reminders[task_id]),
            tuple(holders[task_id]),
        )
        for task_id in ids
    }


async def _by_task(
    read: Read, ids: Collection[UUID], columns: Columns[R], table: Table
) -> defaultdict[UUID, list[R]]:
    """The rows of a table below tasks, by time."""
    rows = await read.session.execute(
        select(table.c.task_id, *columns)
        .join(TASKS, TASKS.c.id == table.c.task_id)
        .where(table.c.task_id.in_(ids), readable_tasks(read))
        .order_by(table.c.at),
    )
    found: defaultdict[UUID, list[R]] = defaultdict(list)
    for row in rows:
        found[row.task_id].append(columns.record(row, at=1))
    return found


async def _tasks(read: Read, which: ColumnElement[bool]) -> list[TaskRecord]:
    rows = await read.session.execute(select(*TASK_COLUMNS).where(which, readable_tasks(read)))
    return [await task_record(read.keyring, row) for row in rows]


def _conditions(read: Read, filters: TaskFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    conditions.append(TASKS.c.state.in_(filters.states or OPEN_TASK_STATES))
    if filters.flows:
        conditions.append(TASKS.c.flow.in_(require_entries(filters.flows, "flow")))
    for requested, condition in (
        (filters.assigned_to_me, TASKS.c.assignee == read.actor.subject),
        (filters.claimable, and_(TASKS.c.state.in_(_UNCLAIMED_STATES), claimable_tasks(read))),
        (filters.overdue, and_(TASKS.c.due_at < read.now, TASKS.c.state.in_(OPEN_TASK_STATES))),
    ):
        if requested is not None:
            conditions.append(condition if requested else not_(func.coalesce(condition, False)))
    return conditions


def _after(cursor: str | None) -> list[ColumnElement[bool]]:
    if cursor is None:
        return []
    key = decode("inbox", cursor, [instants.read, uuids.read])
    return [tuple_(TASKS.c.created_at, TASKS.c.id) > tuple_(*key)]


def _cursor(row: TaskRecord) -> str:
    return encode("inbox", [instants.write(row.created_at), str(row.id)])
