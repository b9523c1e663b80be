"""`coe flow test`: its output as text, JSON and JUnit XML, and its exit codes."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from coe import content
from coe.cli.main import cli

ROOT = content.root()
FLOW = """\
document: {dsl: 1.0.3, namespace: sales, name: decide, version: 1.0.0}
do:
  - ask:
      call: humanTask:1@default
      with:
        title: Decide
        candidates: {roles: [finance/finance-approver]}
        outcomes: [approved, rejected]
  - done:
      set: {outcome: '${ .outcome }'}
"""
APPROVED = """
- name: it is approved
  stubs: {ask: {outcome: approved}}
  expect: {output: {outcome: approved}}
"""
REJECTED = APPROVED.replace("approved", "rejected")
WRONG = """
- name: it is <wrong>
  stubs: {ask: {outcome: rejected}}
  expect: {path: [ask, do], output: {outcome: approved}}
"""


def coe(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(each) for each in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flow.yaml").write_text(FLOW)
    return tmp_path


def write(folder: Path, *tests: str) -> None:
    text = "tests:\n" + textwrap.indent("".join(tests), "  ")
    (folder / "tests.yaml").write_text(text)


def junit(folder: Path) -> ET.Element:
    done = coe("flow", "test", folder, "--output", "junit")
    return ET.fromstring(done.output)  # noqa: S314 - we wrote it


def test_all_that_is_shipped_passes_and_is_covered() -> None:
    done = coe("flow", "test", ROOT / "templates", ROOT / "flows", "--output", "json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.output)
    assert result["passed"]
    assert result["tests"] > 70
    assert len(result["suites"]) == 5
    for suite in result["suites"]:
        assert suite["coverage"]["branches"]["percent"] == 100
        assert suite["coverage"]["steps"]["percent"] == 100


def test_people_see_what_passed_and_what_was_missed(folder: Path) -> None:
    write(folder, APPROVED)
    done = coe("flow", "test", folder)
    assert done.exit_code == 1
    assert "  passed  it is approved\n" in done.output
    assert "  branches 1/2 (50 %), steps 2/2 (100 %)\n" in done.output
    missed = "missed: ask is answered rejected; `ask: {outcome: rejected}`"
    assert f"  {folder}/flow.yaml:8:30: {missed}" in done.output
    assert f"{folder}/tests.yaml: error COE060: the tests reach 50 % of the branches" in done.output
    write(folder, APPROVED, REJECTED)
    done = coe("flow", "test", folder)
    assert done.exit_code == 0, done.output
    assert "2 passed, 0 failed in " in done.output
    assert done.output.endswith("; branches 2/2\n")


def test_people_see_what_differs_and_where(folder: Path) -> None:
    write(folder, APPROVED.replace("it is approved", "fine"), WRONG.replace(" do]", " done]"))
    done = coe("flow", "test", folder)
    assert done.exit_code == 1
    assert f"  FAILED  it is <wrong>  ({folder}/tests.yaml:7:5)\n" in done.output
    assert '          9: output.outcome: expected "approved", found "rejected"\n' in done.output
    assert "1 passed, 1 failed" in done.output


def test_a_name_chooses_tests_and_nothing_is_held_to_the_bound(folder: Path) -> None:
    write(folder, APPROVED, REJECTED)
    done = coe("flow", "test", folder, "--case", "REJECTED")
    assert done.exit_code == 0, done.output
    assert "it is rejected" in done.output
    assert "it is approved" not in done.output
    assert "branches" not in done.output
    assert coe("flow", "test", folder, "--case", "nobody").exit_code == 2


def test_the_standards_set_the_bound(folder: Path) -> None:
    write(folder, APPROVED)
    standards = folder / "own.yaml"
    text = "standards: {COE060: {title: T, why: W, severity: %s, options: {minimum: %d}}}"
    for severity, minimum, code in (("ERROR", 50, 0), ("ERROR", 51, 1), ("WARNING", 100, 0)):
        standards.write_text(text % (severity, minimum))
        done = coe("flow", "test", folder, "--standards", standards)
        assert done.exit_code == code, done.output
        assert ("COE060" in done.output) is (minimum > 50)
    standards.write_text("standards: {}")
    assert coe("flow", "test", folder, "--standards", standards).exit_code == 0
    standards.write_text("standard: {}")
    done = coe("flow", "test", folder, "--standards", standards)
    assert done.exit_code != 0


def test_a_folder_without_tests_gets_advice(folder: Path) -> None:
    done = coe("flow", "test", folder)
    assert done.exit_code == 1
    assert "there is no tests.yaml" in done.output
    assert "expect: {state: COMPLETED" in done.output


def test_a_folder_without_flows_is_wrong_usage(tmp_path: Path) -> None:
    done = coe("flow", "test", tmp_path)
    assert done.exit_code == 2
    assert "no definition (`document` and `do`) at or below it" in done.output


def test_problems_of_a_suite_are_located(folder: Path) -> None:
    write(folder, APPROVED.replace("stubs:", "stub:"), REJECTED.replace("ask:", "asks:"))
    done = coe("flow", "test", folder)
    assert done.exit_code == 1
    assert f"{folder}/tests.yaml:4:5: error OWS010: unknown key `stub`, did you mean" in done.output
    write(folder, APPROVED, REJECTED.replace("ask:", "asks:"))
    done = coe("flow", "test", folder)
    assert "there is no step `asks`, did you mean `ask`?" in done.output


def test_programs_get_one_object(folder: Path) -> None:
    write(folder, APPROVED, WRONG.replace(" do]", " done]"))
    done = coe("flow", "test", folder, "--output", "json")
    assert done.exit_code == 1
    result: dict[str, Any] = json.loads(done.output)
    assert {key: result[key] for key in ("passed", "tests", "failed")} == {
        "passed": False,
        "tests": 2,
        "failed": 1,
    }
    [suite] = result["suites"]
    assert set(suite) == {"folder", "passed", "problems", "tests", "coverage"}
    right, wrong = suite["tests"]
    assert right == {
        "name": "it is approved",
        "file": f"{folder}/tests.yaml",
        "line": 3,
        "column": 5,
        "passed": True,
        "state": "COMPLETED",
        "seconds": right["seconds"],
        "failures": [],
    }
    assert wrong["failures"] == [
        {
            "message": 'output.outcome: expected "approved", found "rejected"',
            "path": "/tests/1/expect/output",
            "line": 9,
            "column": 33,
        }
    ]
    assert suite["coverage"]["branches"] == {
        "covered": 2,
        "total": 2,
        "percent": 100.0,
        "missed": [],
    }
    assert suite["problems"] == []


def test_programs_get_what_was_missed(folder: Path) -> None:
    write(folder, APPROVED)
    [suite] = json.loads(coe("flow", "test", folder, "--output", "json").output)["suites"]
    assert suite["coverage"]["branches"]["missed"] == [
        {
            "step": "ask",
            "path": "/do/0/ask/with/outcomes/1",
            "file": f"{folder}/flow.yaml",
            "line": 8,
            "column": 30,
            "way": "is answered rejected",
            "how": "`ask: {outcome: rejected}`",
        }
    ]
    assert [(each["code"], each["severity"]) for each in suite["problems"]] == [("COE060", "ERROR")]


def test_build_servers_get_junit(folder: Path) -> None:
    write(folder, WRONG.replace(" do]", " done]"))
    root = junit(folder)
    assert root.tag == "testsuites"
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "2", "0")
    [suite] = root
    case, coverage = suite
    assert case.get("name") == "it is <wrong>"
    assert case.get("file") == f"{folder}/tests.yaml"
    assert case.get("line") == "3"
    [failure] = case
    assert "expected" in str(failure.get("message"))
    assert coverage.get("name") == "coverage"
    assert "50 %" in str(coverage[0].get("message"))
    write(folder, APPROVED.replace("stubs:", "stub:"))
    root = junit(folder)
    assert (root.get("tests"), root.get("errors")) == ("1", "1")


# ---------------------------------------------------------------- other file names
PLAIN = """
document: {{dsl: 1.0.3, namespace: sales, name: {name}, version: 1.0.0}}
do:
  - a: {{set: {{x: 1}}}}
