"""Views of human tasks; inputs and payload of claiming, delegating and completing them."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.ids import to_global
from coe.api.graphql.loaders import run_by_id, task_data, task_extras
from coe.api.graphql.nodes import Node, Problem, field, input_type, object_type
from coe.api.graphql.scalars import DateTime, Json
from coe.api.types.entries import Approval
from coe.api.types.runs import Run
from coe.runs.task_models import HumanTaskState
from coe.runs.task_records import (
    EscalationRecord,
    HolderRecord,
    ReminderRecord,
    TaskData,
    TaskRecord,
)
from coe.runs.task_records import TaskFilter as Wanted


@input_type
class HumanTaskFilter:
    """Which human tasks; every part given must hold."""

    states: list[HumanTaskState] | None = strawberry.field(
        default=None,
        description="Without them, the tasks that can still be completed",
    )
    assigned_to_me: bool | None = None
    claimable: bool | None = strawberry.field(default=None, description="By the caller, now")
    flows: list[str] | None = None
    overdue: bool | None = None

    def wanted(self) -> Wanted:
        """The input of the query."""
        return Wanted(
            states=tuple(self.states or ()),
            assigned_to_me=self.assigned_to_me,
            claimable=self.claimable,
            flows=tuple(self.flows or ()),
            overdue=self.overdue,
        )


@object_type
class Escalation:
    """An escalation of a task: to whom, when and why."""

    at: DateTime
    to: str
    reason: str

    @classmethod
    def of(cls, record: EscalationRecord) -> Escalation:
        """The view of an escalation."""
        return cls(at=DateTime(record.at), to=record.to, reason=record.reason)


@object_type
class HumanTaskHolder:
    """A person who had the task: claimed it, or was given it."""

    by: str
    since: DateTime = strawberry.field(name="from")
    until: DateTime | None = strawberry.field(description="Null while the person has it")

    @classmethod
    def of(cls, record: HolderRecord) -> HumanTaskHolder:
        """The view of who had a task."""
        until = DateTime(record.until) if record.until else None
        return cls(by=record.by, since=DateTime(record.at), until=until)


@object_type
class HumanTaskReminder:
    """A reminder of a task to those who may complete it."""

    at: DateTime
    channel: str | None = strawberry.field(
        description="The channel of the message, if one was sent"
    )
    notified_at: DateTime | None = strawberry.field(description="When it was sent")

    @classmethod
    def of(cls, record: ReminderRecord) -> HumanTaskReminder:
        """The view of a reminder."""
        notified = DateTime(record.notified_at) if record.notified_at else None
        return cls(at=DateTime(record.at), channel=record.channel, notified_at=notified)


@object_type
class HumanTask(Node):
    """A question of a run to a person."""

    record: strawberry.Private[TaskRecord]
    title: str
    instructions: str | None
    state: HumanTaskState
    candidate_roles: list[str] = strawberry.field(
        description='Who may answer: "team/role", or "*/role" for the role in every team'
    )
    exclude: list[str] = strawberry.field(
        description=(
            "Who may not, whatever their roles: subjects, `requester` (who started the run), "
            "`approvers` (who answered another task of the process)"
        )
    )
    assignee: str | None
    form: Json = strawberry.field(description="JSON Schema of the answer")
    outcomes: list[str]
    outcome: str | None
    created_at: DateTime
    due_at: DateTime | None
    completed_at: DateTime | None
    completed_by: str | None
    approvals_needed: int = strawberry.field(
        description="How many people must give the same answer with the first outcome"
    )

    @classmethod
    def of(cls, record: TaskRecord) -> HumanTask:
        """The view of a task."""
        return cls(
            record=record,
            id=strawberry.ID(to_global("HumanTask", record.id)),
            title=record.title,
            instructions=record.instructions,
            state=record.state,
            candidate_roles=list(record.candidate_roles),
            exclude=list(record.exclude),
            assignee=record.assignee,
            form=Json(record.form if record.form is not None else {}),
            outcomes=list(record.outcomes),
            outcome=record.outcome,
            created_at=DateTime(record.created_at),
            due_at=DateTime(record.due_at) if record.due_at else None,
            completed_at=DateTime(record.completed_at) if record.completed_at else None,
            completed_by=record.completed_by,
            approvals_needed=record.approvals_needed,
        )

    @field
    async def run(self, info: Info) -> Run:
        """The run that opened the task."""
        return Run.of(await info.context.load_existing(run_by_id, self.record.run_id))

    @field
    async def context(self, info: Info) -> Json:
        """What the person needs to see in order to decide; reading it is recorded."""
        data = await self._data(info)
        return Json(data.context if data and data.context is not None else {})

    @field
    async def answer(self, info: Info) -> Json | None:
        """The answer, for a caller who may read the data; reading it is recorded."""
        data = await self._data(info)
        return Json(data.answer) if data and data.answer is not None else None

    @field
    async def reason(self, info: Info) -> str | None:
        """The reason of the answer, for a caller who may read the data; reading it is recorded."""
        data = await self._data(info)
        return data.reason if data else None

    @field
    async def escalations(self, info: Info) -> list[Escalation]:
        """Its escalations, because nobody completed it in time."""
        extras = await info.context.load(task_extras, self.record.id)
        return [Escalation.of(record) for record in extras.escalations] if extras else []

    @field
    async def reminders(self, info: Info) -> list[HumanTaskReminder]:
        """Its reminders so far, as `remind` of the task defines."""
        extras = await info.context.load(task_extras, self.record.id)
        return [HumanTaskReminder.of(record) for record in extras.reminders] if extras else []

    @field
    async def holders(self, info: Info) -> list[HumanTaskHolder]:
        """Who has had it, from when until when; the time between is that of a queue."""
        extras = await info.context.load(task_extras, self.record.id)
        return [HumanTaskHolder.of(record) for record in extras.holders] if extras else []

    @field
    async def approvals(self, info: Info) -> list[Approval]:
        """The answers so far, also those that count no more, by time."""
        extras = await info.context.load(task_extras, self.record.id)
        return [Approval.of_task(record) for record in extras.approvals] if extras else []

    @field
    async def approvals_given(self, info: Info) -> int:
        """How many of its answers count: approvals of one and the same answer."""
        extras = await info.context.load(task_extras, self.record.id)
        return sum(each.voided_by is None for each in extras.approvals) if extras else 0

    async def _data(self, info: Info) -> TaskData | None:
        return await info.context.load(task_data, self.record.id)


@input_type
class HumanTaskInput:
    """The task to claim or to release."""

    task: strawberry.ID
    comment: str | None = None
    client_mutation_id: str | None = None


@input_type
class DelegateHumanTaskInput:
    """The task to delegate, and the candidate who receives it."""

    task: strawberry.ID
    to: str
    comment: str
    client_mutation_id: str | None = None


@input_type
class CompleteHumanTaskInput:
    """The task to complete, its outcome and its answer."""

    task: strawberry.ID
    outcome: str
    answer: Json
    reason: str | None = None
    agrees_to: str | None = strawberry.field(
        default=None,
        description=(
            "The digest of the answer of an earlier approver: if another answer stands by now, "
            "nothing is approved. Without it another answer starts over"
        ),
    )
    client_mutation_id: str | None = None


@object_type
class HumanTaskPayload:
    """The task after the change, or the problems."""

    task: HumanTask | None
    problems: list[Problem]
