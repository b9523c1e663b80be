"""Decision tables for tests: a complete document around the part that a test is about."""

from __future__ import annotations

import textwrap

from coe.decisions.load import load_decision, load_decision_source
from coe.decisions.table import DecisionTable
from coe.language.source import read

HEAD = """\
decision: {namespace: finance, name: approval-level, version: 1.0.0, title: Approval level}
"""
APPROVAL = (
    HEAD
    + """\
hitPolicy: unique
inputs:
  - {name: amount, type: number, minimum: 0, decimals: 2}
  - {name: segment, type: string, enum: [business, private], from: /customer/segment}
outputs:
  - {name: level, type: string, enum: [none, finance, board]}
rules:
  - {id: small, when: {amount: "<= 500.00"}, then: {level: none}}
  - {id: business, when: {amount: "(500.00..10000.00]", segment: business}, then: {level: none}}
  - {id: private, when: {amount: "(500.00..10000.00]", segment: private}, then: {level: finance}}
  - {id: large, when: {amount: "> 10000.00"}, then: {level: board}, because: The board signs.}
"""
)


def document(rest: str, *, policy: str = "unique") -> str:
    return f"{HEAD}hitPolicy: {policy}\n{textwrap.dedent(rest)}"


def table(text: str) -> DecisionTable:
    """A table that must have no errors."""
    loaded = load_decision(text)
    assert loaded.table is not None, loaded.problems
    return loaded.table


def unchecked(text: str) -> DecisionTable:
    """A table whose gaps and overlaps are not looked for."""
    loaded = load_decision_source(read(text), whole=False)
    assert loaded.table is not None, loaded.problems
    return loaded.table
