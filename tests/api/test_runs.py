"""Runs and human tasks over HTTP, carried out by the engine in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from coe.api.graphql.ids import to_uuid
from coe.demo.api import create_demo_app
from coe.engines.inline import InlineEngine
from coe.execution.open_runtime import open_runtime
from coe.settings import Settings
from coe.work import Platform
from tests.factories.api import Api, Persona, Refused
from tests.factories.api_documents import approval
from tests.factories.api_story import publish, publish_count_stock, publish_welcome, with_token

START = """
mutation ($input: StartRunInput!) {
  startRun(input: $input) { run { id state } problems { code path } }
}
"""
RUN = """
query ($id: ID!) {
  run(id: $id) {
    id state correlationId startedBy input output traceId engineRunId parent { id } children { id }
    error { type status title detail instance } flow { ref } version { ref }
    workedFor heldFor waitedFor waits { cause for }
    steps { path name kind state attempt workedFor heldFor waitedFor waits { cause for }
            error { type }
            humanTask { id state } childRun { id } }
  }
}
"""
EXPLAIN = """
query ($subject: String!, $permission: String!, $resource: String!) {
  explainAccess(subject: $subject, permission: $permission, resource: $resource) {
    allowed rules
  }
}
"""
TASK = """
query ($id: ID!) {
  humanTask(id: $id) {
    id title instructions state candidateRoles assignee form context outcomes outcome answer reason
    completedBy approvalsNeeded approvals { by decision } escalations { to }
    reminders { at channel notifiedAt } holders { by from until }
    run { id state startedBy flow { ref } version { ref } }
  }
}
"""


@pytest.fixture
async def live_api(settings: Settings) -> AsyncIterator[Api]:
    platform = Platform.open(settings, name="test-engine")
    async with open_runtime(platform) as runtime:
        app = create_demo_app(settings, engine=InlineEngine(runtime))
        async with app.router.lifespan_context(app):
            yield Api(app)
    await platform.close()


async def _until(persona: Persona, run_id: str, *states: str) -> dict[str, Any]:
    run: dict[str, Any] = {}
    for _ in range(200):
        run = (await persona.ask(RUN, id=run_id))["run"]
        if run["state"] in states:
            return run
        await asyncio.sleep(0.1)
    raise AssertionError(f"not {states}: {run}")


async def _task(persona: Persona) -> dict[str, Any]:
    for _ in range(100):
        query = "{ inbox(filter: {claimable: true}) { nodes { id title state } } }"
        found = (await persona.ask(query))["inbox"]["nodes"]
        if found:
            task: dict[str, Any] = found[0]
            return task
        await asyncio.sleep(0.1)
    raise AssertionError("no task came")


async def test_a_run_completes_and_shows_its_steps(live_api: Api) -> None:
    owner = await publish_welcome(live_api)
    given = {"flow": "sales/welcome", "input": {"name": "Jane"}, "correlationId": "case-7"}
    started = (await owner.ask(START, input=given))["startRun"]["run"]
    run = await _until(owner, started["id"], "COMPLETED")
    assert run["output"]["greeting"] == "Hello Jane"
    assert run["input"] == {"name": "Jane"}
    assert run["correlationId"] == "case-7"
    assert run["version"] == {"ref": "sales/welcome@1.0.0"}
    assert [step["name"] for step in run["steps"]] == ["greet"]
    assert {each["cause"] for each in run["waits"]} <= {"DISPATCH"}
    assert (run["heldFor"], run["steps"][0]["waits"]) == ("PT0S", [])
    assert run["workedFor"].startswith("PT")
    found = await owner.ask(
        'query { runs(filter: {correlationId: "case-7", states: [COMPLETED]}) '
        '{ totalCount nodes { id } } flow(ref: "sales/welcome") { runs { totalCount } } }'
    )
    assert found["runs"] == {"totalCount": 1, "nodes": [{"id": started["id"]}]}
    assert found["flow"]["runs"]["totalCount"] == 1


async def test_an_invalid_input_saves_nothing(live_api: Api) -> None:
    owner = await publish_welcome(live_api)
    answer = await owner.ask(START, input={"flow": "sales/welcome", "input": {"nom": 1}})
    assert answer["startRun"]["run"] is None
    assert all(p["path"].startswith("/input") for p in answer["startRun"]["problems"])
    assert answer["startRun"]["problems"]
    assert (await owner.ask("{ runs { totalCount } }"))["runs"]["totalCount"] == 0


async def test_data_is_for_those_who_may_read_it_and_reading_is_recorded(live_api: Api) -> None:
    owner = await publish_welcome(live_api)
    given = {"flow": "sales/welcome", "input": {"name": "Jane Doe"}}
    run_id = (await owner.ask(START, input=given))["startRun"]["run"]["id"]
    await _until(owner, run_id, "COMPLETED")
    seen = (await live_api.persona("auditor").ask(RUN, id=run_id))["run"]
    assert seen["state"] == "COMPLETED"
    assert seen["input"] is None
    assert seen["output"] is None
    with pytest.raises(Refused) as refused:
        await live_api.persona("outsider").ask(RUN, id=run_id)
    assert refused.value.code == "NOT_FOUND"
    for _ in range(30):
        events = await live_api.persona("auditor").ask(
            'query { auditLog(filter: {actions: ["runs:run:read_data"]}) '
            "{ nodes { actor resource outcome } } }"
        )
        if events["auditLog"]["nodes"]:
            break
        await asyncio.sleep(0.1)
    actors = {event["actor"] for event in events["auditLog"]["nodes"]}
    assert actors == {"sales-owner"}


async def test_a_person_decides_who_did_not_request_the_run(live_api: Api) -> None:
    await publish(live_api, approval())
    owner, approver = live_api.persona("sales-owner"), live_api.persona("finance-approver")
    given = {"flow": "sales/approval", "input": {"amount": 5000}}
    run_id = (await owner.ask(START, input=given))["startRun"]["run"]["id"]
    task = await _task(approver)
    run = await _until(owner, run_id, "WAITING")
    step = next(step for step in run["steps"] if step["humanTask"])
    assert step["humanTask"]["id"] == task["id"]
    assert step["state"] == "WAITING"

    shown = (await approver.ask(TASK, id=task["id"]))["humanTask"]
    assert shown["context"] == {"amount": 5000}
    assert shown["outcomes"] == ["approved", "rejected"]
    assert shown["run"]["flow"] == {"ref": "sales/approval"}
    assert shown["run"]["startedBy"] == "sales-owner"

    answer = {"task": task["id"], "outcome": "approved", "answer": {"note": "fine"}}
    with pytest.raises(Refused) as refused:
        await owner.do("completeHumanTask", "CompleteHumanTaskInput", "task { id }", **answer)
    assert refused.value.code == "FORBIDDEN"
    assert refused.value.extensions["permission"] == "human_task:complete"
    assert refused.value.extensions["rule"].endswith("human_task:complete, *, deny")

    why = (
        await owner.ask(
            EXPLAIN,
            subject="sales-owner",
            permission="human_task:complete",
            resource=f"human_task:{to_uuid('HumanTask', task['id'])}",
        )
    )["explainAccess"]
    assert why["allowed"] is False
    assert why["rules"][0] == refused.value.extensions["rule"]

    claimed = await approver.do(
        "claimHumanTask", "HumanTaskInput", "task { state assignee }", task=task["id"]
    )
    assert claimed["task"] == {"state": "CLAIMED", "assignee": "finance-approver"}
    [holder] = (await approver.ask(TASK, id=task["id"]))["humanTask"]["holders"]
    assert (holder["by"], holder["until"]) == ("finance-approver", None)
    assert holder["from"]
    wrong = await approver.do(
        "completeHumanTask",
        "CompleteHumanTaskInput",
        "task { id }",
        **{**answer, "outcome": "maybe", "answer": {"note": 5}},
    )
    assert wrong["task"] is None
    assert {problem["path"] for problem in wrong["problems"]} == {"/outcome", "/answer/note"}
    done = await approver.do(
        "completeHumanTask",
        "CompleteHumanTaskInput",
        "task { state outcome answer reason completedBy approvals { by decision } }",
        **answer,
        reason="known",
        clientMutationId="decide-1",
    )
    assert done["task"]["state"] == "COMPLETED"
    assert done["task"]["approvals"] == [{"by": "finance-approver", "decision": "approved"}]
    again = await approver.do(
        "completeHumanTask",
        "CompleteHumanTaskInput",
        "task { state completedBy }",
        **answer,
        reason="known",
        clientMutationId="decide-1",
    )
    assert again["task"]["completedBy"] == "finance-approver"
    run = await _until(owner, run_id, "COMPLETED")
    assert run["output"]["outcome"] == "approved"


async def test_a_task_is_released_delegated_and_hidden_from_others(live_api: Api) -> None:
    await publish(live_api, approval())
    owner, approver = live_api.persona("sales-owner"), live_api.persona("finance-approver")
    given = {"flow": "sales/approval", "input": {"amount": 5000}}
    await owner.ask(START, input=given)
    task = (await _task(approver))["id"]
    await approver.do("claimHumanTask", "HumanTaskInput", "task { id }", task=task)
    lead = live_api.persona("finance-lead")
    with pytest.raises(Refused) as refused:
        await lead.do("claimHumanTask", "HumanTaskInput", "task { id }", task=task)
    assert refused.value.code == "CONFLICT"
    back = await approver.do("releaseHumanTask", "HumanTaskInput", "task { state }", task=task)
    assert back["task"]["state"] == "OPEN"
    await approver.do("claimHumanTask", "HumanTaskInput", "task { id }", task=task)
    handed = await approver.do(
        "delegateHumanTask",
        "DelegateHumanTaskInput",
        "task { state assignee }",
        task=task,
        to="finance-lead",
        comment="you know them",
    )
    assert handed["task"] == {"state": "CLAIMED", "assignee": "finance-lead"}
    with pytest.raises(Refused) as refused:
        await live_api.persona("outsider").ask(TASK, id=task)
    assert refused.value.code == "NOT_FOUND"
    mine = await lead.ask("{ inbox(filter: {assignedToMe: true}) { nodes { id } } }")
    assert mine["inbox"]["nodes"] == [{"id": task}]


async def test_a_run_is_cancelled_with_its_task_and_only_once(live_api: Api) -> None:
    await publish(live_api, approval())
    owner, approver = live_api.persona("sales-owner"), live_api.persona("finance-approver")
    given = {"flow": "sales/approval", "input": {"amount": 5000}}
    run_id = (await owner.ask(START, input=given))["startRun"]["run"]["id"]
    task = (await _task(approver))["id"]
    await owner.do("cancelRun", "RunInput", "run { id }", run=run_id, reason="typo")
    await _until(owner, run_id, "CANCELLED")
    assert (await approver.ask(TASK, id=task))["humanTask"]["state"] == "CANCELLED"
    for mutation in ("cancelRun", "retryRun"):
        with pytest.raises(Refused) as refused:
            await owner.do(mutation, "RunInput", "run { id }", run=run_id, reason="again")
        assert refused.value.code == "CONFLICT"


async def test_a_teams_worker_claims_reports_and_ends_a_local_run(api: Api) -> None:
    developer = await publish_count_stock(api)
    given = {"flow": "warehouse/count-stock", "input": {"sku": "VALVE-35"}}
    run_id = (await developer.ask(START, input=given))["startRun"]["run"]["id"]
    worker = await with_token(api, "service:worker/warehouse")
    other = await with_token(api, "service:worker/finance")
    plain = str(to_uuid("Run", run_id))
    claim = "claim { attempt input done heartbeatEvery run { id state } }"
    with pytest.raises(Refused) as refused:
        await other.do("claimRun", "ClaimRunInput", claim, run=plain)
    assert refused.value.code == "NOT_FOUND"
    claimed = (await worker.do("claimRun", "ClaimRunInput", claim, run=plain))["claim"]
    assert claimed["input"] == {"sku": "VALVE-35"}
    assert claimed["run"] == {"id": run_id, "state": "RUNNING"}
    assert claimed["heartbeatEvery"] == "PT1.5S"
    mine = {"run": plain, "attempt": claimed["attempt"]}
    beat = await worker.do("heartbeatRun", "HeartbeatRunInput", "run { state }", **mine)
    assert beat["run"]["state"] == "RUNNING"
    step = {**mine, "name": "count"}
    for state, more in (("RUNNING", {}), ("COMPLETED", {"output": {"count": 3}})):
        reported = await worker.do(
            "reportStep", "ReportStepInput", "run { state }", **step, state=state, **more
        )
        assert reported["problems"] == []
    odd = await worker.do("reportStep", "ReportStepInput", "run { state }", **step, state="WAITING")
    assert odd["problems"][0]["path"] == "/state"
    with pytest.raises(Refused) as refused:
        await worker.do(
            "heartbeatRun", "HeartbeatRunInput", "run { id }", **{**mine, "attempt": 99}
        )
    assert refused.value.code == "CONFLICT"
    ended = await worker.do(
        "reportRun", "ReportRunInput", "run { state }", **mine, output={"count": 3}
    )
    assert ended["run"]["state"] == "COMPLETED"
    run = (await developer.ask(RUN, id=plain))["run"]
    assert run["id"] == run_id
    assert [(step["name"], step["state"]) for step in run["steps"]] == [("count", "COMPLETED")]
