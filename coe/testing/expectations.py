"""What a simulated run is held against: the `expect` of a test, and how the run differs from it."""

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
from coe.testing.cases import Case, Trace
from coe.testing.compare import Difference, equal, length, same_time, shown, timed, within
from coe.testing.paths import follows

_Asked = RunLeaf | OpenHumanTask | StartChild | AwaitEvent | EmitEvent


def differences(expect: Mapping[str, JSON], trace: Trace, case: Case) -> list[Difference]:
    """How a simulated run differs from what is expected; nothing, if it is as expected.

    Raises:
        ValueError: something is expected that cannot be.
    """
    found: list[Difference] = []
    for name, wanted in expect.items():
        if name not in _CHECKS:
            raise ValueError(f"a test can expect no `{name}`")
        found += _CHECKS[name](wanted, _Seen(trace, case.now))
    return found


@dataclass(frozen=True, slots=True)
class _Seen:
    """A run, and the time from which its times count."""

    trace: Trace
    since: datetime

    def offset(self, at: datetime | None) -> JSON:
        return None if at is None else length(at - self.since)


_Check = Callable[[JSON, _Seen], Iterator[Difference]]


# ---------------------------------------------------------------- how it ended
def _state(wanted: JSON, seen: _Seen) -> Iterator[Difference]:
    trace = seen.trace
    if trace.state == wanted:
        return
    why = ""
    if trace.error is not None:
        told = [trace.error.get(part) for part in ("status", "title", "detail", "instance")]
        why = ": " + ", ".join(str(part) for part in told if part is not None)
    elif trace.waiting:
        why = ": it waits for " + ", ".join(dict.fromkeys(each.name for each in trace.waiting))
    yield Difference(f"state: expected {wanted}, found {trace.state}{why}", "/expect/state")


def _output(wanted: JSON, seen: _Seen) -> Iterator[Difference]:
    yield from equal(wanted, seen.trace.output, "output", "/expect/output")


def _output_includes(wanted: JSON, seen: _Seen) -> Iterator[Difference]:
    yield from within(wanted, seen.trace.output, "output", "/expect/outputIncludes")


def _output_schema(wanted: JSON, seen: _Seen) -> Iterator[Difference]:
    for each in violations(wanted, seen.trace.output):
        yield Difference(f"output{each.path}: {each.message}", "/expect/outputSchema")


def _error(wanted: JSON, seen: _Seen) -> Iterator[Difference]:
    if isinstance(wanted, dict) and "type" in wanted:
        kind = str(wanted["type"])
        wanted = wanted | {"type": type_of(kind) if kind in STATUSES else normal_type(kind)}
    yield from within(wanted, seen.trace.error, "error", "/expect/error")


def _took(wanted: JSON, seen: _Seen) -> Iterator[Difference]:
    yield from same_time(wanted, seen.offset(seen.trace.ended_at), "took", "/expect/took")


def _waiting(wanted: JSON, seen: _Seen) -> Iterator[Difference]:
    found: JSON = [command.name for command in seen.trace.waiting]
    yield from equal(wanted, found, "waiting", "/expect/waiting")


# ---------------------------------------------------------------- steps
def _path(wanted: JSON, seen: _Seen) -> Iterator[Difference]:
    parts = wanted if isinstance(wanted, list) else []
    found = seen.trace.path
    if follows(parts, found):
        return
    lines = difflib.unified_diff(_as_lines(parts), found, lineterm="", n=2)
    told = [line for line in lines if not line.startswith(("---", "+++"))]
    shift = [f"  {line}" if line.startswith("@@") else f"  {line[:1]} {line[1:]}" for line in told]
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


def _steps(wanted: JSON, seen: _Seen) -> Iterator[Difference]:
    for name, each in _object(wanted).items():
        all_of = [_step(step, seen) for step in seen.trace.steps if step.name == name]
        place = "/expect/steps" + point(name)
        if not all_of:
            yield Difference(f"steps.{name}: the run never came to it", place)
        elif isinstance(each, list):
            yield from within(timed(each), [*all_of], f"steps.{name}", place)
        else:
            yield from within(timed(each), all_of[-1], f"steps.{name}", place)


def _step(step: StepUpdate, seen: _Seen) -> JSON:
    ended = step.ended_at
    return {
        "path": step.path,
        "kind": step.kind,
        "state": step.state.value,
        "attempt": step.attempt,
        "iteration": step.iteration,
        "error": None if step.error is None else dict(step.error),
        "at": seen.offset(step.started_at),
        "took": None if ended is None else length(ended - step.started_at),
    }


# ---------------------------------------------------------------- what was asked of the outside
def _calls(wanted: JSON, seen: _Seen) -> Iterator[Difference]:
    found: list[JSON] = [_call(command, at, seen) for command, at in _asked(seen.trace)]
    names = [str(_object(each).get("name")) for each in found]
    parts = wanted if isinstance(wanted, list) else []
    expected = [str(_object(each).get("name")) for each in parts]
    if names != expected:
        text = f"calls: expected {shown([*expected])}, found {shown([*names])}"
        yield Difference(text, "/expect/calls")
        return
    for index, (one, other) in enumerate(zip(parts, found, strict=True)):
        place = f"/expect/calls/{index}"
        yield from within(timed(one), other, f"calls[{index}] {names[index]}", place)


def _called(wanted: JSON, seen: _Seen) -> Iterator[Difference]:
    for name, each in _object(wanted).items():
        place = "/expect/called" + point(name)
        found: list[JSON] = [
            _arguments(command) for command, _ in _asked(seen.trace) if command.name == name
        ]
        if isinstance(each, list):
            yield from within(each, found, f"called.{name}", place)
        elif len(found) != each:
            yield Difference(f"called.{name}: expected {each} times, found {len(found)}", place)


def _asked(trace: Trace) -> Iterator[tuple[_Asked, datetime]]:
    for command, at in zip(trace.commands, trace.issued_at, strict=True):
        if isinstance(command, _Asked):
            yield command, at


def _call(command: _Asked, at: datetime, seen: _Seen) -> JSON:
    due = command.due if isinstance(command, OpenHumanTask) else None
    return {
        "name": command.name,
        "arguments": _arguments(command),
        "at": seen.offset(at),
        "due": seen.offset(due),
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


def _events(wanted: JSON, seen: _Seen) -> Iterator[Difference]:
    yield from within(wanted, [*seen.trace.events], "events", "/expect/events")


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
