"""The report of `coe flow test` as text for people, JSON for programs, JUnit XML for CI servers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from xml.etree import ElementTree as ET  # it writes, and parses nothing

from coe.cli.flow.suite_files import SuiteFiles
from coe.cli.flow.suites import SuitesReport
from coe.cli.output import problem_fields, problem_line
from coe.errors import Problem, Severity
from coe.language.branches import Branch, ReachableStep
from coe.templates.manifest import FLOW, TESTS
from coe.testing.coverage import CoverageResult
from coe.testing.run_suite import CaseResult, SuiteResult

# Characters that XML 1.0 does not allow.
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


# ---------------------------------------------------------------- text
def as_text(report: SuitesReport) -> str:
    """Format each suite with its tests and its coverage, and a summary at the end."""
    lines = [line for folder, suite in report.suites for line in _suite_lines(folder, suite)]
    rate = f"{report.cases / report.seconds:,.0f} a second" if report.seconds else ""
    passed = report.cases - report.failed
    summary = f"{passed} passed, {report.failed} failed in {report.seconds * 1000:,.0f} ms ({rate})"
    covered = [suite.covered for _, suite in report.suites if suite.covered]
    if covered:
        total = sum(each.branches for each in covered)
        missed = sum(len(each.missed_branches) for each in covered)
        summary += f"; branches {total - missed}/{total}"
    return "\n".join([*lines, summary]) + "\n"


def _suite_lines(folder: SuiteFiles, suite: SuiteResult) -> Iterator[str]:
    if suite.cases or suite.problems:
        yield str(folder)
    for case in suite.cases:
        yield from _case_lines(folder, case)
    if suite.covered is not None:
        yield from _coverage_lines(folder, suite.covered)
    for each in suite.problems:
        line = problem_line(each.problem, folder.file(each.file))
        yield "  " + line.replace("\n", "\n    ")


def _case_lines(folder: SuiteFiles, case: CaseResult) -> Iterator[str]:
    if not case.failures:
        yield f"  passed  {case.name}"
        return
    yield f"  FAILED  {case.name}  ({folder.file(TESTS)}:{case.line}:{case.column})"
    for failure in case.failures:
        first, *rest = failure.message.splitlines()
        yield f"          {failure.line}: {first}"
        yield from (f"          {line}" for line in rest)


def _coverage_lines(folder: SuiteFiles, covered: CoverageResult) -> Iterator[str]:
    branches = covered.branches - len(covered.missed_branches)
    steps = covered.steps - len(covered.missed_steps)
    yield (
        f"  branches {branches}/{covered.branches} ({covered.percent:g} %), "
        f"steps {steps}/{covered.steps} ({covered.percent_of_steps:g} %)"
    )
    for step in covered.missed_steps:
        yield f"  {_place(folder, step)}: missed: {step.name} is never reached"
    for branch in covered.missed_branches:
        yield f"  {_place(folder, branch)}: missed: {branch}; {branch.how}"


def _place(folder: SuiteFiles, step: ReachableStep) -> str:
    parts = (folder.file(FLOW), step.line, step.column)
    return ":".join(str(part) for part in parts if part is not None)


# ---------------------------------------------------------------- JSON
def as_object(report: SuitesReport) -> dict[str, Any]:
    """The object of the JSON output; docs/testing-processes.md documents its shape."""
    return {
        "passed": report.passed,
        "tests": report.cases,
        "failed": report.failed,
        "seconds": round(report.seconds, 6),
        "suites": [_suite_object(folder, suite) for folder, suite in report.suites],
    }


def _suite_object(folder: SuiteFiles, suite: SuiteResult) -> dict[str, Any]:
    covered = suite.covered
    return {
        "folder": str(folder.folder),
        "passed": suite.passed,
        "problems": [
            {"file": folder.file(each.file), **problem_fields(each.problem)}
            for each in suite.problems
        ],
        "tests": [_case_object(folder, case) for case in suite.cases],
        "coverage": None
        if covered is None
        else {
            "branches": {
                "covered": covered.branches - len(covered.missed_branches),
                "total": covered.branches,
                "percent": covered.percent,
                "missed": [_missed(folder, each) for each in covered.missed_branches],
            },
            "steps": {
                "covered": covered.steps - len(covered.missed_steps),
                "total": covered.steps,
                "percent": covered.percent_of_steps,
                "missed": [_missed(folder, each) for each in covered.missed_steps],
            },
        },
    }


def _case_object(folder: SuiteFiles, case: CaseResult) -> dict[str, Any]:
    return {
        "name": case.name,
        "file": folder.file(TESTS),
        "line": case.line,
        "column": case.column,
        "passed": not case.failures,
        "state": case.state,
        "seconds": round(case.seconds, 6),
        "failures": [
            {name: getattr(each, name) for name in ("message", "path", "line", "column")}
            for each in case.failures
        ],
    }


def _missed(folder: SuiteFiles, step: ReachableStep) -> dict[str, Any]:
    data: dict[str, Any] = {
        "step": step.name,
        "path": step.place,
        "file": folder.file(FLOW),
        "line": step.line,
        "column": step.column,
    }
    return data | ({"way": step.outcome, "how": step.how} if isinstance(step, Branch) else {})


# ---------------------------------------------------------------- JUnit
def as_junit(report: SuitesReport) -> str:
    """Format as JUnit XML: a suite for each folder; its coverage is one more test, if bounded."""
    root = ET.Element("testsuites", {"name": "coe flow test"})
    for folder, suite in report.suites:
        root.append(_suite_element(folder, suite))
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(each.get(name, 0)) for each in root)))
    root.set("time", f"{report.seconds:.6f}")
    ET.indent(root)
    text: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite_element(folder: SuiteFiles, suite: SuiteResult) -> ET.Element:
    element = ET.Element("testsuite", {"name": str(folder)})
    for case in suite.cases:
        element.append(_case_element(folder, case))
    found = [each.problem for each in suite.problems if each.problem.severity is Severity.ERROR]
    if suite.covered is not None:
        test = _test(element, folder, "coverage")
        _fail(test, "failure", found)
        printed = ET.SubElement(test, "system-out")
        printed.text = _xml("\n".join(_coverage_lines(folder, suite.covered)))
    elif found:
        _fail(_test(element, folder, suite.problems[0].file), "error", found)
    element.set("tests", str(len(element)))
    for name, tag in (("failures", "failure"), ("errors", "error")):
        element.set(name, str(sum(each.find(tag) is not None for each in element)))
    element.set("time", f"{sum(case.seconds for case in suite.cases):.6f}")
    return element


def _case_element(folder: SuiteFiles, case: CaseResult) -> ET.Element:
    given = {
        "name": _xml(case.name),
        "classname": str(folder),
        "file": folder.file(TESTS),
        "line": str(case.line or 1),
        "time": f"{case.seconds:.6f}",
    }
    element = ET.Element("testcase", given)
    _fail(element, "failure", list(case.failures))
    return element


def _test(parent: ET.Element, folder: SuiteFiles, name: str) -> ET.Element:
    file = folder.file(name if name == FLOW else TESTS)
    given = {"name": name, "classname": str(folder), "file": file, "time": "0"}
    return ET.SubElement(parent, "testcase", given)


def _fail(test: ET.Element, tag: str, problems: list[Problem]) -> None:
    if not problems:
        return
    first = problems[0].message.splitlines()[0]
    failure = ET.SubElement(test, tag, {"message": _xml(first), "type": problems[0].code})
    file = test.get("file")
    failure.text = _xml("\n".join(problem_line(each, file) for each in problems))


def _xml(text: str) -> str:
    return _NO_XML.sub("�", text)
