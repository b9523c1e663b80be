"""A limit for each retry does not limit the first execution (OWS025)."""

from __future__ import annotations

import pytest

from coe.errors import Severity
from coe.language.lint import NO_STANDARDS, lint
from coe.language.load import load

HEAD = "document: {dsl: 1.0.3, namespace: sales, name: ask, version: 1.0.0}\n"
CALL = "{call: http, with: {method: get, endpoint: https://a.example}MORE}"
FLOW = """
use: {timeouts: {short: {after: PT1M}}, retries: {named: {limit: {attempt: {duration: PT5S}}}}}
TOP
do:
  - t:
      try: [{get: CALL}]
      catch: {retry: POLICY}
      MORE
"""
LIMITED = "{limit: {attempt: {count: 2, duration: PT5S}}}"


def found(policy: str, *, call: str = "", task: str = "", flow: str = "") -> list[str | None]:
    text = HEAD + FLOW.replace("CALL", CALL.replace("MORE", call)).replace("POLICY", policy)
    loaded = load(text.replace("MORE", task).replace("TOP", flow))
    assert loaded.definition is not None, loaded.problems
    problems = lint(loaded.definition, standards=NO_STANDARDS)
    assert all(each.severity is Severity.INFO for each in problems if each.code == "OWS025")
    return [each.path for each in problems if each.code == "OWS025"]


@pytest.mark.parametrize("policy", [LIMITED, "named"])
def test_a_first_execution_without_a_limit_is_told(policy: str) -> None:
    assert found(policy) == ["/do/0/t/catch/retry"]


@pytest.mark.parametrize(
    "more",
    [
        {"call": ", timeout: {after: PT5S}"},
        {"call": ", timeout: short"},
        {"call": ", timeout: {after: '${ .limit }'}"},
        {"task": "timeout: {after: '${ .limit }'}"},
        {"task": "timeout: {after: PT1M}"},
        {"flow": "timeout: {after: PT1H}"},
    ],
)
def test_a_limit_of_any_kind_is_enough(more: dict[str, str]) -> None:
    assert found(LIMITED, **more) == []


def test_without_a_limit_of_a_retry_nothing_is_told() -> None:
    assert found("{limit: {attempt: {count: 2}}}") == []
