"""kill -9 of each process in the middle of runs: they complete, and nothing ran twice."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import RunningDemo
from tests.e2e.orders import order
from tests.e2e.personas import until
from tests.e2e.test_story import RUN, names, run_of

FLOW = "sales/order-to-cash"
RUNS = 4
PROCESSES = ["api", "worker-central", "worker-warehouse"]


def company_calls(demo: RunningDemo) -> dict[str, dict[str, Any]]:
    answer = httpx.get(f"{demo.company}/calls", timeout=10, trust_env=False)
    return {call["key"]: call for call in answer.json()}


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("after", [0.3, pytest.param(1.5, marks=pytest.mark.more)])
def test_a_killed_process_loses_and_repeats_nothing(
    demo: RunningDemo,
    process: str,
    after: float,
) -> None:
    owner = demo.persona("sales-owner")
    before = company_calls(demo)
    orders = [order("low") for _ in range(RUNS)]
    started = [run_of(owner, FLOW, document) for document in orders]
    time.sleep(after)
    done_before = {key for key, call in company_calls(demo).items() if call["status"] == 200}
    old = demo.process(process)
    os.kill(old, signal.SIGKILL)
    until(lambda: _restarted(demo, process, old), seconds=60, what=f"a new {process}")

    def ended_runs() -> list[dict[str, Any]] | None:
        try:
            seen = [owner.ask(RUN, id=run_id)["run"] for run_id in started]
        except httpx.HTTPError:
            return None
        return seen if all(run["state"] == "COMPLETED" for run in seen) else None

    runs = until(ended_runs, seconds=120, what="the end of the runs")
    for run in runs:
        assert run["output"]["state"] == "completed"
        assert names(run).count("postInvoice") == 1
    calls = {key: call for key, call in company_calls(demo).items() if key not in before}
    in_flight = {key for key, call in calls.items() if call["calls"] > 1}
    assert all(call["calls"] <= 2 for call in calls.values()), "a leaf ran more than once again"
    assert len(in_flight) <= RUNS, "only leaves in flight may come a second time, each once"
    for document in orders:
        url = f"{demo.company}/erp/orders/{document['orderId']}/invoices"
        invoices = httpx.get(url, timeout=10, trust_env=False).json()
        assert [invoice["status"] for invoice in invoices] == ["open"]
    assert done_before <= set(company_calls(demo))
    auditor = demo.persona("auditor")
    for run_id in started:
        _is_whole_in_the_log(auditor, owner, run_id)
    result = auditor.ask("{ verifyAudit { ok problems { code message } } }")["verifyAudit"]
    assert result["ok"], result["problems"]


def _restarted(demo: RunningDemo, process: str, old: int) -> bool:
    try:
        return demo.process(process) != old
    except KeyError:
        return False


def _is_whole_in_the_log(auditor: Any, owner: Any, run_id: str) -> None:
    correlation = owner.ask(
        "query R($id: ID!) { run(id: $id) { correlationId } }",
        id=run_id,
    )["run"]["correlationId"]
    nodes = auditor.ask(
        "query L($c: String!) { auditLog(filter: {correlationId: $c}, first: 100) "
        "{ nodes { action resource } } }",
        c=correlation,
    )["auditLog"]["nodes"]
    resources = [node["resource"] for node in nodes if node["action"] == "runs:run:complete"]
    assert len(resources) == len(set(resources)) >= 5