"""
PASSES = "tests: [{name: it ends, expect: {state: COMPLETED, output: {x: 1}}}]\n"
FAILS = "tests: [{name: it faults, expect: {state: FAULTED}}]\n"


def test_files_of_any_names_are_tested(tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    for file, text in {
        alone / "order process.yaml": PLAIN.format(name="one"),
        alone / "tests.yaml": PASSES,
        alone / "notes.yaml": "hello: world\n",
        shared / "flow.yaml": PLAIN.format(name="two"),
        shared / "tests.yaml": PASSES,
        shared / "other.yml": PLAIN.format(name="three"),
        shared / "other.tests.yaml": FAILS,
        shared / "untested.yaml": PLAIN.format(name="four"),
    }.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    done = json.loads(coe("flow", "test", tmp_path, "--output", "json").stdout)
    found = {
        (suite["folder"], case["file"], case["name"], case["passed"])
        for suite in done["suites"]
        for case in suite["tests"]
    }
    assert found == {
        (str(alone), str(alone / "tests.yaml"), "it ends", True),
        (str(shared), str(shared / "tests.yaml"), "it ends", True),
        (str(shared), str(shared / "other.tests.yaml"), "it faults", False),
    }
    [problem] = [each for suite in done["suites"] for each in suite["problems"]]
    assert problem["file"] == str(shared / "untested.tests.yaml")
    assert problem["message"] == "there is no untested.tests.yaml"
    assert "write untested.tests.yaml beside untested.yaml" in problem["help"]
    one = coe("flow", "test", shared / "other.yml")
    assert f"FAILED  it faults  ({shared / 'other.tests.yaml'}:1:" in one.output
    assert "it ends" not in one.output
    assert coe("flow", "test", alone / "notes.yaml").exit_code == 2
