"""The records that queries and verbs of runs return: plain, frozen, without a session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from coe.db.records import Columns, From, Given
from coe.json_types import JSON
from coe.machine.commands import StepState, StepTimes
from coe.runs.error_reasons import reason_of
from coe.runs.models import InterventionKind, RunState
from coe.runs.tables import INTERVENTIONS, RUNS, STEPS


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """A fault as RFC 7807 has it; `title` and `detail` only for a caller who may read the data.

    `public_title` is the title if it is one of the platform's own, which contain no data.
    """

    type: str
    status: int
    title: str | None = None
    detail: str | None = None
    instance: str | None = None
    public_title: str | None = None

    @property
    def reason(self) -> str:
        """A sentence that says why, without data."""
        return reason_of(self.type, self.status, self.public_title)

    @classmethod
    def of_columns(
        cls, kind: str | None, status: int | None, instance: str | None, title: str | None
    ) -> ErrorRecord | None:
        """The error from its columns that are not sealed, or None."""
        if kind is None:
            return None
        return cls(kind, status or 0, instance=instance, public_title=title)


def _everyone(requester: str, persons: list[str]) -> tuple[str, ...]:
    return tuple(sorted({requester, *persons}))


ERROR: Final = From(
    *("error_type", "error_status", "error_instance", "error_title"), make=ErrorRecord.of_columns
)


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """The part of a run that never changes, for code that works on it.

    `requester` is who is at the root of the calls; `parent_key` is the step of the calling run;
    `code` is over who asked (`coe.runs.row_codes`).
    """

    id: UUID
    flow: str
    version: str
    version_id: UUID
    local: bool
    team: str
    data_class: str
    correlation_id: str
    parent_id: UUID | None
    parent_key: str | None
    requester: str
    requester_persons: tuple[str, ...]
    code: bytes | None
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as a reader sees it, without its data; `flow` is "namespace/name", `version` exact."""

    id: UUID
    flow: str
    version: str
    version_id: UUID
    local: bool
    engine: str
    team: str
    data_class: str
    state: RunState
    correlation_id: str
    parent_id: UUID | None
    parent_key: str | None
    started_by: str
    requesters: Annotated[tuple[str, ...], From("requester", "requester_persons", make=_everyone)]
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    error: Annotated[ErrorRecord | None, ERROR]
    trace_id: str | None
    engine_run_id: str | None
    engine_url: str | None
    attempt: Annotated[int, From("fence")]
    holder: str | None
    waits_since: datetime | None
    waits: dict[str, float] | None
    held_seconds: float | None

    @property
    def ref(self) -> str:
        """`namespace/name@version`."""
        return f"{self.flow}@{self.version}"


@dataclass(frozen=True, slots=True)
class RunData:
    """The input and the output of a run, and its whole error."""

    input: JSON
    output: JSON
    error: ErrorRecord | None


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One execution of a task of a run; `times` are until now, None before it has started."""

    id: UUID
    run_id: UUID
    key: str
    path: str
    name: str
    kind: str
    state: StepState
    attempt: int
    iteration: str | None
    started_at: datetime | None
    ended_at: datetime | None
    error: Annotated[ErrorRecord | None, ERROR]
    unmatched: int
    unmatched_at: str | None
    parent_key: str | None
    times: Annotated[
        StepTimes | None,
        Given("changed_at", "phase", "waited_seconds", "held_seconds", "waits"),
    ]

    @property
    def waited_for(self) -> timedelta | None:
        """How long it waited, for anything."""
        return None if self.times is None else self.times.waited

    @property
    def worked_for(self) -> timedelta | None:
        """The rest of its time; what a person held is work."""
        if self.times is None or self.started_at is None:
            return None
        return self.times.since - self.started_at - self.times.waited


@dataclass(frozen=True, slots=True)
class InterventionRecord:
    """That somebody cancelled or retried a run: who, when and why."""

    run_id: UUID
    kind: InterventionKind
    by: str
    at: datetime
    reason: Annotated[str, Given("id", "reason_sealed")]


RUN_COLUMNS: Final = Columns(RunRecord, RUNS)
IDENTITY_COLUMNS: Final = Columns(RunIdentity, RUNS)
STEP_COLUMNS: Final = Columns(StepRecord, STEPS)
INTERVENTION_COLUMNS: Final = Columns(InterventionRecord, INTERVENTIONS)


def faulted_step(steps: Sequence[StepRecord], error: ErrorRecord) -> StepRecord | None:
    """The step at which a run faulted: the one that the error names, else the last that faulted.

    A step that calls others begins before them, so the last one is the innermost.
    """
    faulted = [step for step in steps if step.state == StepState.FAULTED]
    named = [step for step in faulted if step.path == error.instance]
    found = named or faulted
    return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class LocalClaim:
    """What a team's worker gets when it takes a local run.

    Every report names the `attempt`; a later claim makes it stale. `done` has the outputs of the
    completed steps, by name: they do not run again.
    """

    run: RunRecord
    attempt: int
    input: JSON
    done: dict[str, JSON]
    heartbeat_seconds: float


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs; every part given must hold. `flows` are "namespace/name"."""

    flows: tuple[str, ...] = ()
    states: tuple[RunState, ...] = ()
    correlation_id: str | None = None
    started_after: datetime | None = None
    started_before: datetime | None = None
    parent_id: UUID | None = None
