"""The tables of runs: state, journal, inbox, steps, timers.

Columns that may hold personal data are sealed (`…_sealed`): inputs, outputs, error details, facts.
The data key is that of the team that owns the flow. The tables of human tasks are in
`coe.runs.task_models`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Enum,
    ForeignKeyConstraint,
    Identity,
    Index,
    Text,
    UniqueConstraint,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from coe.db import new_id, utcnow
from coe.machine.commands import StepState
from coe.runs.decision_models import DecisionCase  # noqa: F401  # so that the metadata is whole
from coe.runs.event_models import ReceivedEvent  # noqa: F401  # the inbox names its rows
from coe.runs.schedule_models import Schedule  # noqa: F401  # so that the metadata is whole
from coe.runs.task_models import HumanTask  # noqa: F401  # so that the metadata is whole


class RunState(StrEnum):
    """The state of a run. The last three are final, but a FAULTED run can be retried."""

    REQUESTED = "REQUESTED"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    COMPLETED = "COMPLETED"
    FAULTED = "FAULTED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether a run in this state has ended."""
        return self in ENDED


ENDED: Final = (RunState.COMPLETED, RunState.FAULTED, RunState.CANCELLED)
"""The states in which a run has ended."""


class TimerKind(StrEnum):
    """What a timer is for.

    The machine, a reminder of a human task, the task's next stage, or the timeout of a local run.
    """

    LOCAL_RUN = "LOCAL_RUN"
    MACHINE = "MACHINE"
    REMINDER = "REMINDER"
    TASK = "TASK"


class InterventionKind(StrEnum):
    """What somebody did to a run that was under way or had faulted."""

    CANCEL = "CANCEL"
    RETRY = "RETRY"


class Run(SQLModel, table=True):
    """One execution of one exact version of a flow.

    `fence` grows with every holder; a write for the run names the fence of its holder, and a
    smaller one is refused. For a local flow it is the number of the attempt. `journal_length` is
    the position of the next journal entry; `run_steps` shows the steps up to `steps_told`.
    `started_by` may be a run that called this one; `requester` is who is at the root of the calls,
    and `requester_persons` are all who count as having started it (`coe.access.persons`); `code` is
    over them (`coe.runs.row_codes`).
    `waits_since` is since when a local run has waited for a worker, while it has no holder, and
    `claim_token` is what its holder sent to claim it, and `claimed_by` which worker claimed a local
    run last (`Actor.identity`); `timeout_seconds` count from its request. `error_title` is the
    title of the error if it is one of the platform's own, which contain no data. From its request
    to its end a run waited
    for `waits` (seconds by cause), and people held it for `held_seconds`; the rest is work. Both
    are null while a central run is carried on, and where they are not known; those of a local run
    grow with each claim.
    """

    __tablename__ = "runs"
    __table_args__ = (
        UniqueConstraint("parent_id", "parent_key"),
        ForeignKeyConstraint(["parent_id"], ["runs.id"]),
        Index(None, "team", "requested_at"),
        Index(None, "flow", "requested_at"),
        Index(
            "ix_runs_lease",
            "lease_until",
            postgresql_where=sql("lease_until IS NOT NULL"),
        ),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    flow: str
    version: str
    version_id: UUID = Field(index=True)
    local: bool
    engine: str
    team: str
    data_class: str
    state: RunState = Field(
        default=RunState.REQUESTED,
        sa_type=Enum(RunState, native_enum=False, length=16),
        index=True,
    )
    correlation_id: str = Field(index=True)
    parent_id: UUID | None = None
    parent_key: str | None = None
    started_by: str
    started_by_kind: str
    requester: str = Field(index=True)
    requester_persons: list[str] = Field(
        default_factory=list, sa_type=ARRAY(Text), sa_column_kwargs={"server_default": "{}"}
    )
    code: bytes | None = None
    requested_at: datetime = Field(default_factory=utcnow, index=True)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    input_sealed: bytes
    output_sealed: bytes | None = None
    error_type: str | None = None
    error_status: int | None = None
    error_instance: str | None = None
    error_title: str | None = None
    error_sealed: bytes | None = None
    trace_id: str | None = None
    engine_run_id: str | None = None
    engine_url: str | None = None
    holder: str | None = None
    fence: int = Field(default=0, sa_type=BigInteger)
    lease_until: datetime | None = None
    waits_since: datetime | None = None
    claim_token: str | None = None
    claimed_by: str | None = None
    timeout_seconds: float | None = None
    waits: dict[str, float] | None = Field(default=None, sa_type=JSONB)
    held_seconds: float | None = None
    journal_length: int = Field(default=0, sa_type=BigInteger)
    steps_told: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})


