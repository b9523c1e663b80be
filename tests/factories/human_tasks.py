"""Runs that wait for a human task, and its completion."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import select

from coe.execution.advance import Parked, advance
from coe.execution.runtime import Runtime
from coe.human_tasks import actions as human_tasks
from coe.json_types import JSON
from coe.runs import disclosure
from coe.runs.records import RunData
from coe.runs.tables import TASKS
from coe.runs.task_records import TaskRecord
from coe.work import Platform
from tests.factories.people import SALES_OWNER
from tests.factories.runs import APPROVAL, Leaves, central, publish, runtime, start


@pytest.fixture
async def running(platform: Platform) -> AsyncIterator[Runtime]:
    async with runtime(platform, Leaves()) as opened:
        yield opened


async def open_waiting(
    running: Runtime, *, more: str = "", tasks: str | None = None
) -> tuple[UUID, UUID]:
    """Start a run that waits for its task; return both ids."""
    platform = running.platform
    await publish(platform, central("asks", tasks or APPROVAL.rstrip() + "\n" + more))
    run = await start(platform, "sales/asks")
    assert isinstance(await advance(running, run.id), Parked)
    return run.id, await task_of(platform, run.id)


async def task_of(platform: Platform, run_id: UUID) -> UUID:
    async with platform.database.session() as session:
        return (
            await session.execute(select(TASKS.c.id).where(TASKS.c.run_id == run_id))
        ).scalar_one()


async def complete(
    platform: Platform, task_id: UUID, actor, outcome: str = "approved", **more
) -> TaskRecord:
    async with platform.work(actor) as work:
        return await human_tasks.complete_task(
            work, task_id, outcome=outcome, **{"answer": {"limit": 3}, **more}
        )


async def output_of(platform: Platform, run_id: UUID) -> JSON:
    async with platform.work(SALES_OWNER) as work:
        data: RunData = (await disclosure.read_run_data(work, [run_id]))[run_id]
    return data.output
