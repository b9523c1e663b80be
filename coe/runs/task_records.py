"""The records that queries and verbs of human tasks return: plain, frozen, without a session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from sqlalchemy import Row

from coe.crypto.keys import Keyring
from coe.db.records import Columns, From, Given
from coe.identifiers import qualified_role
from coe.json_types import JSON
from coe.runs.sealing import TeamSealer
from coe.runs.tables import APPROVALS, ESCALATIONS, HOLDERS, REMINDERS, TASKS
from coe.runs.task_models import HumanTaskState


def _qualified(roles: list[str], team: str) -> tuple[str, ...]:
    return tuple(qualified_role(role, team) for role in roles)


_ROLES: Final = From("candidate_roles", "team", make=_qualified)


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A human task as its candidates see it in a list: without context, answer and reason."""

    id: UUID
    run_id: UUID
    key: str
    path: str
    flow: str
    team: str
    data_class: str
    state: HumanTaskState
    title: Annotated[str, Given("title_sealed")]
    instructions: Annotated[str | None, Given("instructions_sealed")]
    form: Annotated[JSON, Given("form_sealed")]
    candidate_roles: Annotated[tuple[str, ...], _ROLES]
    exclude: tuple[str, ...]
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
    """What a person needs in order to decide, and the answer."""

    context: JSON
    answer: JSON
    reason: str | None


@dataclass(frozen=True, slots=True)
class TaskApprovalRecord:
    """One person's answer to a task, without what it says (`ApprovalData`).

    `voided_by` gave another answer afterwards, so that this one does not count any more.
    """

    id: UUID
    by: str
    at: datetime
    decision: str
    voided_by: str | None


@dataclass(frozen=True, slots=True)
class ApprovalData:
    """What a person's answer to a task says, and its digest: what a later approver agrees to."""

    answer: JSON
    digest: str
    comment: str | None


@dataclass(frozen=True, slots=True)
class EscalationRecord:
    """To whom a task was escalated, when and why."""

    at: datetime
    to: str
    reason: str


@dataclass(frozen=True, slots=True)
class HolderRecord:
    """Who had a task, from when until when; None: still."""

    by: str
    at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class ReminderRecord:
    """That people were reminded; `channel` and `notified_at` only where a message was sent."""

    at: datetime
    channel: str | None
    notified_at: datetime | None


TASK_COLUMNS: Final = Columns(TaskRecord, TASKS)
TASK_APPROVAL_COLUMNS: Final = Columns(TaskApprovalRecord, APPROVALS)
ESCALATION_COLUMNS: Final = Columns(EscalationRecord, ESCALATIONS)
HOLDER_COLUMNS: Final = Columns(HolderRecord, HOLDERS)
REMINDER_COLUMNS: Final = Columns(ReminderRecord, REMINDERS)


async def task_record(keyring: Keyring, row: Row[*tuple[Any, ...]]) -> TaskRecord:
    """A task from `TASK_COLUMNS`, with its title, instructions and form opened."""
    sealer = TeamSealer(keyring, row.team)
    return TASK_COLUMNS.record(
        row,
        title=await sealer.open(TASKS, row.id, "title", row.title_sealed),
        instructions=await sealer.open(TASKS, row.id, "instructions", row.instructions_sealed),
        form=await sealer.open(TASKS, row.id, "form", row.form_sealed),
    )


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
    """Approvals, escalations, reminders and holders of one task."""

    approvals: tuple[TaskApprovalRecord, ...] = ()
    escalations: tuple[EscalationRecord, ...] = ()
    reminders: tuple[ReminderRecord, ...] = ()
    holders: tuple[HolderRecord, ...] = ()