class JournalEntry(SQLModel, table=True):
    """One fact of a run, at its position. Only the holder of the run appends; nothing is changed.

    It needs no foreign key: every append updates the row of the run, under its fence.
    """

    __tablename__ = "journal_entries"

    run_id: UUID = Field(primary_key=True)
    position: int = Field(primary_key=True, sa_type=BigInteger)
    fence: int = Field(sa_type=BigInteger)
    kind: str
    key: str
    at: datetime
    payload_sealed: bytes


class RunInbox(SQLModel, table=True):
    """A fact from outside the run that its holder has not yet moved into the journal.

    `arrival` is the order in which rows were written. A fact sent twice has the same `dedupe`. Its
    data is in `payload_sealed`, or it is the event `event_id`.
    """

    __tablename__ = "run_inbox"
    __table_args__ = (
        ForeignKeyConstraint(["run_id"], ["runs.id"]),
        ForeignKeyConstraint(["event_id"], ["events.id"]),
        UniqueConstraint("run_id", "dedupe"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    arrival: int | None = Field(
        default=None,
        sa_type=BigInteger,
        sa_column_args=(Identity(always=True),),
        nullable=False,
    )
    run_id: UUID
    dedupe: str
    kind: str
    key: str
    at: datetime
    payload_sealed: bytes | None = None
    event_id: UUID | None = Field(default=None, index=True)


class RunStep(SQLModel, table=True):
    """One execution of a task as readers see it: a projection of the journal, never read back.

    The steps of a local flow are reported by its team; their output is kept (sealed) so that a
    completed step never runs again. `place` orders the steps of a run by their start; `parent_key`
    is the key of the step around it. Until `changed_at` (its end, if it has ended) the step waited
    for `waits`, seconds by cause (`WaitCause`), together `waited_seconds`, and people held it for
    `held_seconds`; the rest of the time since its start is work. `phase` is what it does since
    then; null once it has ended.
    `unmatched` counts the events on which an expression of the step failed; `unmatched_at` is the
    pointer of the expression that failed last.
    """

    __tablename__ = "run_steps"
    __table_args__ = (UniqueConstraint("run_id", "key"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    run_id: UUID
    key: str
    place: int = Field(sa_type=BigInteger)
    path: str
    name: str
    kind: str
    state: StepState = Field(sa_type=Enum(StepState, native_enum=False, length=16))
    attempt: int = 1
    iteration: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    changed_at: datetime
    waited_seconds: float = 0.0
    held_seconds: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    waits: dict[str, float] | None = Field(default=None, sa_type=JSONB)
    phase: str | None = None
    parent_key: str | None = None
    error_type: str | None = None
    error_status: int | None = None
    error_instance: str | None = None
    error_title: str | None = None
    error_sealed: bytes | None = None
    output_sealed: bytes | None = None
    unmatched: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    unmatched_at: str | None = None
    fence: int = Field(default=0, sa_type=BigInteger)


class Timer(SQLModel, table=True):
    """A time at which something is due; firing deletes the row, so it fires once."""

    __tablename__ = "timers"
    __table_args__ = (
        ForeignKeyConstraint(["run_id"], ["runs.id"]),
        UniqueConstraint("run_id", "kind", "key"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    run_id: UUID
    kind: TimerKind = Field(sa_type=Enum(TimerKind, native_enum=False, length=16))
    key: str
    due_at: datetime = Field(index=True)


class RunIntervention(SQLModel, table=True):
    """That somebody cancelled or retried a run, and why."""

    __tablename__ = "run_interventions"
    __table_args__ = (ForeignKeyConstraint(["run_id"], ["runs.id"]),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    run_id: UUID = Field(index=True)
    kind: InterventionKind = Field(sa_type=Enum(InterventionKind, native_enum=False, length=16))
    by: str
    at: datetime = Field(default_factory=utcnow)
    reason_sealed: bytes


class TeamWorker(SQLModel, table=True):
    """When a worker of a team last asked for runs."""

    __tablename__ = "team_workers"

    team: str = Field(primary_key=True)
    seen_at: datetime
