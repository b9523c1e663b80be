"""Tests of a process as data: `tests.yaml` beside a definition, and the verdict on a simulated run.

    tests:
      - name: a small order needs no approval
        parameters: {limit: "100"}                   # of a template: what it is rendered with
        input: {amount: 20}
        stubs: {reserve: {output: {ok: true}}}      # as in coe.runs.testing
        events: []
        facts: [{after: PT1H, kind: RUN_CANCELLED}]  # what else is put into the journal, and when
        now: 2026-01-05T09:00:00Z
        secrets: {}
        expect: {…}

`expect` may have: `state`; `output` (equal); `error` (the members given are equal); `path` (the
names of the steps in the order of their start); `steps` (those named are as given: `{name: {state,
attempt, iteration, …}}`, of several executions the last); `calls` (what was asked of the outside,
in order: `{name, arguments}`, the members given are equal); `events` (what was emitted, in order,
the members given are equal); `waiting` (names of what is waited for); `took` (a duration).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from coe.language.durations import parse
from coe.language.fields import JSON
from coe.language.model import Definition
from coe.language.source import read
from coe.runs.commands import AwaitEvent, EmitEvent, OpenHumanTask, RunLeaf, StartChild, StepChange
from coe.runs.facts import Fact, FactKind
from coe.runs.machine import Evaluate
from coe.runs.testing import simulate
from coe.runs.testing_cases import START, Case, Trace

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
_EXPECTED: Final = frozenset(
    {"state", "output", "error", "path", "steps", "calls", "events", "waiting", "took"}
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a test went: nothing in `differences`, if all was as expected."""

    name: str
    differences: tuple[str, ...]
    trace: Trace


def read_suite(text: str, *, file: str | None = None) -> list[dict[str, JSON]]:
    """The tests of a `tests.yaml`.

    Raises:
        ValueError: it holds no list of tests.
    """
    data = read(text, file=file).data
    tests = data.get("tests") if isinstance(data, dict) else None
    if not isinstance(tests, list):
        raise ValueError("a file of tests has a list `tests`")  # noqa: TRY004 - a bad document
    return [test for test in tests if isinstance(test, dict)]


async def judge(definition: Definition, test: Mapping[str, JSON], evaluate: Evaluate) -> Verdict:
    """Run one test of a definition.

    Raises:
        ValueError: the test says or expects something that cannot be.
    """
    case = case_of(test)
    trace = await simulate(definition, case, evaluate)
    found = differences(_object(test.get("expect")), trace, case)
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


def differences(expect: Mapping[str, JSON], trace: Trace, case: Case) -> list[str]:
    """How a simulated run differs from what is expected; nothing, if it is as expected.

    Raises:
        ValueError: something is expected that cannot be.
    """
    if unknown := expect.keys() - _EXPECTED:
        raise ValueError(f"a test can expect no `{min(unknown)}`")
    return [line for name, wanted in expect.items() for line in _differs(name, wanted, trace, case)]


def _differs(name: str, wanted: JSON, trace: Trace, case: Case) -> Iterator[str]:
    match name:
        case "error" | "calls" | "events" | "steps":
            found = {"calls": _calls, "events": _emitted, "steps": _steps, "error": _error}[name]
            yield from _within(wanted, found(trace), name)
        case "took":
            if parse(wanted).timedelta != trace.ended_at - case.now:
                yield f"took: expected {wanted}, it took {trace.ended_at - case.now}"
        case _:
            values: dict[str, JSON] = {
                "state": trace.state,
                "output": trace.output,
                "path": list(trace.path),
                "waiting": [command.name for command in trace.waiting],
            }
            if values[name] != wanted:
                yield f"{name}: expected {wanted}, found {values[name]}"


def _within(wanted: JSON, found: JSON, place: str) -> Iterator[str]:
    """Differences in what is given; members that are not mentioned may be anything."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name, value in wanted.items():
            yield from _within(value, found.get(name), f"{place}.{name}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from _within(one, other, f"{place}[{index}]")
    elif wanted != found:
        yield f"{place}: expected {wanted}, found {found}"


def _error(trace: Trace) -> JSON:
    return trace.error


def _emitted(trace: Trace) -> JSON:
    return list(trace.events)


def _calls(trace: Trace) -> JSON:
    return [
        {"name": command.name, "arguments": _arguments(command)}
        for command in trace.commands
        if isinstance(command, RunLeaf | OpenHumanTask | StartChild | AwaitEvent | EmitEvent)
    ]


def _arguments(command: RunLeaf | OpenHumanTask | StartChild | AwaitEvent | EmitEvent) -> JSON:
    match command:
        case StartChild():
            return {
                "flow": command.flow,
                "input": command.input,
                "local": command.local,
                "wait": command.wait,
            }
        case AwaitEvent():
            return {"types": None if command.types is None else list(command.types)}
        case EmitEvent():
            return dict(command.event)
        case _:
            return command.arguments


def _steps(trace: Trace) -> JSON:
    return {step.name: _step(step) for step in trace.steps}


def _step(step: StepChange) -> JSON:
    return {
        "path": step.path,
        "kind": step.kind,
        "state": step.state.value,
        "attempt": step.attempt,
        "iteration": step.iteration,
        "error": None if step.error is None else dict(step.error),
    }


def _object(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []
