"""Tests of a process as data, `tests.yaml` beside a definition, and the verdict on each.

    defaults: {stubs: {…}}                           # for each test without its own
    tests:
      - name: a small order needs no approval
        parameters: {limit: "100"}                   # of a template: the rendering to test
        input: {amount: 20}
        stubs: {reserve: {output: {ok: true}}}       # as in coe.testing.run_definition
        events: []
        facts: [{after: PT1H, kind: RUN_CANCELLED}]  # further facts for the journal
        now: 2026-01-05T09:00:00Z
        secrets: {}
        expect: {…}

docs/testing-processes.md lists the keys of `expect`. Times count from the start of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from coe.formats import instants
from coe.json_types import JSON
from coe.language.durations import parse
from coe.language.model.definition import Definition
from coe.language.names.directory import NOTHING_KNOWN, KnownNames
from coe.machine.clock import later
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import EvaluateJq
from coe.testing.cases import DEFAULT_START, SimulationCase, Trace
from coe.testing.compare import Difference
from coe.testing.expectations import differences
from coe.testing.run_definition import LeafRunner, simulate

__all__ = ["CaseVerdict", "Difference", "case_of", "differences", "judge"]

_KEYS: Final = frozenset(
    {
        "name",
        "parameters",
        "input",
        "stubs",
        "events",
        "facts",
        "now",
        "secrets",
        "flows",
        "expect",
    }
)


@dataclass(frozen=True, slots=True)
class CaseVerdict:
    """The result of a test: it passed if `differences` is empty."""

    name: str
    differences: tuple[Difference, ...]
    trace: Trace


async def judge(
    definition: Definition,
    test: Mapping[str, JSON],
    evaluate: EvaluateJq,
    *,
    runner: LeafRunner | None = None,
    names: KnownNames = NOTHING_KNOWN,
) -> CaseVerdict:
    """Run one test of a definition; `runner` carries out calls that have no stub.

    `names` are those that exist: a task that asks another role faults.

    An impossible answer is a difference too, and so is a call that nothing answers.

    Raises:
        ValueError: a key, a stub, a time or an expectation of the test is invalid.
    """
    case = replace(case_of(test), names=names)
    trace = await simulate(definition, case, evaluate, runner=runner)
    found = [Difference(each, "/stubs") for each in trace.mistakes]
    found += [Difference(each, "/events") for each in trace.event_mistakes]
    found += differences(_object(test.get("expect")), trace, case)
    return CaseVerdict(str(test.get("name")), tuple(found), trace)


def case_of(test: Mapping[str, JSON]) -> SimulationCase:
    """The simulated run of a test.

    Raises:
        ValueError: the test has an unknown key or an invalid time.
    """
    if unknown := test.keys() - _KEYS:
        raise ValueError(f"a test has no `{min(unknown)}`")
    now = instants.read(str(test["now"])) if "now" in test else DEFAULT_START
    return SimulationCase(
        input=test.get("input"),
        stubs=_object(test.get("stubs")),
        events=[_object(event) for event in _list(test.get("events"))],
        facts=[_fact(_object(fact), now) for fact in _list(test.get("facts"))],
        now=now,
        secrets=_object(test.get("secrets")),
        flows={ref: str(exact) for ref, exact in _object(test.get("flows")).items()},
    )


def _fact(given: Mapping[str, JSON], now: datetime) -> Fact:
    at = later(now, parse(given.get("after", "PT0S")).timedelta)
    return Fact(FactKind(str(given["kind"])), at, str(given.get("key", "")), given.get("data"))


def _object(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []
