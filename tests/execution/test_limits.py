"""An expression that is too slow in one process, and quick in the next."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import pytest
from sqlalchemy import select

from coe.human_tasks import actions as human_tasks
from coe.json_types import JSON
from coe.language.expressions.evaluator import ExpressionError, Expressions, Reason
from coe.runs import disclosure
from coe.runs.tables import JOURNAL
from coe.work import Platform
from tests.factories.people import FINANCE_APPROVER, SALES_OWNER
from tests.factories.runs import APPROVAL, Leaves, central, engine, open_task, publish, start, until

TASKS = """  - t:
      try:
        - slow: {set: '${ {n: 2} | .n += 0 }'}
      catch:
        do:
          - late: {set: {late: true}, export: {as: '{late: true}'}}
"""
LAST = "  - last: {set: '${ $context }'}\n"


class Load:
    """What else the machine does: so many evaluations of the program are too slow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slow = 0
        real = Expressions.evaluate

        async def evaluate(
            pool: Expressions, program: str, variables: Mapping[str, JSON], data: JSON
        ) -> JSON:
            if self.slow and "n: 2" in program:
                self.slow -= 1
                raise ExpressionError(program, Reason.TIME)
            return await real(pool, program, variables, data)

        monkeypatch.setattr(Expressions, "evaluate", evaluate)


async def _answer(platform: Platform, run_id: UUID, load: Load, slow: int) -> None:
    """Answer the run's task once it is parked; from then on the machine is so slow."""
    task_id = await open_task(platform, run_id)
    await until(platform, run_id, "WAITING")
    load.slow = slow
    async with platform.work(FINANCE_APPROVER) as work:
        await human_tasks.claim_task(work, task_id)
    async with platform.work(FINANCE_APPROVER) as work:
        await human_tasks.complete_task(
            work, task_id, outcome="approved", answer={"limit": 5}, reason="fine"
        )


async def test_a_branch_taken_for_lack_of_time_is_taken_at_the_replay(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Load(monkeypatch)
    load.slow = 3
    await publish(platform, central("slow", TASKS + APPROVAL + LAST))
    async with engine(platform, Leaves()):
        run = await start(platform, "sales/slow")
        await _answer(platform, run.id, load, slow=0)
        ended = await until(platform, run.id, "COMPLETED", "FAULTED")
    assert ended.state == "COMPLETED", ended.error
    async with platform.work(SALES_OWNER) as work:
        data = await disclosure.read_run_data(work, [run.id])
    assert data[run.id].output == {"late": True}
    async with platform.database.session() as session:
        kinds = (
            select(JOURNAL.c.kind).where(JOURNAL.c.run_id == run.id).order_by(JOURNAL.c.position)
        )
        found = list((await session.execute(kinds)).scalars())
    assert found[:2] == ["EXPRESSION_LIMITED", "RUN_STARTED"]


async def test_a_process_that_is_too_slow_to_fold_leaves_the_run_as_it_is(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Load(monkeypatch)
    await publish(platform, central("quick", TASKS + APPROVAL + LAST))
    async with engine(platform, Leaves()):
        run = await start(platform, "sales/quick")
        await _answer(platform, run.id, load, slow=3)
        ended = await until(platform, run.id, "COMPLETED", "FAULTED", seconds=60)
    assert ended.state == "COMPLETED", ended.error
    assert load.slow == 0
    async with platform.work(SALES_OWNER) as work:
        data = await disclosure.read_run_data(work, [run.id])
    assert data[run.id].output is None
