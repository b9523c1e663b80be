"""Answers in a suite that no run asks for."""

from __future__ import annotations

import textwrap

from coe.errors import Severity
from coe.language.expressions.evaluator import Expressions
from coe.language.lint.standards import NO_STANDARDS
from coe.testing.run_suite import SuiteResult, run_suite

FLOW = """
document: {dsl: 1.0.3, namespace: sales, name: lend, version: 1.0.0}
do:
  - readRating:
      call: http
      with: {method: get, endpoint: https://erp.example/rating}
  - choose:
      switch:
        - good: {when: .rating == "A", then: end}
        - other: {then: ask}
  - ask:
      call: humanTask:1@default
      with: {title: Lend it?, candidates: {roles: [lender]}, outcomes: [lend, refuse]}
"""


async def run(files: dict[str, str]) -> SuiteResult:
    async with Expressions(workers=1) as expressions:
        return await run_suite(files, expressions.evaluate, standards=NO_STANDARDS)


def told(result: SuiteResult) -> list[str]:
    return [
        f"{each.file}:{each.problem.line}:{each.problem.column} {each.problem.message}"
        for each in result.problems
    ]


async def test_an_answer_that_no_run_asks_for_is_a_warning() -> None:
    suite = textwrap.dedent(
        """\
        defaults:
          stubs:
            readRating: {output: {rating: A}}
            ask: {outcome: lend}
        tests:
          - name: by the defaults
            expect: {state: COMPLETED}
          - name: too many
            stubs:
              readRating: [{output: {rating: A}}, {output: {rating: A}}]
              ask: {outcome: refuse}
            expect: {state: COMPLETED}
          - name: a failed test says nothing of its answers
            stubs: {readRating: {output: {rating: A}}, ask: {outcome: lend}}
            expect: {state: FAULTED}
        """
    )
    files = {"flow.yaml": FLOW, "tests.yaml": suite}
    result = await run(files)
    assert told(result) == [
        "tests.yaml:10:7 the run asks for 1 of the 2 answers of `readRating`",
        "tests.yaml:11:7 the run never asks for the answer of `ask`",
    ]
    assert {each.problem.severity for each in result.problems} == {Severity.WARNING}
    files["tests.yaml"] = suite.partition("  - name: too many")[0]
    result = await run(files)
    assert told(result) == ["tests.yaml:4:5 no test asks for the answer of `ask`"]
    assert result.passed
