"""What the queries and verbs of runs give back: plain, frozen, without a session."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from coe.json_types import JSON
from coe.machine.commands import StepState
from coe.runs.models import RunState
from coe.runs.task_models import HumanTaskState


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """A fault as RFC 7807 has it; `title` and `detail` only for a caller who may read the data."""

    type: str
    status: int
    title: str | None = None
    detail: str | None = None
    instance: str | None = None


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run without its data; `flow` is "namespace/name", `version` exact."""

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
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    error: ErrorRow | None
    trace_id: str | None
    engine_run_id: str | None
    engine_url: str | None
    attempt: int

    @property
    def ref(self) -> str:
        """`namespace/name@version`."""
        return f"{self.flow}@{self.version}"


@dataclass(frozen=True, slots=True)
class RunData:
    """What went into a run and what came out, and the whole error."""

    input: JSON
    output: JSON
    error: ErrorRow | None


@dataclass(frozen=True, slots=True)
class StepRow:
    """One execution of a task of a run; `waited_for` is the time spent in WAITING."""

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
    error: ErrorRow | None
    waited_for: timedelta | None
    worked_for: timedelta | None


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A human task as its candidates see it in a list: without context, answer and reason."""

    id: UUID
    run_id: UUID
    key: str
    path: str
    flow: str
    team: str
    data_class: str
    state: HumanTaskState
    title: str
    instructions: str | None
    form: JSON
    candidate_roles: tuple[str, ...]
    assignee: str | None
    outcomes: tuple[str, ...]
    outcome: str | None
    approvals_needed: int
    created_at: datetime
    due_at: datetime | None
    completed_at: datetime | None
    completed_by: str | None


@dataclass(frozen=True, slots=True)
class TaskData:
    """What a person needs to see in order to decide, and what was answered."""

    context: JSON
    answer: JSON
    reason: str | None


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """One person's answer to a task; `comment` only where the caller may read the data."""

    by: str
    at: datetime
    decision: str
    comment: str | None


@dataclass(frozen=True, slots=True)
class EscalationRow:
    """To whom a task went, when and why."""

    at: datetime
    to: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReminderRow:
    """That people were reminded; `channel` and `notified_at` only where a message was sent."""

    at: datetime
    channel: str | None
    notified_at: datetime | None


@dataclass(frozen=True, slots=True)
class LocalClaim:
    """What a team's worker gets when it takes a local run.

    `attempt` goes with every report; a later claim makes it stale. `done` has the outputs of the
    steps that are completed, by name: they are not run again.
    """

    run: RunRow
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


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which human tasks; every part given must hold. `claimable` means by the reader, now."""

    states: tuple[HumanTaskState, ...] = ()
    assigned_to_me: bool | None = None
    claimable: bool | None = None
    flows: tuple[str, ...] = ()
    overdue: bool | None = None


@dataclass(frozen=True, slots=True)
class TaskExtras:
    """Approvals, escalations and reminders of one task."""

    approvals: tuple[ApprovalRow, ...] = field(default=())
    escalations: tuple[EscalationRow, ...] = field(default=())
    reminders: tuple[ReminderRow, ...] = field(default=())
