"""Reminders of human tasks: timers fire them, rows record them.

Whoever may read the task sees its reminders. Where the team has a channel for reminders, a message
follows (`coe.human_tasks.reminder_sender`). A reminder changes neither who may answer nor the due
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.events import Tag
from coe.audit.log import append
from coe.crypto.keys import Keyring
from coe.db import new_id
from coe.formats import instants
from coe.runs.audit import run_event
from coe.runs.models import TimerKind
from coe.runs.records import IDENTITY_COLUMNS
from coe.runs.tables import REMINDERS, RUNS, TASKS
from coe.runs.timers import store_timers, timer_row


def iso_texts(times: Sequence[datetime]) -> list[str]:
    """Times as ISO 8601 texts, the earliest first."""
    return [instants.write(each) for each in sorted(times)]


async def schedule_reminder(
    session: AsyncSession, run_id: UUID, key: str, times: Sequence[str]
) -> None:
    """Set the timer for the next reminder of a task, if one is left."""
    if not times:
        return
    due = instants.read(times[0])
    await store_timers(session, [timer_row(run_id, TimerKind.REMINDER, key, due)])


async def remind(
    session: AsyncSession, keyring: Keyring, run_id: UUID, key: str, at: datetime
) -> None:
    """Record a reminder of a task that is still open, and schedule the next.

    Reminders that are overdue together, because no process was up to fire them, become one.
    """
    found = await session.execute(
        select(TASKS.c.id, TASKS.c.state, TASKS.c.reminders).where(
            TASKS.c.run_id == run_id, TASKS.c.key == key
        ),
    )
    task = found.one_or_none()
    if task is None or not task.state.open or not task.reminders:
        return
    left = [each for each in task.reminders[1:] if instants.read(each) > at]
    await session.execute(update(TASKS).where(TASKS.c.id == task.id).values(reminders=left))
    await session.execute(
        insert(REMINDERS).values(id=new_id(), task_id=task.id, at=at, next_at=at, attempts=0)
    )
    await schedule_reminder(session, run_id, key, left)
    await _record(session, keyring, run_id, task.id, at)


async def _record(
    session: AsyncSession, keyring: Keyring, run_id: UUID, task_id: Any, at: datetime
) -> None:
    row = (await session.execute(select(*IDENTITY_COLUMNS).where(RUNS.c.id == run_id))).one()
    resource = f"human_task:{task_id}"
    run = IDENTITY_COLUMNS.record(row)
    event = run_event(run, Tag.RUNS_HUMAN_TASK_REMIND, at, resource=resource)
    await append(session, keyring, event)
