"""The command line against a real server, as a team developer and in CI."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import RunningDemo

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "flows" / "teams" / "warehouse" / "pick_and_pack.yaml"
LOW = ROOT / "coe" / "demo" / "orders" / "low.json"


def coe(demo: RunningDemo, who: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coe.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": "/usr/bin:/bin", "COE_URL": demo.url, "COE_TOKEN": f"demo-{who}"},
    )


def test_a_flow_is_registered_reviewed_and_published(demo: RunningDemo, tmp_path: Path) -> None:
    again = coe(demo, "warehouse-developer", "flow", "register", str(MANIFEST))
    assert again.returncode == 0, again.stderr
    assert "warehouse/pick-and-pack@1.0.0 PUBLISHED" in again.stdout
    file = tmp_path / "new.yaml"
    file.write_text(MANIFEST.read_text().replace("name: pick-and-pack", "name: pick-again"))
    ref = "warehouse/pick-again@1.0.0"
    registered = coe(demo, "warehouse-developer", "flow", "register", str(file))
    assert f"{ref} DRAFT" in registered.stdout, registered.stderr
    early = coe(demo, "sales-owner", "flow", "run", "warehouse/pick-again", "--input", str(LOW))
    assert early.returncode in {6, 8}, early.stdout
    assert coe(demo, "warehouse-developer", "flow", "submit", ref).returncode == 0
    approve = ("flow", "review", ref, "--approve", "--comment", "fits")
    own = coe(demo, "warehouse-developer", *approve)
    assert own.returncode == 5
    assert "rule: p, " in own.stderr
    assert coe(demo, "coe-lead", *approve).returncode == 0
    done = coe(demo, "coe-lead", "flow", "publish", ref)
    assert done.stdout.strip() == f"{ref} PUBLISHED"
    assert "live is 1.0.0" in done.stderr


@pytest.mark.parametrize(
    ("changed", "code"),
    [({}, 0), ({"total": "29400.00"}, 4), ({"total": 12}, 1)],
)
def test_a_run_ends_with_the_code_of_its_state(
    demo: RunningDemo,
    tmp_path: Path,
    changed: dict[str, object],
    code: int,
) -> None:
    file = tmp_path / "order.json"
    file.write_text(json.dumps(json.loads(LOW.read_text()) | {"orderId": "SO-99001"} | changed))
    asked = ("flow", "run", "sales/order-to-cash", "--input", str(file), "--output", "json")
    done = coe(demo, "sales-owner", *asked)
    assert done.returncode == code, done.stdout + done.stderr


def test_a_refusal_has_its_exit_code(demo: RunningDemo, tmp_path: Path) -> None:
    assert coe(demo, "nobody", "catalog", "search", "order").returncode == 5
    export = coe(demo, "outsider", "audit", "export", "--to", str(tmp_path / "log"))
    assert export.returncode == 5
    assert not (tmp_path / "log").exists()
    found = coe(demo, "outsider", "catalog", "search", "order-to-cash", "--output", "json")
    assert "sales/order-to-cash" not in found.stdout


SCHEDULED = """
document:
  dsl: 1.0.3
  namespace: sales
  name: {name}
  version: 1.0.0
  title: {name}
  summary: Starts by itself.
  metadata: {{processOwner: sales-owner, dataClass: INTERNAL, domain: sales}}
input: {{schema: {{document: {{examples: [[]]}}}}}}
output: {{schema: {{document: {{type: object}}}}}}
schedule: {schedule}
do:
  - done:
      set: {{done: true}}
"""


TESTS = "tests: [{name: it ends, input: [], expect: {output: {done: true}}}]"


def publish(demo: RunningDemo, file: Path, ref: str) -> None:
    file.with_name("tests.yaml").write_text(TESTS)
    for who, *verb in (
        ("sales-owner", "register", str(file)),
        ("sales-owner", "submit", ref),
        ("coe-lead", "review", ref, "--approve", "--comment", "fits"),
        ("coe-lead", "publish", ref),
    ):
        done = coe(demo, who, "flow", *verb)
        assert done.returncode == 0, done.stderr


def schedule_of(demo: RunningDemo, ref: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done = coe(demo, "sales-owner", "flow", "schedule", ref, "--output", "json")
        if done.returncode == 0:
            found: dict[str, Any] = json.loads(done.stdout)
            return found
        assert done.returncode == 6, done.stderr
        time.sleep(0.2)
    raise TimeoutError(ref)


def test_an_event_starts_a_flow(demo: RunningDemo, tmp_path: Path) -> None:
    file, event = tmp_path / "flow.yaml", tmp_path / "event.json"
    on = "{on: {one: {with: {type: com.example.reported}}}}"
    file.write_text(SCHEDULED.format(name="on-event", schedule=on))
    assert coe(demo, "sales-owner", "flow", "schedule", "sales/on-event").returncode == 6
    publish(demo, file, "sales/on-event@1.0.0")
    assert schedule_of(demo, "sales/on-event")["kind"] == "ON"
    document = {"specversion": "1.0", "id": "1", "source": "/cli", "type": "com.example.reported"}
    event.write_text(json.dumps(document))
    sent = coe(demo, "sales-owner", "event", "send", str(event))
    assert sent.returncode == 0, sent.stderr
    assert sent.stdout.startswith("taken by 1 run that you may read")
    assert "sales/on-event@1.0.0" in sent.stdout
    again = coe(demo, "sales-owner", "event", "send", str(event), "--output", "json")
    assert json.loads(again.stdout)["duplicate"] is True
    event.write_text(json.dumps(document | {"type": ""}))
    assert coe(demo, "sales-owner", "event", "send", str(event)).returncode == 1
    event.write_text(json.dumps(document | {"id": "2"}))
    assert coe(demo, "auditor", "event", "send", str(event)).returncode == 5


def test_a_schedule_is_paused_and_resumed(demo: RunningDemo, tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    cron = "{cron: '0 6 * * MON-FRI'}"
    file.write_text(SCHEDULED.format(name="mornings", schedule=cron))
    publish(demo, file, "sales/mornings@1.0.0")
    assert schedule_of(demo, "sales/mornings")["expression"] == "0 6 * * MON-FRI"
    ask = ("flow", "schedule", "sales/mornings")
    assert coe(demo, "sales-owner", *ask, "--pause").returncode == 2
    paused = coe(demo, "sales-owner", *ask, "--pause", "--reason", "holidays")
    assert paused.returncode == 0, paused.stderr
    assert "CRON 0 6 * * MON-FRI (UTC), paused" in paused.stdout
    assert coe(demo, "sales-owner", *ask, "--pause", "--reason", "again").returncode == 8
    assert coe(demo, "auditor", *ask, "--resume", "--reason", "no").returncode == 5
    resumed = coe(demo, "sales-owner", *ask, "--resume", "--reason", "back")
    assert "  next  " in resumed.stdout
