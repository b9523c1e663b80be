"""The tables of human tasks, their approvals, escalations and reminders."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import Enum, ForeignKeyConstraint, Index, Text, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from coe.db import new_id, utcnow


class HumanTaskState(StrEnum):
    """The state of a human task; ESCALATED is open, also for those to whom it was escalated."""

    OPEN = "OPEN"
    CLAIMED = "CLAIMED"
    COMPLETED = "COMPLETED"
    ESCALATED = "ESCALATED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def open(self) -> bool:
        """Whether somebody may still answer."""
        return self in OPEN_TASK_STATES


OPEN_TASK_STATES: Final = (HumanTaskState.OPEN, HumanTaskState.CLAIMED, HumanTaskState.ESCALATED)
"""The states in which somebody may still answer."""


class HumanTask(SQLModel, table=True):
    """A question that a run asks a person.

    `candidate_roles` holds "team/role" or "*/role"; a role without a team, which an earlier version
    of the platform wrote, is one of the task's own team. `exclude` holds subjects and the words
    `requester` and `approvers`; `requester_persons` are those of the run. `root_run_id` is the run
    at the root of the calls, if that is another; `question` is the same for a task that is asked
    again. `stages` are the escalations still to come when nobody answers, in order: `{"at": time,
    "to": role}`, or `{"after": seconds from the due time, "to": role}` of an earlier version of the
    platform. `reminders` are the times (ISO 8601) of the reminders still to come. `code` is over
    who asked and who may not answer (`coe.runs.row_codes`).
    """

    __tablename__ = "human_tasks"
    __table_args__ = (
        ForeignKeyConstraint(["run_id"], ["runs.id"]),
        UniqueConstraint("run_id", "key"),
        Index(None, "candidate_roles", postgresql_using="gin"),
        Index(None, "state", "created_at"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    run_id: UUID
    root_run_id: UUID | None = Field(default=None, index=True)
    key: str
    path: str
    question: str | None = None
    flow: str
    team: str
    data_class: str
    state: HumanTaskState = Field(
        default=HumanTaskState.OPEN,
        sa_type=Enum(HumanTaskState, native_enum=False, length=16),
    )
    requester: str
    requester_persons: list[str] = Field(
        default_factory=list, sa_type=ARRAY(Text), sa_column_kwargs={"server_default": "{}"}
    )
    code: bytes | None = None
    candidate_roles: list[str] = Field(default_factory=list, sa_type=ARRAY(Text))
    exclude: list[str] = Field(default_factory=list, sa_type=ARRAY(Text))
    outcomes: list[str] = Field(default_factory=list, sa_type=ARRAY(Text))
    approvals_needed: int = 1
    assignee: str | None = Field(default=None, index=True)
    outcome: str | None = None
    title_sealed: bytes
    instructions_sealed: bytes | None = None
    form_sealed: bytes
    context_sealed: bytes
    answer_sealed: bytes | None = None
    reason_sealed: bytes | None = None
    created_at: datetime = Field(default_factory=utcnow)
    due_at: datetime | None = None
    stages: list[dict[str, str | float]] = Field(default_factory=list, sa_type=JSONB)
    reminders: list[str] = Field(
        default_factory=list, sa_type=JSONB, sa_column_kwargs={"server_default": "[]"}
    )
    completed_at: datetime | None = None
    completed_by: str | None = None


class HumanTaskApproval(SQLModel, table=True):
    """One person's answer to a task; a task that needs several takes them of different persons.

    An answer that differs from those before it voids them: they do not count any more, and whoever
    gave one may answer again. `persons` are those who count as having given it
    (`coe.access.persons`). `code` is over who answered what (`coe.runs.row_codes`).
    """

    __tablename__ = "human_task_approvals"
    __table_args__ = (
        ForeignKeyConstraint(["task_id"], ["human_tasks.id"]),
        Index(
            "ix_human_task_approvals_counting",
            "task_id",
            "by",
            unique=True,
            postgresql_where=sql("voided_at IS NULL"),
        ),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    task_id: UUID
    by: str
    persons: list[str] = Field(
        default_factory=list, sa_type=ARRAY(Text), sa_column_kwargs={"server_default": "{}"}
    )
    at: datetime = Field(default_factory=utcnow)
    decision: str
    code: bytes | None = None
    voided_at: datetime | None = None
    voided_by: str | None = None
    comment_sealed: bytes | None = None
    answer_sealed: bytes


class HumanTaskEscalation(SQLModel, table=True):
    """That a task was escalated to further people because nobody answered in time."""

    __tablename__ = "human_task_escalations"
    __table_args__ = (
        ForeignKeyConstraint(["task_id"], ["human_tasks.id"]),
        Index(None, "task_id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    task_id: UUID
    at: datetime = Field(default_factory=utcnow)
    to: str
    reason: str


class HumanTaskHolder(SQLModel, table=True):
    """That a person had a task: claimed it, or was given it, until it was out of their hands."""

    __tablename__ = "human_task_holders"
    __table_args__ = (
        ForeignKeyConstraint(["task_id"], ["human_tasks.id"]),
        Index(None, "task_id", "at"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    task_id: UUID
    by: str
    at: datetime
    until: datetime | None = None


class HumanTaskReminder(SQLModel, table=True):
    """That people were reminded of a task.

    `next_at` is when its message is tried next; None once it is sent by `channel` at `notified_at`,
    or is not to be sent.
    """

    __tablename__ = "human_task_reminders"
    __table_args__ = (
        ForeignKeyConstraint(["task_id"], ["human_tasks.id"]),
        Index(None, "task_id"),
        Index(
            "ix_human_task_reminders_next_at",
            "next_at",
            postgresql_where=sql("next_at IS NOT NULL"),
        ),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    task_id: UUID
    at: datetime = Field(default_factory=utcnow)
    channel: str | None = None
    notified_at: datetime | None = None
    next_at: datetime | None = None
    attempts: int = 0
