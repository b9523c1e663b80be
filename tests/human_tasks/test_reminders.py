"""Reminders of human tasks: each fires once, is visible and sent, and ends with its task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from coe.channels import Channels
from coe.db import utcnow
from coe.execution.advance import Parked, advance
from coe.execution.due_timers import fire_due
from coe.execution.runtime import Runtime
from coe.human_tasks import actions as human_tasks
from coe.human_tasks import queries as task_queries
from coe.human_tasks.reminder_sender import MAX_ATTEMPTS, RETRY_AFTER, send_reminders
from coe.leaves.notify import Notifier
from coe.runs import actions
from coe.runs.models import TimerKind
from coe.runs.tables import REMINDERS, TASKS, TIMERS
from coe.runs.task_records import ReminderRecord
from coe.work import Platform
from tests.factories.audit import AUDIT
from tests.factories.people import FINANCE_APPROVER, SALES_OWNER
from tests.factories.receivers import http
from tests.factories.runs import (
    APPROVAL,
    CANARY,
    Leaves,
    central,
    open_task,
    publish,
    runtime,
    start,
)
from tests.factories.sockets import LOOPBACK

REMINDED = APPROVAL.rstrip() + "\n        remind: [PT2H, PT1H, PT3H]\n        dueIn: PT9H\n"


@pytest.fixture
async def running(platform: Platform) -> AsyncIterator[Runtime]:
    async with runtime(platform, Leaves()) as opened:
        yield opened


async def waiting(running: Runtime, tasks: str = REMINDED) -> tuple[UUID, UUID]:
    """Start a run that waits for its task; return both ids."""
    await publish(running.platform, central("asks", tasks))
    run = await start(running.platform, "sales/asks")
    assert isinstance(await advance(running, run.id), Parked)
    return run.id, await open_task(running.platform, run.id)


async def bring_forward(platform: Platform, hours: float) -> None:
    """Move all reminders this many hours into the past."""
    async with platform.database.session() as session:
        rows = (await session.execute(select(TASKS.c.id, TASKS.c.reminders))).all()
        for row in rows:
            times = [
                datetime.fromisoformat(each) - timedelta(hours=hours) for each in row.reminders
            ]
            values = {"reminders": [each.isoformat() for each in times]}
            await session.execute(update(TASKS).where(TASKS.c.id == row.id).values(values))
        earlier = TIMERS.c.due_at - timedelta(hours=hours)
        mine = TIMERS.c.kind == TimerKind.REMINDER
        await session.execute(update(TIMERS).where(mine).values(due_at=earlier))
        await session.commit()


async def reminded(platform: Platform, task_id: UUID) -> tuple[ReminderRecord, ...]:
    async with platform.read(SALES_OWNER) as read:
        return (await task_queries.task_extras(read, [task_id]))[task_id].reminders


async def pending_timers(platform: Platform, kind: TimerKind = TimerKind.REMINDER) -> int:
    async with platform.database.session() as session:
        wanted = select(func.count()).select_from(TIMERS).where(TIMERS.c.kind == kind)
        return await session.scalar(wanted) or 0


async def test_reminders_fire_one_after_the_other_and_each_once(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await waiting(running)
    assert await fire_due(platform) == 0
    for count in (1, 2, 3):
        await bring_forward(platform, 1.01)
        assert await fire_due(platform) == 1
        assert await fire_due(platform) == 0
        assert len(await reminded(platform, task_id)) == count
    assert await pending_timers(platform) == 0
    assert await pending_timers(platform, TimerKind.TASK) == 1
    async with platform.read(SALES_OWNER) as read:
        task = await task_queries.task(read, task_id)
    assert task is not None
    assert (task.state, task.candidate_roles) == ("OPEN", ("finance/finance-approver",))
    async with platform.database.session() as session:
        events = await session.execute(
            select(AUDIT.c.resource).where(AUDIT.c.action == "runs:human_task:remind")
        )
    assert list(events.scalars()) == [f"human_task:{task_id}"] * 3


async def test_reminders_that_are_overdue_together_become_one(running: Runtime) -> None:
    platform = running.platform
    _, task_id = await waiting(running)
    await bring_forward(platform, 2.5)
    assert await fire_due(platform) == 1
    assert await fire_due(platform) == 0
    assert len(await reminded(platform, task_id)) == 1
    assert await pending_timers(platform) == 1


async def test_nobody_is_reminded_of_a_task_that_is_closed(running: Runtime) -> None:
    platform = running.platform
    run_id, task_id = await waiting(running)
    async with platform.work(FINANCE_APPROVER) as work:
        answer = {"limit": 1}
        await human_tasks.complete_task(work, task_id, outcome="approved", answer=answer)
    assert await pending_timers(platform) == 0
    again, other = await waiting_again(running)
    async with platform.work(SALES_OWNER) as work:
        await actions.cancel_run(work, again, reason="no longer wanted")
    await advance(running, again)
    assert await pending_timers(platform) == 0
    assert await reminded(platform, task_id) == await reminded(platform, other) == ()
    assert run_id != again


async def waiting_again(running: Runtime) -> tuple[UUID, UUID]:
    run = await start(running.platform, "sales/asks")
    await advance(running, run.id)
    return run.id, await open_task(running.platform, run.id)


async def test_the_reminders_of_a_task_end_when_it_expires(running: Runtime) -> None:
    platform = running.platform
    late = REMINDED.replace("PT9H", "PT1H").replace("[PT2H, PT1H, PT3H]", "PT2H")
    await waiting(running, late)
    assert await pending_timers(platform) == 1
    async with platform.database.session() as session:
        past = utcnow() - timedelta(seconds=1)
        mine = TIMERS.c.kind == TimerKind.TASK
        await session.execute(update(TIMERS).where(mine).values(due_at=past))
        await session.commit()
    assert await fire_due(platform) == 1
    assert await pending_timers(platform) == 0


# ---------------------------------------------------------------- messages
@pytest.fixture
def channels(tmp_path: Path) -> Any:
    """Makes a notifier with a channel for reminders that leads to a port, for a team."""

    def make(port: int, team: str = "sales") -> Notifier:
        file = tmp_path / "channels.yaml"
        url = f"json://localhost:{port}/?:to={{to}}"
        file.write_text(
            f"channels: {{bell: {{urls: ['{url}'], teams: [{team}], reminders: true}}}}"
        )
        file.chmod(0o600)
        return Notifier(Channels(file), LOOPBACK)

    return make


async def a_reminder(running: Runtime) -> UUID:
    _, task_id = await waiting(running)
    await bring_forward(running.platform, 1.01)
    assert await fire_due(running.platform) == 1
    return task_id


async def test_a_reminder_is_sent_once_by_the_channel_of_the_team(
    running: Runtime, channels: Any
) -> None:
    platform = running.platform
    task_id = await a_reminder(running)
    async with http() as receiver:
        notifier = channels(receiver.port)
        assert await send_reminders(platform, notifier) == 1
        assert await send_reminders(platform, notifier) == 0
    [(_, body)] = receiver.requests
    assert body["title"] == "A task of sales/asks waits for an answer"
    assert body["to"] == "finance/finance-approver"
    assert CANARY not in str(receiver.requests)
    [row] = await reminded(platform, task_id)
    assert row.channel == "bell"
    assert row.notified_at is not None


async def test_the_claimant_of_the_task_is_reminded(running: Runtime, channels: Any) -> None:
    platform = running.platform
    task_id = await a_reminder(running)
    async with platform.work(FINANCE_APPROVER) as work:
        await human_tasks.claim_task(work, task_id)
    async with http() as receiver:
        await send_reminders(platform, channels(receiver.port))
    [(_, body)] = receiver.requests
    assert body["to"] == "finance-approver"


async def test_no_message_without_a_channel_or_of_a_task_that_is_answered(
    running: Runtime, channels: Any
) -> None:
    platform = running.platform
    first = await a_reminder(running)
    async with http() as receiver:
        assert await send_reminders(platform, channels(receiver.port, "finance")) == 1
        _, second = await waiting_again(running)
        await bring_forward(platform, 1.01)
        await fire_due(platform)
        async with platform.work(FINANCE_APPROVER) as work:
            answer = {"limit": 1}
            await human_tasks.complete_task(work, second, outcome="approved", answer=answer)
        assert await send_reminders(platform, channels(receiver.port)) > 0
        assert await send_reminders(platform, channels(receiver.port)) == 0
    recipients = [body["to"] for _, body in receiver.requests]
    assert len(recipients) <= 1, "of the first task only"
    [row] = await reminded(platform, second)
    assert (row.channel, row.notified_at) == (None, None)
    assert (await reminded(platform, first))[0].at is not None


async def test_a_channel_that_fails_is_tried_a_few_times(running: Runtime, channels: Any) -> None:
    platform = running.platform
    task_id = await a_reminder(running)
    now = utcnow()
    async with http(500) as receiver:
        notifier = channels(receiver.port)
        for attempt in range(MAX_ATTEMPTS):
            later = replace(platform, clock=lambda at=now + attempt * RETRY_AFTER * 2: at)
            assert await send_reminders(later, notifier) == 1
            assert await send_reminders(later, notifier) == 0
        much_later = replace(platform, clock=lambda: now + timedelta(days=1))
        assert await send_reminders(much_later, notifier) == 0
    assert len(receiver.requests) == MAX_ATTEMPTS
    [row] = await reminded(platform, task_id)
    assert (row.channel, row.notified_at) == (None, None)
    async with platform.database.session() as session:
        assert await session.scalar(select(REMINDERS.c.attempts)) == MAX_ATTEMPTS
