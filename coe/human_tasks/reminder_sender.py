"""Send the messages of reminders by the channel that the operator set up for the team.

A process claims a row by moving its `next_at` ahead; several processes share the work (`SKIP
LOCKED`). When a process dies after sending, the row is claimed again, so a message may come twice.
A message names the process and a link, not what the task is about: only those who may read the
task see that.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update

from coe.crypto.operator_files import OperatorFileError
from coe.json_types import JSON
from coe.leaves.leaf import LeafFault
from coe.leaves.notify import Notifier
from coe.machine.commands import RunLeaf
from coe.runs.tables import REMINDERS, TASKS
from coe.runs.visibility import qualified_roles
from coe.work import Platform

REMINDER_BATCH: Final = 10
RETRY_AFTER: Final = timedelta(seconds=60)
"""How long a claimed reminder is left alone before it is tried again."""
MAX_ATTEMPTS: Final = 5
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _DueReminder:
    """A reminder whose message is due."""

    id: UUID
    task: Any
    attempts: int


async def send_reminders(platform: Platform, notifier: Notifier) -> int:
    """Send the messages that are due; return how many reminders were tried."""
    reminders = await _claim(platform)
    for reminder in reminders:
        await _send(platform, notifier, reminder)
    return len(reminders)


async def _claim(platform: Platform) -> list[_DueReminder]:
    now = platform.clock()
    due = (
        select(REMINDERS.c.id)
        .where(REMINDERS.c.next_at <= now)
        .order_by(REMINDERS.c.next_at)
        .limit(REMINDER_BATCH)
        .with_for_update(skip_locked=True)
    )
    async with platform.database.session() as session:
        claimed = await session.execute(
            update(REMINDERS)
            .where(REMINDERS.c.id.in_(due.scalar_subquery()))
            .values(next_at=now + RETRY_AFTER, attempts=REMINDERS.c.attempts + 1)
            .returning(REMINDERS.c.id, REMINDERS.c.task_id, REMINDERS.c.attempts)
        )
        rows = claimed.all()
        tasks = await session.execute(
            select(
                TASKS.c.id,
                TASKS.c.run_id,
                TASKS.c.flow,
                TASKS.c.path,
                TASKS.c.team,
                TASKS.c.state,
                TASKS.c.assignee,
                TASKS.c.candidate_roles,
            ).where(TASKS.c.id.in_([row.task_id for row in rows]))
        )
        by_id = {task.id: task for task in tasks}
        await session.commit()
    return [_DueReminder(row.id, by_id[row.task_id], row.attempts) for row in rows]


async def _send(platform: Platform, notifier: Notifier, reminder: _DueReminder) -> None:
    channel: str | None = None
    try:
        if reminder.task.state.open:
            channel = notifier.channels.for_reminders(reminder.task.team)
        if channel is not None:
            await notifier(_message(platform, reminder, channel))
    except (OperatorFileError, LeafFault) as error:
        _log.warning("reminder %s was not sent: %s", reminder.id, type(error).__name__)
        if reminder.attempts < MAX_ATTEMPTS:
            return
        channel = None
    values: dict[str, Any] = {"next_at": None, "channel": channel}
    if channel is not None:
        values["notified_at"] = platform.clock()
    async with platform.database.session() as session:
        await session.execute(
            update(REMINDERS).where(REMINDERS.c.id == reminder.id).values(values),
        )
        await session.commit()


def _message(platform: Platform, reminder: _DueReminder, channel: str) -> RunLeaf:
    task = reminder.task
    to: JSON = [task.assignee] if task.assignee else [*qualified_roles(task)]
    link = platform.settings.public_url or platform.settings.url
    arguments: JSON = {
        "channel": channel,
        "to": to,
        "subject": f"A task of {task.flow} waits for an answer",
        "body": f"A task of the process {task.flow} waits for an answer.\n{link}",
    }
    return RunLeaf(
        str(reminder.id),
        task.path,
        "remind",
        "notify",
        arguments,
        team=task.team,
        run=str(task.run_id),
    )
