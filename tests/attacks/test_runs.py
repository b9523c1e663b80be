"""Attempts of a run to use what its definition does not name, and to stand in another's case."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from coe.api.http.requests import accept_correlation, request_info
from coe.errors import Invalid
from coe.execution.advance import Finished, advance
from coe.execution.runtime import Runtime
from coe.json_types import JSON
from coe.runs import actions, disclosure
from coe.runs.models import RunState
from coe.runs.tables import EVENTS, RUNS
from coe.work import Platform
from tests.factories.audit_events import events_of
from tests.factories.human_tasks import running
from tests.factories.people import FINANCE_LEAD, OUTSIDER, SALES_OWNER
from tests.factories.runs import central, local, publish, start

__all__ = ["running"]

CASE = "order-4711"
SIMPLE = """
  - note:
      set: {done: true}
"""


# ---------------------------------------------------------------- correlation ids
async def start_of_finance(platform: Platform, correlation_id: str) -> str:
    async with platform.work(FINANCE_LEAD) as work:
        run = await actions.start_run(
            work,
            flow="finance/pay",
            input={"customer": "c"},
            correlation_id=correlation_id,
        )
    return run.correlation_id


async def test_taking_the_correlation_id_of_a_run_of_another_team(platform: Platform) -> None:
    await publish(platform, central("simple", SIMPLE))
    await publish(platform, central("pay", SIMPLE, namespace="finance"), "finance-developer")
    await start(platform, "sales/simple", correlation_id=CASE)
    await start(platform, "sales/simple", correlation_id=CASE)  # one's own team may
    with pytest.raises(Invalid) as refused:
        await start_of_finance(platform, CASE)
    assert [each.path for each in refused.value.problems] == ["/correlationId"]
    assert await start_of_finance(platform, f"{CASE}-pay") == f"{CASE}-pay"


class Sent:
    """A request with a correlation id."""

    def __init__(self, correlation_id: str) -> None:
        self.headers = {"x-correlation-id": correlation_id}
        self.client = None


@pytest.mark.parametrize(
    ("actor", "kept"), [(OUTSIDER, None), (SALES_OWNER, CASE)], ids=["stranger", "own"]
)
async def test_writing_events_into_the_case_of_a_hidden_run(
    platform: Platform, actor, kept: str | None
) -> None:
    await publish(platform, central("simple", SIMPLE))
    await start(platform, "sales/simple", correlation_id=CASE)
    request = Sent(CASE)
    before = request_info(request)  # type: ignore[arg-type]  # what is read of a request
    assert before.correlation_id is None  # nobody is known yet
    about = await accept_correlation(platform, actor, request, before)  # type: ignore[arg-type]
    assert about.correlation_id == kept


# ---------------------------------------------------------------- what a definition names
CALL = """
  - call:
      call: localFlow:1@default
      with: {ref: '${ .customer }', input: {order: 1}}
"""
DECIDE = """
  - decide:
      call: decision:1@default
      with: {ref: '${ .customer }', input: {amount: 1}}
"""
TELL = """
  - tell:
      call: notify:1@default
      with: {channel: '${ .customer }', to: a@acme.example, subject: s, body: b}
"""


@pytest.mark.parametrize(
    ("do", "value", "resource"),
    [
        (CALL, "warehouse/pick@1.0.0", "flow:warehouse/pick@1.0.0"),
        (CALL, "warehouse/pick", "flow:warehouse/pick"),
        (DECIDE, "finance/approval-level@1.0.0", "decision:finance/approval-level@1.0.0"),
        (TELL, "finance-mail", "channel:finance-mail"),
    ],
    ids=["flow", "flow without a version", "decision table", "channel"],
)
async def test_choosing_by_data_what_the_definition_does_not_name(
    running: Runtime, do: str, value: str, resource: str
) -> None:
    platform = running.platform
    await publish(platform, local("pick"), "warehouse-developer")
    await publish(platform, central("chooses", do))
    run = await start(platform, "sales/chooses", {"customer": value})
    assert await advance(running, run.id) == Finished(RunState.FAULTED)
    async with platform.work(SALES_OWNER) as work:
        data = (await disclosure.read_run_data(work, [run.id]))[run.id]
    assert data.error is not None
    assert data.error.status == 403
    action = "runs:run:start" if resource.startswith("flow:") else "access:permission:refuse"
    denied = [each for each in await events_of(platform, action) if each.outcome == "DENIED"]
    assert [(each.actor, each.resource) for each in denied] == [(f"run:{run.id}", resource)]
    async with platform.database.session() as session:
        called = await session.scalar(select(RUNS.c.id).where(RUNS.c.parent_id == run.id))
    assert called is None


EMIT = """
  - tell:
      emit:
        event:
          with: {{type: {type}, source: 'https://sales.example', data: {{}}}}
"""


@pytest.mark.parametrize(
    ("written", "everywhere"),
    [("'${ .customer }'", False), ("acme.paid", True)],
    ids=["chosen by data", "named"],
)
async def test_starting_flows_of_other_teams_by_an_event_that_data_choose(
    running: Runtime,
    written: str,
    *,
    everywhere: bool,
) -> None:
    platform = running.platform
    await publish(platform, central("tells", EMIT.format(type=written)))
    run = await start(platform, "sales/tells", {"customer": "acme.paid"})
    assert await advance(running, run.id) == Finished(RunState.COMPLETED)
    async with platform.database.session() as session:
        reach: JSON = await session.scalar(select(EVENTS.c.reach))
    assert isinstance(reach, dict)
    assert bool(reach["elsewhere"]) is everywhere
