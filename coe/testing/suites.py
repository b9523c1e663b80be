"""Tests of a process as data: `tests.yaml` beside a definition, and the verdict on a simulated run.

    defaults: {stubs: {…}}                           # for each test that does not say otherwise
    tests:
      - name: a small order needs no approval
        parameters: {limit: "100"}                   # of a template: what it is rendered with
        input: {amount: 20}
        stubs: {reserve: {output: {ok: true}}}       # as in coe.testing.run_definition
        events: []
        facts: [{after: PT1H, kind: RUN_CANCELLED}]  # what else is put into the journal, and when
        now: 2026-01-05T09:00:00Z
        secrets: {}
        expect: {…}

`expect` may have: `state`; `output` (equal), `outputIncludes` (the members given are equal) and
`outputSchema`; `error` (the members given are equal); `path` (the names of the steps in the order
of their start, with `{atOnce: [[…], …]}` where branches run at once); `steps` (those named are as
given: `{name: {state, attempt, iteration, at, took, …}}`, of several executions the last, or a list
of all); `calls` (what was asked of the outside, in order: `{name, arguments, at, due}`, the members
given are equal); `called` (`{name: how often}`, or a list of arguments); `events` (what was
emitted, in order, the members given are equal); `waiting` (names of what is waited for); `took` (a
duration). Times count from the start of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from coe.json_types import JSON
from coe.language.durations import parse
from coe.language.model.definition import Definition
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import EvaluateJq
from coe.testing.cases import START, Case, Trace
from coe.testing.compare import Difference
from coe.testing.expectations import differences
from coe.testing.run_definition import Carry, simulate

__all__ = ["Difference", "Verdict", "case_of", "differences", "judge"]

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
class Verdict:
    """How a test went: nothing in `differences`, if all was as expected."""

    name: str
    differences: tuple[Difference, ...]
    trace: Trace


async def judge(
    definition: Definition,
    test: Mapping[str, JSON],
    evaluate: EvaluateJq,
    *,
    carry: Carry | None = None,
) -> Verdict:
    """Run one test of a definition; `carry` carries out calls for which it has no stub.

    An answer that nobody could have given is a difference too.

    Raises:
        ValueError: the test says or expects something that cannot be.
    """
    case = case_of(test)
    trace = await simulate(definition, case, evaluate, carry=carry)
    found = [Difference(each, "/stubs") for each in trace.mistakes]
    found += differences(_object(test.get("expect")), trace, case)
    return Verdict(str(test.get("name")), tuple(found), trace)


def case_of(test: Mapping[str, JSON]) -> Case:
    """The simulated run that one test describes.

    Raises:
        ValueError: it has a key that tests do not have, or a time that is none.
    """
    if unknown := test.keys() - _KEYS:
        raise ValueError(f"a test has no `{min(unknown)}`")
    now = datetime.fromisoformat(str(test["now"])) if "now" in test else START
    return Case(
        input=test.get("input"),
        stubs=_object(test.get("stubs")),
        events=[_object(event) for event in _list(test.get("events"))],
        facts=[_fact(_object(fact), now) for fact in _list(test.get("facts"))],
        now=now,
        secrets=_object(test.get("secrets")),
        flows={ref: str(exact) for ref, exact in _object(test.get("flows")).items()},
    )


def _fact(given: Mapping[str, JSON], now: datetime) -> Fact:
    at = now + parse(given.get("after", "PT0S")).timedelta
    return Fact(FactKind(str(given["kind"])), at, str(given.get("key", "")), given.get("data"))


def _object(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []
