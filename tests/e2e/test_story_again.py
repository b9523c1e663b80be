"""`coe demo --reset-story`: the story once more, on the data of a demo that runs."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.e2e.conftest import RunningDemo

FLOW = """
query F { flow(ref: "sales/order-to-cash") { aliases versions { nodes { version lifecycle } } } }
"""
RUNS = """
query R {
  first: runs(filter: {correlationId: "demo-low"}) { nodes { id state flow { ref } } }
  again: runs(filter: {correlationId: "demo-low-2"}) { nodes { id state flow { ref } } }
}
"""


def test_the_story_is_told_again_and_nothing_is_erased(demo: RunningDemo) -> None:
    owner, auditor = demo.persona("sales-owner"), demo.persona("auditor")
    before = owner.ask(FLOW)["flow"]
    size = auditor.ask("query { verifyAudit { ok treeSize } }")["verifyAudit"]["treeSize"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COE_")}
    told = subprocess.run(
        [sys.executable, "-m", "coe.cli.main", "demo", "--data", str(demo.data), "--reset-story"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "story: complete" in told.stdout
    after = owner.ask(FLOW)["flow"]
    assert len(after["versions"]["nodes"]) == len(before["versions"]["nodes"]) + 1
    assert f"live is {after['aliases']['live']}" in told.stdout
    assert after["aliases"]["live"] != before["aliases"]["live"]
    runs = owner.ask(RUNS)
    assert [run["state"] for run in runs["again"]["nodes"]].count("COMPLETED") > 0
    assert len(runs["again"]["nodes"]) == len(runs["first"]["nodes"])
    verified = auditor.ask("query { verifyAudit { ok treeSize } }")["verifyAudit"]
    assert verified["ok"]
    assert verified["treeSize"] > size
