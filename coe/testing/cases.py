"""The case of a simulated run, and its trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from coe.formats import instants
from coe.json_types import JSON
from coe.language.names.directory import NOTHING_KNOWN, KnownNames
from coe.machine.commands import Command, Completed, Faulted, PendingCommand, RunOutcome, StepUpdate
from coe.machine.facts import Fact
from coe.machine.machine import StepData
from coe.testing.missing_stubs import MissingStub

DEFAULT_START: Final = datetime(2026, 1, 5, 9, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SimulationCase:
    """The input, answers and events of one simulated run.

    `facts` are put into the journal at their time, such as a cancellation. `patience` limits how
    long deadlines expire after a command that has no stub, without limit by default; other timers
    always fire. Without limit, a call that nothing answers stops the run, and is a mistake.
    `traced` keeps the data of each step. A task that asks a role that `names` do not have faults,
    as it does in a run.
    """

    input: JSON = None
    stubs: Mapping[str, JSON] = field(default_factory=dict)
    events: Sequence[Mapping[str, JSON]] = ()
    facts: Sequence[Fact] = ()
    now: datetime = DEFAULT_START
    secrets: Mapping[str, JSON] = field(default_factory=dict, repr=False)
    flows: Mapping[str, str] = field(default_factory=dict)
    run_id: str = "run"
    max_visits: int = 10_000
    patience: timedelta | None = None
    traced: bool = False
    names: KnownNames = NOTHING_KNOWN


@dataclass(slots=True)
class Trace:
    """The result of a simulated run: `state` is COMPLETED, FAULTED, CANCELLED or WAITING.

    `issued_at` has the time of each of `commands`. `branch_outcomes` are the outcomes that the run
    took, each with the pointer of its task. `mistakes` are impossible answers, such as an outcome
    that a human task does not have, `event_mistakes` events that the platform would not receive.
    `unmatched` has the id of each event that a task could not compare, and the pointer of the
    expression that failed on it. `missing` has the stubs that the waiting steps need, and `data`
    the data of each step by its key, of a traced case. `unused` has the keys of stubs that no step
    asked for, or of lists with answers that were left over, each with the number of its calls.
    """

    outcome: RunOutcome | None
    ended_at: datetime
    steps: list[StepUpdate]
    events: list[JSON]
    journal: list[Fact]
    commands: list[Command]
    waiting: list[PendingCommand]
    issued_at: list[datetime] = field(default_factory=list)
    branch_outcomes: frozenset[tuple[str, str]] = frozenset()
    mistakes: list[str] = field(default_factory=list)
    event_mistakes: list[str] = field(default_factory=list)
    unmatched: list[tuple[str, str]] = field(default_factory=list)
    missing: list[MissingStub] = field(default_factory=list)
    unused: dict[str, int] = field(default_factory=dict)
    data: dict[str, StepData] = field(default_factory=dict, repr=False)

    @property
    def state(self) -> str:
        """The state of the run."""
        return "WAITING" if self.outcome is None else type(self.outcome).__name__.upper()

    @property
    def output(self) -> JSON:
        """The output of a completed run, else null."""
        return self.outcome.output if isinstance(self.outcome, Completed) else None

    @property
    def error(self) -> dict[str, JSON] | None:
        """The error of a faulted run, else None."""
        return self.outcome.error if isinstance(self.outcome, Faulted) else None

    @property
    def path(self) -> list[str]:
        """The names of the steps in the order of their start."""
        return [step.name for step in self.steps]

    def to_json(self) -> dict[str, JSON]:
        """The trace as `coe flow try` prints it."""
        return {
            "state": self.state,
            "output": self.output,
            "error": self.error,
            "steps": [self._step(step) for step in self.steps],
            "events": self.events,
            "missing": [each.to_json() for each in self.missing],
            "unmatched": [{"event": event, "path": path} for event, path in self.unmatched],
        }

    def _step(self, step: StepUpdate) -> dict[str, JSON]:
        """One execution of a task; its data is null where the run was not traced."""
        data = self.data.get(step.key)
        return {
            "path": step.path,
            "name": step.name,
            "kind": step.kind,
            "state": step.state.value,
            "attempt": step.attempt,
            "iteration": step.iteration,
            "startedAt": _text(step.started_at),
            "endedAt": None if step.ended_at is None else _text(step.ended_at),
            "input": None if data is None else data.input,
            "output": None if data is None else data.output,
            "context": None if data is None else data.context,
            "error": step.error,
        }


def _text(at: datetime) -> JSON:
    return instants.write(at)
