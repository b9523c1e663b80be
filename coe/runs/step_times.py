"""The times of steps and runs: as columns, and as readers see them now.

A row has the times until `changed_at`, and the phase since then. What the journal of a run does not
have yet is added when the row is read: who has claimed a task in the meantime, and how a called run
proceeds. The next fact of the run writes the same into the row (`coe.machine.step_times`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from coe.json_types import JSON
from coe.machine.commands import Phase, StepState, StepTimes, WaitCause
from coe.machine.step_times import parts_of
from coe.runs.tables import RUNS

Interval = tuple[datetime, datetime | None]
"""From when until when a person held a task; None: still."""

_PEOPLE: Final = (Phase.PEOPLE_QUEUE, Phase.HELD)
_CALLS: Final = (Phase.OTHER_TEAM, Phase.DISPATCH)
# The phase of a waiting step by its kind, in rows of releases that did not write it.
_BY_KIND: Final = {
    "humanTask": Phase.PEOPLE_QUEUE,
    "listen": Phase.EVENT,
    "localFlow": Phase.OTHER_TEAM,
    "run": Phase.OTHER_TEAM,
}


def seconds_by_cause(waits: Mapping[WaitCause, timedelta]) -> dict[str, float] | None:
    """The waits as they are stored."""
    return {cause.value: each.total_seconds() for cause, each in waits.items()} or None


def time_columns(times: StepTimes, *, ended: bool) -> dict[str, Any]:
    """The columns of a step, for `coe.runs.journal_sql`."""
    waits = seconds_by_cause(times.waits)
    return {
        "phase": None if ended else times.phase.value,
        "changed_at": times.since,
        "waited_seconds": times.waited.total_seconds(),
        "held_seconds": times.held.total_seconds(),
        "waits": None if waits is None else orjson.dumps(waits).decode(),
    }


@dataclass(frozen=True, slots=True)
class RunTimes:
    """The times of a run as a whole, from its request on."""

    times: StepTimes
    began: datetime

    def columns(self) -> dict[str, Any]:
        """The columns of its row."""
        held = self.times.held.total_seconds()
        return {"waits": seconds_by_cause(self.times.waits), "held_seconds": held}

    def json(self) -> dict[str, JSON]:
        """What the run that called it gets to know: `{worked, held, waits}`, in seconds."""
        waits: JSON = dict(seconds_by_cause(self.times.waits) or {})
        worked = self.times.since - self.began - self.times.waited - self.times.held
        return {
            "worked": max(worked, timedelta()).total_seconds(),
            "held": self.times.held.total_seconds(),
            "waits": waits,
        }


LOCAL_TIMES: Final = tuple(
    RUNS.c[name]
    for name in ("requested_at", "started_at", "ended_at", "holder", "waits_since", "waits")
)
"""The columns that `local_waits` needs."""


def local_waits(run: Any, now: datetime) -> dict[str, float]:
    """For what a local run has waited until now, in seconds by cause.

    It works while it has a holder, also one that is dead and not known to be. Without one it waits
    for a worker; while it was faulted, it waited for an operator.
    """
    waits = dict(run.waits or {})
    if run.ended_at is not None:
        lasted, cause = now - run.ended_at, WaitCause.OPERATOR
    elif run.holder is None:
        lasted, cause = now - (run.waits_since or run.requested_at), WaitCause.DISPATCH
    else:
        return waits
    if lasted > timedelta():
        waits[cause.value] = waits.get(cause.value, 0.0) + lasted.total_seconds()
    return waits


def waits_of(stored: Mapping[str, float] | None) -> dict[WaitCause, timedelta]:
    """The waits from their column."""
    return {WaitCause(cause): timedelta(seconds=each) for cause, each in (stored or {}).items()}


def stored_times(row: Any) -> StepTimes | None:
    """The times in a row of a step; None for a step that has not started."""
    if row.started_at is None:
        return None
    since = max(row.ended_at or row.changed_at, row.started_at)
    phase = Phase(row.phase) if row.phase else _phase_by_kind(row)
    waits = waits_of(row.waits)
    if not waits and row.waited_seconds:
        waited = min(timedelta(seconds=row.waited_seconds), since - row.started_at)
        waits = {WaitCause(_BY_KIND.get(row.kind, Phase.TIMER).value): waited}
    return StepTimes(timedelta(seconds=row.held_seconds), waits, phase, since)


def _phase_by_kind(row: Any) -> Phase:
    if row.state == StepState.WAITING:
        return _BY_KIND.get(row.kind, Phase.TIMER)
    return Phase.RETRY if row.state == StepState.RETRYING else Phase.WORK


@dataclass(frozen=True, slots=True)
class CalledRun:
    """What a called run shows of its time so far.

    `steps` are those that no other step contains, each with its start: the first begins with the
    journal of the run, which may be a little before its row says so.
    """

    of_other_team: bool
    requested_at: datetime
    started_at: datetime | None
    until: datetime
    waits: Mapping[str, float] | None
    held_seconds: float | None
    steps: Sequence[tuple[datetime, StepTimes]] = ()
    waits_since: datetime | None = None

    def times(self) -> StepTimes:
        """Its times since its request, until now or until its end."""
        begun = min([at for at, _ in self.steps], default=self.started_at or self.until)
        times = StepTimes(timedelta(), {}, Phase.DISPATCH, self.requested_at)
        if self.waits is not None or self.held_seconds is not None:
            held = timedelta(seconds=self.held_seconds or 0.0)
            times = StepTimes(held, waits_of(self.waits), Phase.WORK, self.requested_at)
        elif self.waits_since is None:
            times = times.until(begun)
        if self.waits_since is not None:
            lasted = max(self.until - self.waits_since, timedelta())
            times = times.until(times.since + lasted, Phase.DISPATCH)
        for _, each in self.steps:
            times = _added(times, each)
        return StepTimes(times.held, times.waits, times.phase, max(self.until, times.since))

    def parts(self) -> dict[Phase, timedelta]:
        """Its times by phase, as the caller counts them."""
        times = RunTimes(self.times(), self.requested_at)
        return parts_of(times.json(), of_other_team=self.of_other_team)


def _added(one: StepTimes, other: StepTimes) -> StepTimes:
    waits = dict(one.waits)
    for cause, length in other.waits.items():
        waits[cause] = waits.get(cause, timedelta()) + length
    return StepTimes(one.held + other.held, waits, one.phase, one.since)


@dataclass(slots=True)
class OpenStep:
    """A step that has not ended, and what the journal of its run does not have of it yet."""

    key: str
    parent_key: str | None
    times: StepTimes
    held: Collection[Interval] = ()
    called: CalledRun | None = None
    inside: list[Interval] = field(default_factory=list)

    @property
    def asks(self) -> bool:
        """Whether it waits for a person, or a person has it."""
        return self.times.phase in _PEOPLE

    @property
    def calls(self) -> bool:
        """Whether it may wait for a called run."""
        return self.times.phase in _CALLS


def now_of(steps: Iterable[OpenStep], now: datetime) -> dict[str, StepTimes]:
    """The times of the open steps of one run, until now, by their keys."""
    by_key = {step.key: step for step in steps}
    for step in by_key.values():
        for each in (step, *_around(step, by_key)):
            each.inside.extend(step.held)
    found = {key: _with_people(step, now) for key, step in by_key.items()}
    for step in by_key.values():
        if step.called is None or not step.calls:
            continue
        for each in (step, *_around(step, by_key)):
            if each.times.phase is step.times.phase and not each.inside:
                begin = max(each.times.since, step.times.since)
                found[each.key] = _divided(each.times, step.called.parts(), begin, now)
    return found


def _around(step: OpenStep, by_key: Mapping[str, OpenStep]) -> list[OpenStep]:
    found = []
    outer = by_key.get(step.parent_key or "")
    while outer is not None:
        found.append(outer)
        outer = by_key.get(outer.parent_key or "")
    return found


def _with_people(step: OpenStep, now: datetime) -> StepTimes:
    """The times of a step of which people held parts; all other time is for its phase."""
    times, phase = step.times, step.times.phase
    if not step.inside or phase is Phase.WORK:
        return times.until(now)
    rest = Phase.PEOPLE_QUEUE if phase is Phase.HELD else phase
    for begin, end in sorted(step.inside, key=lambda each: each[0]):
        times = times.until(min(begin, now), rest).until(min(end or now, now), Phase.HELD)
    return times.until(now, rest)


def _divided(
    times: StepTimes, parts: Mapping[Phase, timedelta], begin: datetime, now: datetime
) -> StepTimes:
    divided = times.until(begin)
    for phase in Phase:
        if phase in parts:
            divided = divided.until(min(divided.since + parts[phase], now), phase)
    return divided.until(now)
