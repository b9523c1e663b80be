"""Two processes with everything running over one database: each leaf once, each answer once."""

from __future__ import annotations

import asyncio
from uuid import UUID

from coe.human_tasks import actions as human_tasks
from coe.runs.records import RunRecord
from coe.work import Platform
from tests.factories.people import FINANCE_APPROVER
from tests.factories.runs import (
    APPROVAL,
    HTTP,
    Leaves,
    central,
    engine,
    open_task,
    publish,
    start,
    until,
)

RUNS = 12
PROCESS = (
    HTTP.format(name="credit")
    + "  - again:\n      set: {customer: '${ $workflow.input.customer }'}\n"
    + APPROVAL
    + "  - pause:\n      wait: {milliseconds: 300}\n"
    + HTTP.format(name="book")
)


async def test_each_leaf_is_carried_out_once(platform: Platform) -> None:
    await publish(platform, central("whole", PROCESS))
    leaves = Leaves({"credit": {}, "book": {}})
    async with engine(platform, leaves), engine(platform, leaves):
        runs = [await start(platform, "sales/whole") for _ in range(RUNS)]
        await asyncio.gather(*(_approve(platform, run) for run in runs))
        for run in runs:
            ended = await until(platform, run.id, "COMPLETED", "FAULTED", seconds=60)
            assert ended.state == "COMPLETED"
    assert leaves.calls == {"credit": RUNS, "book": RUNS}
    assert set(leaves.keys.values()) == {1}


async def _approve(platform: Platform, run: RunRecord) -> None:
    task: UUID = await open_task(platform, run.id, seconds=60)
    async with platform.work(FINANCE_APPROVER) as work:
        await human_tasks.complete_task(work, task, outcome="approved", answer={"limit": 1})
