"""The `expect` of a test: how a simulated run differs from it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from coe.json_types import JSON
from coe.language.error_types import STATUSES, normal_type
from coe.language.json_schema.violations import violations
from coe.language.source import point
from coe.machine.commands import (
    AwaitEvent,
    Command,
    EmitEvent,
    OpenHumanTask,
    RunLeaf,
    StartChild,
    StepUpdate,
)
from coe.machine.errors import type_of
from coe.testing.cases import SimulationCase, Trace
from coe.testing.compare import (
    Difference,
    brief_json,
    duration_differences,
    iso_duration,
    member_differences,
    normalised,
    value_differences,
)
from coe.testing.paths import is_expected_path

_Request = RunLeaf | OpenHumanTask | StartChild | AwaitEvent | EmitEvent


def differences(expect: Mapping[str, JSON], trace: Trace, case: SimulationCase) -> list[Difference]:
    """The differences between a simulated run and its expectations; empty if there are none.

    Raises:
        ValueError: an expectation is unknown.
    """
    found: list[Difference] = []
    for name, wanted in expect.items():
        if name not in _CHECKS:
            raise ValueError(f"a test cannot expect `{name}`")
        found += _CHECKS[name](wanted, _ObservedRun(trace, case.now))
    return found


@dataclass(frozen=True, slots=True)
class _ObservedRun:
    """A run, and the start from which its times count."""

    trace: Trace
    since: datetime

    def offset(self, at: datetime | None) -> JSON:
        return None if at is None else iso_duration(at - self.since)


_Check = Callable[[JSON, _ObservedRun], Iterator[Difference]]


# ---------------------------------------------------------------- state and output
def _state(wanted: JSON, run: _ObservedRun) -> Iterator[Difference]:
    trace = run.trace
    if trace.state == wanted:
        return
    why = ""
    if trace.error is not None:
        parts = [trace.error.get(part) for part in ("status", "title", "detail", "instance")]
        why = ": " + ", ".join(str(part) for part in parts if part is not None)
    elif trace.waiting:
        why = ": it waits for " + ", ".join(dict.fromkeys(each.name for each in trace.waiting))
    yield Difference(f"state: expected {wanted}, found {trace.state}{why}", "/expect/state")


def _output(wanted: JSON, run: _ObservedRun) -> Iterator[Difference]:
    yield from value_differences(wanted, run.trace.output, "output", "/expect/output")


def _output_includes(wanted: JSON, run: _ObservedRun) -> Iterator[Difference]:
    yield from member_differences(wanted, run.trace.output, "output", "/expect/outputIncludes")


def _output_schema(wanted: JSON, run: _ObservedRun) -> Iterator[Difference]:
    for each in violations(wanted, run.trace.output):
        yield Difference(f"output{each.path}: {each.message}", "/expect/outputSchema")


def _error(wanted: JSON, run: _ObservedRun) -> Iterator[Difference]:
    if isinstance(wanted, dict) and "type" in wanted:
        kind = str(wanted["type"])
        wanted = wanted | {"type": type_of(kind) if kind in STATUSES else normal_type(kind)}
    yield from member_differences(wanted, run.trace.error, "error", "/expect/error")


def _took(wanted: JSON, run: _ObservedRun) -> Iterator[Difference]:
    yield from duration_differences(wanted, run.offset(run.trace.ended_at), "took", "/expect/took")


def _waiting(wanted: JSON, run: _ObservedRun) -> Iterator[Difference]:
    found: JSON = [command.name for command in run.trace.waiting]
    yield from value_differences(wanted, found, "waiting", "/expect/waiting")


# ---------------------------------------------------------------- steps
def _path(wanted: JSON, run: _ObservedRun) -> Iterator[Difference]:
    parts = wanted if isinstance(wanted, list) else []
    found = run.trace.path
    if is_expected_path(parts, found):
        return
    lines = difflib.unified_diff(_as_lines(parts), found, lineterm="", n=2)
    changed = [line for line in lines if not line.startswith(("---", "+++"))]
    shift = [
        f"  {line}" if line.startswith("@@") else f"  {line[:1]} {line[1:]}" for line in changed
    ]
    text = "\n".join(["path: - expected, + found", *(s for s in shift if "@@" not in s)])
    yield Difference(text, "/expect/path")


def _as_lines(parts: Sequence[JSON]) -> list[str]:
    lines: list[str] = []
    for part in parts:
        branches = part.get("atOnce") if isinstance(part, dict) else None
        if isinstance(branches, list):
            lines += [str(name) for each in branches if isinstance(each, list) for name in each]
        else:
            lines.append(str(part))
    return lines


def _steps(wanted: JSON, run: _ObservedRun) -> Iterator[Difference]:
    for name, each in _object(wanted).items():
        executions = [_step(step, run) for step in run.trace.steps if step.name == name]
        place = "/expect/steps" + point(name)
        if not executions:
            yield Difference(f"steps.{name}: the run never reached it", place)
        elif isinstance(each, list):
            yield from member_differences(normalised(each), [*executions], f"steps.{name}", place)
        else:
            yield from member_differences(normalised(each), executions[-1], f"steps.{name}", place)


def _step(step: StepUpdate, run: _ObservedRun) -> JSON:
    ended = step.ended_at
    return {
        "path": step.path,
        "kind": step.kind,
        "state": step.state.value,
        "attempt": step.attempt,
        "iteration": step.iteration,
        "error": None if step.error is None else dict(step.error),
        "at": run.offset(step.started_at),
        "took": None if ended is None else iso_duration(ended - step.started_at),
    }


# ---------------------------------------------------------------- requests of the run
def _calls(wanted: JSON, run: _ObservedRun) -> Iterator[Difference]:
    found: list[JSON] = [_call(command, at, run) for command, at in _requests(run.trace)]
    names = [str(_object(each).get("name")) for each in found]
    parts = wanted if isinstance(wanted, list) else []
    expected = [str(_object(each).get("name")) for each in parts]
    if names != expected:
        text = f"calls: expected {brief_json([*expected])}, found {brief_json([*names])}"
        yield Difference(text, "/expect/calls")
        return
    for index, (one, other) in enumerate(zip(parts, found, strict=True)):
        place = f"/expect/calls/{index}"
        yield from member_differences(
            normalised(one), other, f"calls[{index}] {names[index]}", place
        )


def _called(wanted: JSON, run: _ObservedRun) -> Iterator[Difference]:
    for name, each in _object(wanted).items():
        place = "/expect/called" + point(name)
        found: list[JSON] = [
            _arguments(command) for command, _ in _requests(run.trace) if command.name == name
        ]
        if isinstance(each, list):
            yield from member_differences(each, found, f"called.{name}", place)
        elif len(found) != each:
            yield Difference(f"called.{name}: expected {each} times, found {len(found)}", place)


def _requests(trace: Trace) -> Iterator[tuple[_Request, datetime]]:
    for command, at in zip(trace.commands, trace.issued_at, strict=True):
        if isinstance(command, _Request):
            yield command, at


def _call(command: _Request, at: datetime, run: _ObservedRun) -> JSON:
    due = command.due if isinstance(command, OpenHumanTask) else None
    return {
        "name": command.name,
        "arguments": _arguments(command),
        "at": run.offset(at),
        "due": run.offset(due),
    }


def _arguments(command: Command) -> JSON:
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
        case RunLeaf() | OpenHumanTask():
            return command.arguments
    return None


def _events(wanted: JSON, run: _ObservedRun) -> Iterator[Difference]:
    yield from member_differences(wanted, [*run.trace.events], "events", "/expect/events")


def _object(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}


_CHECKS: Final[dict[str, _Check]] = {
    "state": _state,
    "output": _output,
    "outputIncludes": _output_includes,
    "outputSchema": _output_schema,
    "error": _error,
    "path": _path,
    "steps": _steps,
    "calls": _calls,
    "called": _called,
    "events": _events,
    "waiting": _waiting,
    "took": _took,
}
