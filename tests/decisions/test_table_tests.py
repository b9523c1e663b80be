"""Tests of decision tables: what fails, what was never result, and what is no test."""

from __future__ import annotations

from coe.decisions.table_tests import run_tests
from tests.factories.decision_tables import APPROVAL

GOOD = """\
tests:
  - {name: small, input: &one {amount: 5, customer: {segment: private}}, expect: {rules: [small]}}
  - name: business
    input: {amount: "600.00", customer: {segment: business}}
    expect: {output: {level: none}, rules: [business]}
  - {name: private, input: {amount: 600, customer: {segment: private}}, expect: {rules: [private]}}
  - {name: large, input: {amount: 10001, customer: {segment: private}}, expect: {rules: [large]}}
  - {name: bad, input: {amount: 5}, expect: {fault: input, problems: [{path: /customer/segment}]}}
"""


def test_a_table_whose_rules_all_fire_passes() -> None:
    [result], problems = run_tests({"a.yaml": APPROVAL, "tests.yaml": GOOD, "more.yaml": "x: 1"})
    assert problems == ()
    assert result.passed
    assert [case.line for case in result.cases] == [2, 3, 6, 7, 8]


def test_a_rule_that_fires_in_no_test_is_reported() -> None:
    [result], _ = run_tests({"a.yaml": APPROVAL, "tests.yaml": GOOD.replace("10001", "5")})
    assert result.unfired == ("large",)
    assert not result.passed


def test_the_default_is_to_be_result_too() -> None:
    text = APPROVAL.replace("> 10000.00", "> 20000.00") + "default: {level: board}\n"
    [result], _ = run_tests({"a.yaml": text, "tests.yaml": GOOD.replace("10001", "20001")})
    assert result.unfired == ("default",)


def test_a_difference_is_reported_with_what_was_found() -> None:
    wrong = GOOD.replace("expect: {rules: [private]}", "expect: {output: {level: none}}")
    [result], _ = run_tests({"a.yaml": APPROVAL, "tests.yaml": wrong})
    [failed] = [case for case in result.cases if case.failures]
    assert failed.name == "private"
    assert failed.failures == ("output: expected {'level': 'none'}, found {'level': 'finance'}",)
    fault = GOOD.replace("{fault: input, problems: [{path: /customer/segment}]}", "{rules: []}")
    [result], _ = run_tests({"a.yaml": APPROVAL, "tests.yaml": fault})
    [failed] = [case for case in result.cases if case.failures]
    assert "`segment` is missing" in failed.failures[0]


def test_an_invalid_test_is_reported_with_its_place() -> None:
    broken = GOOD.replace("name: business\n", "name: business\n    inptu: {}\n")
    _, [problem] = run_tests({"a.yaml": APPROVAL, "tests.yaml": broken})
    assert (problem.line, problem.message) == (4, "a test has no `inptu`, did you mean `input`?")
    for text, expected in (
        (GOOD.replace("{rules: [small]}", "{ruels: [small]}"), "did you mean `rules`?"),
        (GOOD.replace("expect: {rules: [small]}", "expect: {}"), "what to `expect`"),
        (GOOD.replace("name: small,", "name: small, decision: b.yaml,"), "no table `b.yaml`"),
        ("tests: {}", "has a list `tests`"),
        ("tests: [1]", "a test is an object"),
    ):
        _, problems = run_tests({"a.yaml": APPROVAL, "tests.yaml": text})
        assert expected in problems[0].message
    two = {"a.yaml": APPROVAL, "c.yaml": APPROVAL, "tests.yaml": GOOD}
    assert "does not name its `decision`" in run_tests(two)[1][0].message
