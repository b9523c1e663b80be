"""Times that a run sees have one form, and a test of the process shows the same texts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from coe.human_tasks import actions as human_tasks
from coe.language.expressions.evaluator import Expressions
from coe.language.load import load
from coe.runs.disclosure import read_run_data
from coe.testing.cases import SimulationCase
from coe.testing.run_definition import simulate
from coe.work import Platform
from tests.factories.people import FINANCE_APPROVER, SALES_OWNER
from tests.factories.runs import Leaves, central, engine, open_task, publish, start, until

DO = """  - began:
      set:
        workflow: ${ $workflow.startedAt.iso8601 }
        task: ${ $task.startedAt.iso8601 }
        due: ${ $workflow.startedAt.iso8601 | fromdateiso8601 + 86400 | todate }
        whole: ${ $workflow.startedAt | .epoch.seconds == (.epoch.milliseconds / 1000 | floor) }
        seconds: ${ $workflow.startedAt | (.iso8601 | fromdateiso8601) == .epoch.seconds }
      export: {as: $output}
  - send:
      emit: {event: {with: {type: com.example.sent}}}
      output: {as: "$context + {sent: .time}"}
      export: {as: $output}
  - ask:
      call: humanTask:1@default
      with: {title: Look, candidates: {roles: [finance/finance-approver]}, outcomes: [seen]}
      output: {as: "$context + {answered: .at}"}
"""
SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def check(output: Any) -> None:
    """Every time has whole seconds in UTC, so that jq reads it."""
    assert output.pop("whole") is True
    assert output.pop("seconds") is True
    assert set(output) == {"workflow", "task", "due", "sent", "answered"}
    for text in output.values():
        assert SECONDS.fullmatch(text), output


@pytest.mark.parametrize("microsecond", [0, 123_000, 999_999])
async def test_in_a_test(microsecond: int) -> None:
    definition = load(central("times", DO)).definition
    assert definition is not None
    now = datetime(2026, 1, 5, 9, 0, 0, microsecond, tzinfo=UTC)
    stubs = {"ask": {"outcome": "seen", "by": "someone"}}
    case = SimulationCase(input={"customer": "c"}, stubs=stubs, now=now)
    async with Expressions() as expressions:
        trace = await simulate(definition, case, expressions.evaluate)
    assert trace.state == "COMPLETED", trace.error
    output: Any = trace.output
    assert output["due"] == "2026-01-06T09:00:00Z"
    check(output)


async def test_in_a_run(platform: Platform) -> None:
    await publish(platform, central("times", DO))
    async with engine(platform, Leaves()):
        run = await start(platform, "sales/times")
        task_id = await open_task(platform, run.id)
        async with platform.work(FINANCE_APPROVER) as work:
            await human_tasks.claim_task(work, task_id)
        async with platform.work(FINANCE_APPROVER) as work:
            await human_tasks.complete_task(work, task_id, outcome="seen", answer={}, reason="r")
        ended = await until(platform, run.id, "COMPLETED", "FAULTED")
    assert ended.state == "COMPLETED", ended.error
    async with platform.work(SALES_OWNER) as work:
        check((await read_run_data(work, [run.id]))[run.id].output)
