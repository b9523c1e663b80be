"""The story of the README, over HTTP only, each step as its persona."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import RunningDemo
from tests.e2e.orders import order
from tests.e2e.personas import Persona, Refused, until

NAME = "order-to-cash-tested"
FLOW = f"sales/{NAME}"
PARAMETERS = {"creditLimit": "5000.00", "secondApprover": True, "carrier": "bluebox"}
RUN = """
query Run($id: ID!) {
  run(id: $id) {
    id state input output correlationId startedBy engineRunId
    error { type status title }
    version { ref }
    steps {
      path name kind state attempt startedAt endedAt
      humanTask { id state } childRun { id state flow { ref flowKind owner { slug } } }
    }
  }
}
"""
SEARCH = """
query Search($text: String!) {
  catalog(search: $text) {
    totalCount
    facets { name values { value count } }
    edges { score highlights node { kind ref title } }
  }
}
"""
PREVIEW = """
query Preview($input: InstantiateTemplateInput!) {
  previewTemplate(input: $input) {
    definition digest diagram problems { code severity message path help }
  }
}
"""
VERSION = """
query Version($ref: String!) {
  flow(ref: $ref) {
    aliases flowKind dataClass
    version {
      ref lifecycle signature digest definition inputSchema diagram engine
      origin { templateVersion { ref } parameters behindBy }
      approvals { by decision comment }
    }
    calls { ref owner { slug } }
    systems { ref }
  }
}
"""
AUDIT = """
query Log($filter: AuditFilter, $after: String) {
  auditLog(filter: $filter, first: 100, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      index actor action resource outcome rule reason leafHash
      proof { treeSize rootHash leafIndex path checkpoint }
    }
  }
}
"""


@pytest.fixture(scope="module")
def owner(demo: RunningDemo) -> Persona:
    return demo.persona("sales-owner")


@pytest.fixture(scope="module")
def lead(demo: RunningDemo) -> Persona:
    return demo.persona("coe-lead")


@pytest.fixture(scope="module")
def published(owner: Persona, lead: Persona) -> str:
    """The template, instantiated with a second approver, reviewed and published."""
    made = owner.do(
        "instantiateTemplate",
        "version { ref lifecycle }",
        template="coe/order-to-cash",
        namespace="sales",
        name=NAME,
        title="Order to cash, tested",
        parameters=PARAMETERS,
        processOwner="sales-owner",
    )
    assert made["problems"] == [] or {p["severity"] for p in made["problems"]} <= {
        "WARNING",
        "INFO",
    }
    ref: str = made["version"]["ref"]
    assert made["version"]["lifecycle"] == "DRAFT"
    owner.do("submitForReview", "entry { ref }", ref=ref)
    with pytest.raises(Refused) as refused:
        owner.do("review", "entry { ref }", ref=ref, approve=True, comment="mine")
    assert refused.value.code == "FORBIDDEN"
    assert refused.value.extensions["permission"] == "flow:review"
    assert refused.value.extensions["rule"]
    lead.do("review", "entry { ref }", ref=ref, approve=True, comment="follows the standards")
    lead.do("publish", "entry { ref }", ref=ref)
    return ref


def run_of(person: Persona, flow: str, value: dict[str, Any], **more: Any) -> str:
    started = person.do("startRun", "run { id }", flow=flow, input=value, **more)
    assert started["run"], started["problems"]
    run_id: str = started["run"]["id"]
    return run_id


def ended(person: Persona, run_id: str, *, seconds: float = 60) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        run: dict[str, Any] = person.ask(RUN, id=run_id)["run"]
        return run if run["state"] in {"COMPLETED", "FAULTED", "CANCELLED"} else None

    return until(look, seconds=seconds, what=f"the end of {run_id}")


def open_task(person: Persona, run_id: str) -> str:
    def look() -> str | None:
        for step in person.ask(RUN, id=run_id)["run"]["steps"]:
            task = step["humanTask"]
            if task and task["state"] in {"OPEN", "CLAIMED"}:
                found: str = task["id"]
                return found
        return None

    return until(look, seconds=40, what="a human task")


def names(run: dict[str, Any]) -> list[str]:
    return [step["name"] for step in run["steps"] if step["state"] != "SKIPPED"]


def test_the_catalog_is_searched_with_facets_and_highlights(owner: Persona) -> None:
    found = owner.ask(SEARCH, text="order")["catalog"]
    refs = {edge["node"]["ref"] for edge in found["edges"]}
    assert {"coe/order-to-cash", "sales/order-to-cash", "warehouse/pick-and-pack"} <= refs
    assert {facet["name"] for facet in found["facets"]} >= {"kinds", "owners", "tags"}
    assert any("<mark>" in part for edge in found["edges"] for part in edge["highlights"])
    typo = owner.ask(SEARCH, text="odrer to cash")["catalog"]
    assert "coe/order-to-cash" in {edge["node"]["ref"] for edge in typo["edges"]}


def test_a_bad_parameter_is_located_and_saves_nothing(owner: Persona) -> None:
    asked = {
        "template": "coe/order-to-cash",
        "namespace": "sales",
        "name": "never-saved",
        "processOwner": "sales-owner",
        "parameters": {"creditLimit": 5000, "carrier": "pigeon"},
    }
    preview = owner.ask(PREVIEW, input=asked)["previewTemplate"]
    paths = {problem["path"] for problem in preview["problems"]}
    assert {"/parameters/creditLimit", "/parameters/carrier"} <= paths
    made = owner.do("instantiateTemplate", "version { ref }", **asked)
    assert made["version"] is None
    assert {problem["path"] for problem in made["problems"]} >= paths
    assert not _exists(owner, "sales/never-saved")


def _exists(person: Persona, ref: str) -> bool:
    try:
        return (
            person.ask("query F($r: String!) { flow(ref: $r) { id } }", r=ref)["flow"] is not None
        )
    except Refused as refused:
        assert refused.code == "NOT_FOUND"
        return False


def test_the_preview_shows_definition_diagram_and_standards(owner: Persona) -> None:
    asked = {
        "template": "coe/order-to-cash",
        "namespace": "sales",
        "name": "previewed",
        "processOwner": "sales-owner",
        "parameters": PARAMETERS,
    }
    preview = owner.ask(PREVIEW, input=asked)["previewTemplate"]
    assert "approveOrder" in preview["definition"]
    assert "bluebox" in preview["definition"]
    assert preview["diagram"].startswith("flowchart")
    assert not [p for p in preview["problems"] if p["severity"] == "ERROR"]
    assert not _exists(owner, "sales/previewed")


def test_the_published_version_is_signed_and_live(owner: Persona, published: str) -> None:
    flow = owner.ask(VERSION, ref=FLOW)["flow"]
    version = flow["version"]
    assert version["ref"] == published
    assert version["lifecycle"] == "PUBLISHED"
    assert flow["aliases"]["live"] == published.split("@")[1]
    assert len(version["signature"]) > 60
    assert version["origin"]["templateVersion"]["ref"].startswith("coe/order-to-cash@")
    assert version["origin"]["parameters"]["carrier"] == "bluebox"
    assert [approval["by"] for approval in version["approvals"]] == ["coe-lead"]
    assert {called["owner"]["slug"] for called in flow["calls"]} >= {
        "warehouse",
        "finance",
        "fulfilment",
    }
    assert len(version["inputSchema"]["examples"]) >= 4
    assert version["engine"] == "prefect"


def test_the_low_value_path_runs_code_of_four_teams(owner: Persona, published: str) -> None:
    run = ended(owner, run_of(owner, FLOW, order("low"), correlationId="e2e-low"))
    assert run["state"] == "COMPLETED"
    assert run["output"]["state"] == "completed"
    assert "approveOrder" not in names(run)
    children = [step["childRun"] for step in run["steps"] if step["childRun"]]
    owners = {child["flow"]["owner"]["slug"] for child in children}
    assert owners == {"finance", "warehouse", "fulfilment", "sales"}
    assert {child["state"] for child in children} == {"COMPLETED"}
    assert run["version"]["ref"] == published


def test_above_the_limit_two_people_approve_and_the_requester_may_not(
    demo: RunningDemo,
    owner: Persona,
    published: str,
) -> None:
    run_id = run_of(owner, FLOW, order("high"), correlationId="e2e-high")
    task = open_task(owner, run_id)
    given = {"task": task, "outcome": "approved", "answer": {"note": "fine"}}
    with pytest.raises(Refused) as refused:
        owner.do("completeHumanTask", "task { id }", **given)
    assert refused.value.code == "FORBIDDEN"
    assert refused.value.extensions["rule"].startswith("p, relation:")
    assert refused.value.extensions["rule"].endswith("human_task:complete, *, deny")
    first = demo.persona("finance-approver")
    first.do("claimHumanTask", "task { state assignee }", task=task)
    wrong = first.do("completeHumanTask", "task { id }", **(given | {"answer": {"nota": 1}}))
    assert wrong["problems"][0]["path"].startswith("/answer")
    first.do("completeHumanTask", "task { state }", **given)
    with pytest.raises(Refused):
        first.do("completeHumanTask", "task { state }", **given)
    second = demo.persona("finance-lead")
    second.do("completeHumanTask", "task { state }", **given)
    run = ended(owner, run_id)
    assert run["state"] == "COMPLETED"
    assert run["output"]["state"] == "completed"


def test_while_a_task_is_open_no_process_is_held(
    demo: RunningDemo,
    owner: Persona,
    published: str,
) -> None:
    run_id = run_of(owner, FLOW, order("high"), correlationId="e2e-parked")
    open_task(owner, run_id)

    def parked() -> bool:
        run: dict[str, Any] = owner.ask(RUN, id=run_id)["run"]
        return bool(run["state"] == "WAITING")

    until(parked, seconds=20, what="parking")
    owner.do("cancelRun", "run { state }", run=run_id, reason="only looked")
    assert ended(owner, run_id)["state"] == "CANCELLED"


def test_a_rejected_order_is_rejected(demo: RunningDemo, owner: Persona, published: str) -> None:
    run_id = run_of(owner, FLOW, order("high"), correlationId="e2e-rejected")
    task = open_task(owner, run_id)
    person = demo.persona("finance-lead")
    person.do("claimHumanTask", "task { state }", task=task)
    given = {"outcome": "rejected", "answer": {}, "reason": "too much"}
    person.do("completeHumanTask", "task { state }", task=task, **given)
    second = demo.persona("finance-approver")
    until(
        lambda: (
            owner.ask(RUN, id=run_id)["run"]["state"] == "COMPLETED" or _also(second, task, given)
        ),
        seconds=40,
        what="the rejection",
    )
    run = ended(owner, run_id)
    assert run["output"]["state"] == "rejected"


def _also(person: Persona, task: str, given: dict[str, Any]) -> bool:
    try:
        person.do("completeHumanTask", "task { state }", task=task, **given)
    except Refused:
        return False
    return False


def test_an_erp_error_is_retried_and_compensated(owner: Persona, published: str) -> None:
    run = ended(owner, run_of(owner, FLOW, order("low", erp="down")))
    assert run["output"]["state"] == "compensated"
    assert (
        names(run).count("postInvoice") == 4
        or max(step["attempt"] for step in run["steps"] if step["name"] == "postInvoice") >= 3
    )
    assert {"releaseStock", "cancelOrder"} <= set(names(run))
    back = ended(owner, run_of(owner, FLOW, order("low", erp="fail-twice")))
    assert back["output"]["state"] == "completed"


def test_bad_input_is_located_and_starts_nothing(owner: Persona, published: str) -> None:
    bad = order("low") | {"total": 12}
    answer = owner.do("startRun", "run { id }", flow=FLOW, input=bad)
    assert answer["run"] is None
    assert {problem["path"] for problem in answer["problems"]} == {"/input/total"}


def test_the_same_mutation_id_starts_one_run(owner: Persona, published: str) -> None:
    value = order("low")
    first = run_of(owner, FLOW, value, clientMutationId="e2e-once")
    assert run_of(owner, FLOW, value, clientMutationId="e2e-once") == first
    with pytest.raises(Refused) as refused:
        run_of(owner, FLOW, order("low"), clientMutationId="e2e-once")
    assert refused.value.code == "CONFLICT"


def test_an_outsider_sees_nothing_of_it(demo: RunningDemo, owner: Persona, published: str) -> None:
    outsider = demo.persona("outsider")
    run_id = run_of(owner, FLOW, order("low"))
    for query, variables in (
        ("query R($id: ID!) { run(id: $id) { state } }", {"id": run_id}),
        ("query F($ref: String!) { flow(ref: $ref) { id } }", {"ref": FLOW}),
    ):
        try:
            assert next(iter(outsider.ask(query, **variables).values())) is None
        except Refused as refused:
            assert refused.code == "NOT_FOUND"
    with pytest.raises(Refused) as denied:
        outsider.ask(AUDIT)
    assert denied.value.code in {"FORBIDDEN", "NOT_FOUND"}
    assert outsider.ask("{ inbox { totalCount } }")["inbox"]["totalCount"] == 0
