"""`coe decision` offline, and decisions in `coe flow try` and `coe flow test`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from coe.cli.main import cli
from tests.factories.decision_tables import APPROVAL

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "catalog" / "decisions"


def coe(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, [str(each) for each in arguments], input=stdin)


@pytest.fixture
def gap(tmp_path: Path) -> Path:
    file = tmp_path / "gap.yaml"
    file.write_text(APPROVAL.replace("> 10000.00", "> 20000.00"))
    return file


def test_check_reports_a_gap_as_text_json_and_sarif(gap: Path) -> None:
    done = coe("decision", "check", gap)
    assert done.exit_code == 1
    assert done.output.startswith(f"{gap}:8:1: error DEC010: no rule for amount")
    [problem] = json.loads(coe("decision", "check", gap, "--output", "json").output)
    assert list(problem) == [
        "file", "line", "column", "code", "severity", "message", "path", "help",
    ]  # fmt: skip
    [run] = json.loads(coe("decision", "check", gap, "--output", "sarif").output)["runs"]
    assert run["tool"]["driver"]["name"] == "coe decision check"
    assert run["results"][0]["ruleId"] == "DEC010"


def test_check_of_a_folder_takes_its_tables_and_leaves_their_tests() -> None:
    done = coe("decision", "check", SHIPPED)
    assert (done.exit_code, done.output) == (0, "")
    assert coe("decision", "check", SHIPPED / "nothing").exit_code != 0


def test_try_prints_the_outputs_and_the_rule() -> None:
    case = '{"amount": "2600.00", "kind": "services"}'
    table = SHIPPED / "purchase-approval.yaml"
    done = coe("decision", "try", table, stdin=case)
    assert done.output == (
        'level: "finance"\nby large-services of finance/purchase-approval@1.0.0\n'
    )
    whole = json.loads(coe("decision", "try", table, "--output", "json", stdin=case).output)
    assert whole["rules"] == ["large-services"]
    assert coe("decision", "try", table, stdin='{"amount": "x"}').exit_code == 1
    large = coe("decision", "try", table, stdin=f'{{"amount": {2**64}, "kind": "goods"}}')
    assert large.exit_code == 2
    assert "stdin cannot be read. A whole number has more than 64 bits" in large.stderr


def test_test_fails_for_a_rule_that_never_fires(tmp_path: Path) -> None:
    passed = coe("decision", "test", SHIPPED)
    assert passed.exit_code == 0, passed.output
    assert "5 of 5 rules fired" in passed.output
    (tmp_path / "a.yaml").write_text(APPROVAL)
    (tmp_path / "tests.yaml").write_text(
        "tests: [{name: one, input: {amount: 1, customer: {segment: private}},"
        " expect: {rules: [small]}}]"
    )
    failed = coe("decision", "test", tmp_path)
    assert failed.exit_code == 1
    assert "no test lets `large` fire" in failed.output
    [result] = json.loads(coe("decision", "test", tmp_path, "--output", "json").output)
    assert result["tables"][0]["unfired"] == ["business", "private", "large"]


FLOW = """\
document: {dsl: 1.0.3, namespace: finance, name: ask, version: 1.0.0}
do:
  - decide:
      call: decision:1@default
      with: {ref: REF, input: "${ . }"}
"""


def tried(tmp_path: Path, ref: str, *more: object) -> dict[str, Any]:
    file = tmp_path / "flow.yaml"
    file.write_text(FLOW.replace("REF", ref))
    case = tmp_path / "case.json"
    case.write_text('{"amount": 600, "customer": {"segment": "private"}}')
    done = coe("flow", "try", file, "--input", case, "--output", "json", *more)
    answer: dict[str, Any] = json.loads(done.output)
    return answer


def test_a_trial_of_a_flow_uses_the_tables_in_files(tmp_path: Path) -> None:
    folder = tmp_path / "catalog" / "decisions"
    folder.mkdir(parents=True)
    (folder / "one.yaml").write_text(APPROVAL)
    newer = APPROVAL.replace("version: 1.0.0", "version: 1.2.0").replace(
        "segment: private}, then: {level: finance}", "segment: private}, then: {level: board}"
    )
    (folder / "two.yaml").write_text(newer)
    (folder / "three.yaml").write_text(newer.replace("version: 1.2.0", "version: 2.0.0-rc.1"))
    for ref, version, level in (
        ("finance/approval-level@1.0.0", "1.0.0", "finance"),
        ("finance/approval-level@^1", "1.2.0", "board"),
        ("finance/approval-level@~1.0", "1.0.0", "finance"),
    ):
        answer = tried(tmp_path, ref)
        assert answer["state"] == "COMPLETED"
        assert answer["output"]["decision"] == f"finance/approval-level@{version}"
        assert (answer["output"]["level"], answer["output"]["rules"]) == (level, ["private"])
    missing = tried(tmp_path, "finance/approval-level@^3")
    assert missing["error"]["type"].endswith("/configuration")
    elsewhere = tried(tmp_path, "finance/approval-level@^1", "--decisions", SHIPPED)
    assert elsewhere["state"] == "FAULTED"
    stub = tmp_path / "stub.yaml"
    stub.write_text("decide: {output: {level: none}}")
    stubbed = tried(tmp_path, "finance/approval-level@^3", "--stub", stub)
    assert stubbed["output"] == {"level": "none"}


def test_a_refused_input_faults_the_trial_of_a_flow(tmp_path: Path) -> None:
    answer = tried(tmp_path, "finance/purchase-approval@^1", "--decisions", SHIPPED)
    assert answer["error"]["type"].endswith("/validation")
    assert "/kind: the input `kind` is missing" in answer["error"]["detail"]
