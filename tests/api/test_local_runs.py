"""What people see of a local run: why it waits, why it faulted, whom to ask, who intervened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from coe.api.graphql.ids import to_uuid
from coe.db import utcnow
from coe.demo.api import create_demo_app
from coe.engines.inline import InlineEngine
from coe.execution.open_runtime import open_runtime
from coe.runs.tables import RUNS
from coe.settings import Settings
from coe.work import Platform
from tests.factories.api import Api, Persona
from tests.factories.api_story import publish, publish_count_stock, with_token

CANARY = "Wilhelmina Zwicknagel"
BASE = "https://open-workflow-specification.org/spec/1.0.0/errors/"
RUN = """
query ($id: ID!) {
  run(id: $id) {
    state waitsBecause
    error { type status reason title detail }
    faultedStep { name attempt }
    dataReaders { subject via }
    interventions { kind by reason }
  }
}
"""


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    app = create_demo_app(settings.model_copy(update={"loops": False}))
    async with app.router.lifespan_context(app):
        yield Api(app)


async def _started(developer: Persona) -> str:
    given = {"flow": "warehouse/count-stock", "input": {"sku": CANARY}}
    started = await developer.do("startRun", "StartRunInput", "run { id }", **given)
    assert started["run"], started["problems"]
    run_id: str = started["run"]["id"]
    return run_id


async def _shown(persona: Persona, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await persona.ask(RUN, id=run_id))["run"]
    return found


async def test_a_run_that_nobody_takes_says_so(api: Api) -> None:
    developer = await publish_count_stock(api)
    run_id = await _started(developer)
    async with api.services.platform.database.session() as session:
        since = utcnow() - timedelta(hours=1, minutes=2, seconds=5)
        mine = RUNS.c.id == to_uuid("Run", run_id)
        await session.execute(update(RUNS).where(mine).values(waits_since=since))
        await session.commit()
    said = (await _shown(developer, run_id))["waitsBecause"]
    assert said == "no worker of warehouse has taken it for 1 h 2 min; none was ever seen"
    team = await developer.ask('{ team(slug: "warehouse") { workerSeenAt } }')
    assert team["team"]["workerSeenAt"] is None


async def test_a_lead_who_may_not_read_data_sees_why_where_and_whom_to_ask(api: Api) -> None:
    developer = await publish_count_stock(api)
    run_id = await _started(developer)
    worker = await with_token(api, "service:worker/warehouse")
    claim = await worker.do("claimRun", "ClaimRunInput", "claim { attempt }", run=run_id)
    mine = {"run": run_id, "attempt": claim["claim"]["attempt"]}
    error = {"type": BASE + "runtime", "status": 500, "title": CANARY, "detail": CANARY}
    for state in ("RUNNING", "FAULTED", "RUNNING", "FAULTED"):
        more = {"error": error} if state == "FAULTED" else {}
        step = {"name": "count", "state": state, **more}
        await worker.do("reportStep", "ReportStepInput", "run { id }", **mine, **step)
    await worker.do("reportRun", "ReportRunInput", "run { id }", **mine, error=error)
    seen = await _shown(await with_token(api, "coe-lead"), run_id)
    assert CANARY not in str(seen)
    assert seen["error"] == {
        "type": BASE + "runtime",
        "status": 500,
        "reason": "It failed while it was running.",
        "title": None,
        "detail": None,
    }
    assert seen["faultedStep"] == {"name": "count", "attempt": 2}
    readers = {each["subject"]: each["via"] for each in seen["dataReaders"]}
    assert readers["warehouse-lead"] == "warehouse/process-owner"
    assert (await _shown(developer, run_id))["error"]["title"] == CANARY


async def test_a_cancellation_needs_a_reason_and_the_run_shows_it(api: Api) -> None:
    developer = await publish_count_stock(api)
    run_id = await _started(developer)
    refused = await developer.do("cancelRun", "RunInput", "run { id }", run=run_id, reason=" ")
    assert refused["run"] is None
    assert [each["path"] for each in refused["problems"]] == ["/reason"]
    await developer.do("cancelRun", "RunInput", "run { id }", run=run_id, reason="counted by hand")
    shown = await _shown(developer, run_id)
    assert shown["state"] == "CANCELLED"
    assert shown["interventions"] == [
        {"kind": "CANCEL", "by": "warehouse-developer", "reason": "counted by hand"}
    ]


async def test_a_worker_gives_a_run_up_and_a_claim_is_answered_again(api: Api) -> None:
    developer = await publish_count_stock(api)
    run_id = await _started(developer)
    worker = await with_token(api, "service:worker/warehouse")
    given = {"run": run_id, "token": "of-this-execution"}
    claims = [
        await worker.do("claimRun", "ClaimRunInput", "claim { attempt }", **given) for _ in range(2)
    ]
    attempts = {each["claim"]["attempt"] for each in claims}
    assert attempts == {1}
    wrong = await worker.do("claimRun", "ClaimRunInput", "claim { attempt }", run=run_id, token="!")
    assert [each["path"] for each in wrong["problems"]] == ["/token"]
    released = {"run": run_id, "attempt": 1}
    await worker.do("releaseRun", "ReleaseRunInput", "run { id }", **released)
    again = await worker.do("claimRun", "ClaimRunInput", "claim { attempt }", run=run_id)
    assert again["claim"]["attempt"] > 1


STEPS = """
query ($id: ID!) {
  run(id: $id) { state waitsBecause steps { name waitsBecause childRun { id waitsBecause } } }
}
"""
CALLS = """
document:
  dsl: 1.0.3
  namespace: sales
  name: counts
  version: 1.0.0
  title: Count for an order
  summary: Has the warehouse count what is there.
  metadata: {processOwner: sales-owner, domain: sales, dataClass: INTERNAL, tags: [stock]}
input:
  schema:
    document: {type: object, examples: [{}]}
do:
  - count:
      call: localFlow:1@default
      with: {ref: warehouse/count-stock@^1, input: {sku: A-1}}
"""


async def test_the_step_of_a_calling_run_says_why_it_waits(settings: Settings) -> None:
    platform = Platform.open(settings, name="test-engine")
    async with open_runtime(platform) as runtime:
        app = create_demo_app(settings, engine=InlineEngine(runtime))
        async with app.router.lifespan_context(app):
            api = Api(app)
            await publish_count_stock(api)
            owner = await publish(api, CALLS)
            given = {"flow": "sales/counts", "input": {}}
            started = await owner.do("startRun", "StartRunInput", "run { id }", **given)
            step: dict[str, Any] = {}
            async with asyncio.timeout(30):
                while " 1 h" not in str(step.get("waitsBecause")):
                    shown = (await owner.ask(STEPS, id=started["run"]["id"]))["run"]
                    step = next(iter(shown["steps"]), {})
                    await _make_wait(api)
    await platform.close()
    said = "no worker of warehouse has taken it for 1 h"
    assert shown["waitsBecause"] is None
    assert step["waitsBecause"].startswith(f"warehouse/count-stock@1.0.0: {said}")
    assert step["childRun"]["waitsBecause"].startswith(said)


async def _make_wait(api: Api) -> None:
    """Let local runs have waited for an hour already."""
    async with api.services.platform.database.session() as session:
        since = utcnow() - timedelta(hours=1, seconds=5)
        await session.execute(update(RUNS).where(RUNS.c.local).values(waits_since=since))
        await session.commit()
    await asyncio.sleep(0.05)
