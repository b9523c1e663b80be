"""The command line against a real server, as a team developer and in CI."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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


def test_who_may_not_is_told_so(demo: RunningDemo, tmp_path: Path) -> None:
    assert coe(demo, "nobody", "catalog", "search", "order").returncode == 5
    export = coe(demo, "outsider", "audit", "export", "--to", str(tmp_path / "log"))
    assert export.returncode == 5
    assert not (tmp_path / "log").exists()
    found = coe(demo, "outsider", "catalog", "search", "order-to-cash", "--output", "json")
    assert "sales/order-to-cash" not in found.stdout
