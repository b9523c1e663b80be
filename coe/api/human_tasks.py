"""Human tasks: what runs ask people."""

from __future__ import annotations

from uuid import UUID

import strawberry

from coe.api.context import Context, Info, batch
from coe.api.entries import Approval
from coe.api.ids import to_global, to_uuid
from coe.api.nodes import Node, field
from coe.api.paging import PageInfo, checked
from coe.api.runs import Run, run_by_id
from coe.api.scalars import Json, Moment
from coe.errors import NotFound
from coe.human_tasks import queries as task_queries
from coe.paging import Page
from coe.runs.disclosure import read_task_data
from coe.runs.task_models import HumanTaskState
from coe.runs.task_records import EscalationRecord, ReminderRecord, TaskData, TaskRecord
from coe.runs.task_records import TaskFilter as Wanted

task_by_id = batch(task_queries.tasks_by_id)
extras_of = batch(task_queries.task_extras)


async def data_of(context: Context, ids: list[UUID]) -> list[TaskData | None]:
    """Contexts and answers that the caller may read; that they were read is recorded."""
    async with context.work() as work:
        found = await read_task_data(work, ids)
    return [found.get(task_id) for task_id in ids]


@strawberry.input(description="Which human tasks; every part given must hold")
class HumanTaskFilter:
    """Which human tasks."""

    states: list[HumanTaskState] | None = strawberry.field(
        default=None,
        description="Without them, those that somebody can still decide",
    )
    assigned_to_me: bool | None = None
    claimable: bool | None = strawberry.field(default=None, description="By the caller, now")
    flows: list[str] | None = None
    overdue: bool | None = None

    def wanted(self) -> Wanted:
        """The same for the query."""
        return Wanted(
            states=tuple(self.states or ()),
            assigned_to_me=self.assigned_to_me,
            claimable=self.claimable,
            flows=tuple(self.flows or ()),
            overdue=self.overdue,
        )


@strawberry.type(description="To whom a task went, when and why")
class Escalation:
    """To whom a task went."""

    at: Moment
    to: str
    reason: str

    @classmethod
    def of(cls, row: EscalationRecord) -> Escalation:
        """The view of an escalation."""
        return cls(at=Moment(row.at), to=row.to, reason=row.reason)


@strawberry.type(description="That those who may answer were reminded of a task")
class HumanTaskReminder:
    """That those who may answer were reminded."""

    at: Moment
    channel: str | None = strawberry.field(description="By which a message was sent, if one was")
    notified_at: Moment | None = strawberry.field(description="When it was sent")

    @classmethod
    def of(cls, row: ReminderRecord) -> HumanTaskReminder:
        """The view of a reminder."""
        notified = Moment(row.notified_at) if row.notified_at else None
        return cls(at=Moment(row.at), channel=row.channel, notified_at=notified)


@strawberry.type(description="A question that a run asks a person")
class HumanTask(Node):
    """A question that a run asks a person."""

    row: strawberry.Private[TaskRecord]
    title: str
    instructions: str | None
    state: HumanTaskState
    candidate_roles: list[str]
    assignee: str | None
    form: Json = strawberry.field(description="JSON Schema of the answer")
    outcomes: list[str]
    outcome: str | None
    created_at: Moment
    due_at: Moment | None
    completed_at: Moment | None
    completed_by: str | None
    approvals_needed: int

    @classmethod
    def of(cls, row: TaskRecord) -> HumanTask:
        """The view of a task."""
        return cls(
            row=row,
            id=strawberry.ID(to_global("HumanTask", row.id)),
            title=row.title,
            instructions=row.instructions,
            state=row.state,
            candidate_roles=list(row.candidate_roles),
            assignee=row.assignee,
            form=Json(row.form if row.form is not None else {}),
            outcomes=list(row.outcomes),
            outcome=row.outcome,
            created_at=Moment(row.created_at),
            due_at=Moment(row.due_at) if row.due_at else None,
            completed_at=Moment(row.completed_at) if row.completed_at else None,
            completed_by=row.completed_by,
            approvals_needed=row.approvals_needed,
        )

    @field
    async def run(self, info: Info) -> Run:
        """The run that asks."""
        row = await info.context.load(run_by_id, self.row.run_id)
        if row is None:
            raise NotFound
        return Run.of(row)

    @field
    async def context(self, info: Info) -> Json:
        """What the person needs to see in order to decide; the reading is recorded."""
        data = await self._data(info)
        return Json(data.context if data and data.context is not None else {})

    @field
    async def answer(self, info: Info) -> Json | None:
        """What was answered, for a caller who may read the data; the reading is recorded."""
        data = await self._data(info)
        return Json(data.answer) if data and data.answer is not None else None

    @field
    async def reason(self, info: Info) -> str | None:
        """Why it was so answered, for a caller who may read the data; the reading is recorded."""
        data = await self._data(info)
        return data.reason if data else None

    @field
    async def escalations(self, info: Info) -> list[Escalation]:
        """To whom it went because nobody answered in time."""
        extras = await info.context.load(extras_of, self.row.id)
        return [Escalation.of(row) for row in extras.escalations] if extras else []

    @field
    async def reminders(self, info: Info) -> list[HumanTaskReminder]:
        """When those who may answer were reminded, as `remind` of the task says."""
        extras = await info.context.load(extras_of, self.row.id)
        return [HumanTaskReminder.of(row) for row in extras.reminders] if extras else []

    @field
    async def approvals(self, info: Info) -> list[Approval]:
        """Who has answered so far."""
        extras = await info.context.load(extras_of, self.row.id)
        rows = extras.approvals if extras else ()
        return [Approval.of(row.by, row.at, row.decision, None) for row in rows]

    async def _data(self, info: Info) -> TaskData | None:
        return await info.context.load(data_of, self.row.id)


@strawberry.type(description="A task and its place in a list")
class HumanTaskEdge:
    """A task and its cursor."""

    cursor: str
    node: HumanTask


@strawberry.type(description="A page of tasks, the oldest first")
class HumanTaskConnection:
    """A page of tasks."""

    edges: list[HumanTaskEdge]
    nodes: list[HumanTask]
    page_info: PageInfo
    total_count: int

    @classmethod
    def of(cls, page: Page[TaskRecord]) -> HumanTaskConnection:
        """The view of a page."""
        nodes = [HumanTask.of(row) for row in page.items]
        edges = [
            HumanTaskEdge(cursor=cursor, node=node)
            for cursor, node in zip(page.cursors, nodes, strict=True)
        ]
        return cls(edges=edges, nodes=nodes, page_info=PageInfo.of(page), total_count=page.total)


@strawberry.type
class HumanTaskQuery:
    """The part of Query that is about human tasks."""

    @field
    async def human_task(self, info: Info, id: strawberry.ID) -> HumanTask | None:  # noqa: A002  # the contract's name
        """A human task by its id."""
        row = await info.context.load(task_by_id, to_uuid("HumanTask", id))
        if row is None:
            raise NotFound
        return HumanTask.of(row)

    @field
    async def inbox(
        self,
        info: Info,
        filter: HumanTaskFilter | None = None,  # noqa: A002  # the contract's name
        first: int | None = 20,
        after: str | None = None,
    ) -> HumanTaskConnection:
        """Human tasks that the caller may see, the oldest first."""
        wanted = filter.wanted() if filter else None
        async with info.context.read() as read:
            page = await task_queries.inbox(read, wanted, first=checked(first), after=after)
        return HumanTaskConnection.of(page)
