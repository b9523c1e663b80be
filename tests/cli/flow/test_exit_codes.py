"""`coe flow try` and `test`: what runs in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coe.cli.main import cli

ROOT = Path(__file__).resolve().parents[3]
FLOW = """
document: {dsl: 1.0.3, namespace: sales, name: decide, version: 1.0.0}
do:
  - fetch:
      call: http
      with: {method: get, endpoint: {uri: 'http://erp.acme.example/credit'}}
  - ask:
      call: humanTask:1@default
      with: {title: Decide, candidates: {roles: [lead]}, outcomes: [approved, rejected]}
  - done:
      set: {outcome: '${ .outcome }'}
"""


def coe(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    file = tmp_path / "flow.yaml"
    file.write_text(FLOW)
    return file


@pytest.mark.parametrize(
    ("stubs", "code", "state"),
    [
        ({"fetch": {"output": {}}, "ask": {"outcome": "approved", "by": "fiona"}}, 0, "COMPLETED"),
        ({"fetch": {"error": {"type": "about:blank", "status": 503}}}, 3, "FAULTED"),
        ({"fetch": {"output": {}}}, 4, "WAITING"),
    ],
)
def test_try_ends_with_the_code_of_its_state(
    flow: Path,
    tmp_path: Path,
    stubs: dict[str, object],
    code: int,
    state: str,
) -> None:
    file = tmp_path / "stubs.json"
    file.write_text(json.dumps(stubs))
    done = coe("flow", "try", str(flow), "--stub", str(file), "--output", "json")
    assert done.exit_code == code, done.output
    result = json.loads(done.stdout)
    assert result["state"] == state
    assert {"state", "output", "error", "steps", "events", "missing"} <= set(result)


def test_the_tests_of_the_shipped_templates_pass() -> None:
    done = coe("flow", "test", str(ROOT / "templates"))
    assert done.exit_code == 0, done.output
    assert "0 failed" in done.output


def test_a_test_that_fails_says_how(flow: Path) -> None:
    (flow.parent / "tests.yaml").write_text(
        "tests:\n"
        "  - name: wrong\n"
        "    stubs: {fetch: {output: {}}, ask: {outcome: approved, by: fiona}}\n"
        "    expect: {output: {outcome: rejected}}\n",
    )
    done = coe("flow", "test", str(flow.parent))
    assert done.exit_code == 1
    assert "FAILED" in done.output
    assert "approved" in done.output
