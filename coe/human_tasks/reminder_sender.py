"""Sending the messages of reminders, by the channel that the operator gave the team for them.

A row is claimed by moving its `next_at` ahead (`SKIP LOCKED`, so several processes share the work);
a process that dies after it sent leaves the row to be claimed again, so a message may come twice.
A message names the process and says where to look: what the task is about is for those who may
see it.
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
from coe.runs.task_models import HumanTaskState
from coe.work import Platform

BATCH: Final = 10
CLAIMED_FOR: Final = timedelta(seconds=60)
MOST_ATTEMPTS: Final = 5
_OPEN: Final = (HumanTaskState.OPEN, HumanTaskState.CLAIMED, HumanTaskState.ESCALATED)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Wish:
    """A reminder whose message is to be sent."""

    id: UUID
    task: Any
    attempts: int


async def send_reminders(platform: Platform, notifier: Notifier) -> int:
    """Send what is due; gives how many rows were settled or tried."""
    wishes = await _claim(platform)
    for wish in wishes:
        await _send(platform, notifier, wish)
    return len(wishes)


async def _claim(platform: Platform) -> list[_Wish]:
    now = platform.clock()
    due = (
        select(REMINDERS.c.id)
        .where(REMINDERS.c.next_at <= now)
        .order_by(REMINDERS.c.next_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    async with platform.database.session() as session:
        claimed = await session.execute(
            update(REMINDERS)
            .where(REMINDERS.c.id.in_(due.scalar_subquery()))
            .values(next_at=now + CLAIMED_FOR, attempts=REMINDERS.c.attempts + 1)
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
    return [_Wish(row.id, by_id[row.task_id], row.attempts) for row in rows]


async def _send(platform: Platform, notifier: Notifier, wish: _Wish) -> None:
    channel: str | None = None
    try:
        if wish.task.state in _OPEN:
            channel = notifier.channels.for_reminders(wish.task.team)
        if channel is not None:
            await notifier(_message(platform, wish, channel))
    except (OperatorFileError, LeafFault) as error:
        _log.warning("reminder %s was not sent: %s", wish.id, type(error).__name__)
        if wish.attempts < MOST_ATTEMPTS:
            return
        channel = None
    values: dict[str, Any] = {"next_at": None, "channel": channel}
    if channel is not None:
        values["notified_at"] = platform.clock()
    async with platform.database.session() as session:
        await session.execute(
            update(REMINDERS).where(REMINDERS.c.id == wish.id).values(values),
        )
        await session.commit()


def _message(platform: Platform, wish: _Wish, channel: str) -> RunLeaf:
    task = wish.task
    to = [task.assignee] if task.assignee else list(task.candidate_roles)
    where = platform.settings.public_url or platform.settings.url
    arguments: JSON = {
        "channel": channel,
        "to": to,
        "subject": f"A task of {task.flow} waits for an answer",
        "body": f"A task of the process {task.flow} waits for an answer.\n{where}",
    }
    return RunLeaf(
        str(wish.id),
        task.path,
        "remind",
        "notify",
        arguments,
        team=task.team,
        run=str(task.run_id),
    )
