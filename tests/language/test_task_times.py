"""The times of human tasks: what leaves whom it asks no time is told."""

from __future__ import annotations

import pytest

from coe.errors import Severity
from coe.language.lint import NO_STANDARDS, lint
from coe.language.load import load

FLOW = """
document: {{dsl: 1.0.3, namespace: sales, name: asks, version: 1.0.0}}
do:
  - ask:
      call: humanTask:1@default
      with: {{title: T, candidates: {{roles: [lead]}}, {times}}}
"""
LATE = "this stage fires at PT3M, after `dueIn: PT2M`: the timeout waits for it"
SAME = "this stage fires with `dueIn: PT2M`, when the task times out"


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ("dueIn: PT2M, escalate: [{after: PT1M, to: lead}]", []),
        ("dueIn: PT2M, escalate: [{after: PT3M, to: a/b}, {after: PT1M, to: c}]", [(0, LATE)]),
        (
            "dueIn: PT2M, escalate: [{after: PT1M, to: a}, {after: {minutes: 2}, to: b}]",
            [(1, SAME)],
        ),
        ("escalate: [{after: PT3M, to: lead}]", []),
        ("dueIn: '${ .due }', escalate: [{after: PT3M, to: lead}]", []),
        ("dueIn: PT2M, escalate: [{after: '${ .later }', to: lead}]", []),
        ("dueIn: PT2M, escalate: '${ .chain }'", []),
    ],
)
def test_a_stage_that_is_not_before_the_due_time_is_told(
    times: str, told: list[tuple[int, str]]
) -> None:
    definition = load(FLOW.format(times=times)).definition
    assert definition is not None
    found = lint(definition, standards=NO_STANDARDS)
    assert [(each.code, each.severity, each.path, each.message) for each in found] == [
        ("OWS058", Severity.INFO, f"/do/0/ask/with/escalate/{index}/after", message)
        for index, message in told
    ]
