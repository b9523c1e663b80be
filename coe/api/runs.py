"""Runs and their steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from coe.api.context import Context, Info, batch
from coe.api.flows import Flow, FlowVersion
from coe.api.ids import to_global, to_uuid
from coe.api.nested_pages import first_runs
from coe.api.nodes import Node, field
from coe.api.paging import PageInfo, checked
from coe.api.run_flows import flows_of_versions, versions_of_runs
from coe.api.scalars import Json, Length, Moment
from coe.errors import NotFound
from coe.human_tasks import queries as task_queries
from coe.machine.commands import StepState
from coe.paging import Page
from coe.runs import drawings, queries
from coe.runs.disclosure import read_run_data
from coe.runs.models import RunState
from coe.runs.records import ErrorRecord, RunData, RunRecord, StepRecord
from coe.runs.records import RunFilter as Wanted

if TYPE_CHECKING:
    from coe.api.human_tasks import HumanTask


run_by_id = batch(queries.runs_by_id)
children_of = batch(queries.children_of_runs)
steps_of = batch(queries.steps_of_runs)
child_of_step = batch(queries.children_by_step)
flow_of_version = batch(flows_of_versions)
version_of_run = batch(versions_of_runs)
task_of_step = batch(task_queries.tasks_by_step)


async def data_of(context: Context, ids: list[UUID]) -> list[RunData | None]:
    """Inputs and outputs that the caller may read; that they were read is recorded."""
    async with context.work() as work:
        found = await read_run_data(work, ids)
    return [found.get(run_id) for run_id in ids]


@strawberry.input(description="Which runs; every part given must hold")
class RunFilter:
    """Which runs."""

    flows: list[str] | None = strawberry.field(
        default=None,
        description="Refs without a version: namespace/name",
    )
    states: list[RunState] | None = None
    correlation_id: str | None = None
    started_after: Moment | None = None
    started_before: Moment | None = None
    parent: strawberry.ID | None = None


@strawberry.type(description="RFC 7807, as the language defines it")
class RunError:
    """What went wrong."""

    run: strawberry.Private[UUID | None]
    row: strawberry.Private[ErrorRecord]
    type: str
    status: int
    instance: str | None

    @classmethod
    def of(cls, row: ErrorRecord, run: UUID | None = None) -> RunError:
        """The view of an error; with its run, what it says can be read by who may."""
        return cls(run=run, row=row, type=row.type, status=row.status, instance=row.instance)

    @field
    async def title(self, info: Info) -> str | None:
        """For a caller who holds run:read_data, else null."""
        return (await self._whole(info)).title

    @field
    async def detail(self, info: Info) -> str | None:
        """For a caller who holds run:read_data, else null."""
        return (await self._whole(info)).detail

    async def _whole(self, info: Info) -> ErrorRecord:
        if self.run is None:
            return self.row
        data = await info.context.load(data_of, self.run)
        return data.error if data and data.error else self.row


@strawberry.type(description="One execution of a task of a run")
class Step:
    """One execution of a task of a run."""

    row: strawberry.Private[StepRecord]
    id: strawberry.ID
    path: str = strawberry.field(description="JSON pointer of the task in the definition")
    name: str
    kind: str
    state: StepState
    attempt: int
    iteration: str | None
    started_at: Moment | None
    ended_at: Moment | None
    worked_for: Length | None
    waited_for: Length | None
    error: RunError | None

    @classmethod
    def of(cls, row: StepRecord) -> Step:
        """The view of a step."""
        return cls(
            row=row,
            id=strawberry.ID(to_global("Step", row.id)),
            path=row.path,
            name=row.name,
            kind=row.kind,
            state=row.state,
            attempt=row.attempt,
            iteration=row.iteration,
            started_at=Moment(row.started_at) if row.started_at else None,
            ended_at=Moment(row.ended_at) if row.ended_at else None,
            worked_for=Length(row.worked_for) if row.worked_for is not None else None,
            waited_for=Length(row.waited_for) if row.waited_for is not None else None,
            error=RunError.of(row.error) if row.error else None,
        )

    @field
    async def human_task(
        self,
        info: Info,
    ) -> Annotated[HumanTask, strawberry.lazy("coe.api.human_tasks")] | None:
        """What it asks a person, for a caller who may read it."""
        from coe.api.human_tasks import HumanTask  # noqa: PLC0415  # tasks name their runs

        row = await info.context.load(task_of_step, (self.row.run_id, self.row.key))
        return HumanTask.of(row) if row else None

    @field
    async def child_run(self, info: Info) -> Run | None:
        """The run that it called."""
        row = await info.context.load(child_of_step, (self.row.run_id, self.row.key))
        return Run.of(row) if row else None


@strawberry.type(description="One execution of one exact version of a flow")
class Run(Node):
    """One execution of one exact version of a flow."""

    row: strawberry.Private[RunRecord]
    state: RunState
    correlation_id: str
    started_by: str
    requested_at: Moment
    started_at: Moment | None
    ended_at: Moment | None
    error: RunError | None
    trace_id: str | None = strawberry.field(description="W3C trace id")
    engine_run_id: str | None = strawberry.field(
        description="The engine's own id, such as the Prefect flow run",
    )
    engine_url: str | None = strawberry.field(description="The engine's own page of the run")

    @classmethod
    def of(cls, row: RunRecord) -> Run:
        """The view of a run."""
        return cls(
            row=row,
            id=strawberry.ID(to_global("Run", row.id)),
            state=row.state,
            correlation_id=row.correlation_id,
            started_by=row.started_by,
            requested_at=Moment(row.requested_at),
            started_at=Moment(row.started_at) if row.started_at else None,
            ended_at=Moment(row.ended_at) if row.ended_at else None,
            error=RunError.of(row.error, row.id) if row.error else None,
            trace_id=row.trace_id,
            engine_run_id=row.engine_run_id,
            engine_url=row.engine_url,
        )

    @field
    async def flow(self, info: Info) -> Flow:
        """The flow that it runs."""
        row = await info.context.load(flow_of_version, self.row.version_id)
        if row is None:
            raise NotFound
        return Flow.of(row)

    @field
    async def version(self, info: Info) -> FlowVersion:
        """The version with which it began, whatever was published later."""
        row = await info.context.load(version_of_run, self.row.version_id)
        if row is None:
            raise NotFound
        return FlowVersion.of(row)

    @field
    async def parent(self, info: Info) -> Run | None:
        """The run that called it."""
        if self.row.parent_id is None:
            return None
        row = await info.context.load(run_by_id, self.row.parent_id)
        return Run.of(row) if row else None

    @field
    async def children(self, info: Info) -> list[Run]:
        """The runs that it called, in their order."""
        rows = await info.context.load(children_of, self.row.id)
        return [Run.of(row) for row in rows or ()]

    @field
    async def input(self, info: Info) -> Json | None:
        """Decrypted for a caller who holds run:read_data, else null; the reading is recorded."""
        data = await info.context.load(data_of, self.row.id)
        return Json(data.input) if data and data.input is not None else None

    @field
    async def output(self, info: Info) -> Json | None:
        """Decrypted for a caller who holds run:read_data, else null; the reading is recorded."""
        data = await info.context.load(data_of, self.row.id)
        return Json(data.output) if data and data.output is not None else None

    @field
    async def steps(self, info: Info) -> list[Step]:
        """What it did and does, in the order of the starts."""
        rows = await info.context.load(steps_of, self.row.id)
        return [Step.of(row) for row in rows or ()]

    @field
    async def diagram(self, info: Info) -> str:
        """Mermaid source, with states; only of steps taken if the definition is not to be read."""
        async with info.context.read() as read:
            drawn = await drawings.mermaid(read, self.row.id)
        if drawn is None:
            raise NotFound
        return drawn

    @field
    async def diagram_svg(self, info: Info) -> str:
        """The same as an SVG document, with states, times and attempts laid over the steps."""
        async with info.context.read() as read:
            drawn = await drawings.svg(read, self.row.id)
        if drawn is None:
            raise NotFound
        return drawn


@strawberry.type(description="A run and its place in a list")
class RunEdge:
    """A run and its cursor."""

    cursor: str
    node: Run


@strawberry.type(description="A page of runs, the newest first")
class RunConnection:
    """A page of runs."""

    edges: list[RunEdge]
    nodes: list[Run]
    page_info: PageInfo
    total_count: int

    @classmethod
    def of(cls, page: Page[RunRecord]) -> RunConnection:
        """The view of a page."""
        nodes = [Run.of(row) for row in page.items]
        edges = [
            RunEdge(cursor=cursor, node=node)
            for cursor, node in zip(page.cursors, nodes, strict=True)
        ]
        return cls(edges=edges, nodes=nodes, page_info=PageInfo.of(page), total_count=page.total)


async def runs_page(
    info: Info,
    wanted: RunFilter | None,
    first: int | None,
    after: str | None,
    *,
    flow: str | None = None,
) -> RunConnection:
    """A page of runs; with `flow`, of that flow alone, whatever the filter says of flows."""
    if flow is not None and wanted is None and after is None:
        return RunConnection.of(await info.context.load(first_runs, (flow, checked(first))))
    given = wanted or RunFilter()
    flows = (flow,) if flow else tuple(given.flows or ())
    chosen = Wanted(
        flows=flows,
        states=tuple(given.states or ()),
        correlation_id=given.correlation_id,
        started_after=given.started_after,
        started_before=given.started_before,
        parent_id=to_uuid("Run", given.parent) if given.parent else None,
    )
    async with info.context.read() as read:
        page = await queries.runs(read, chosen, first=checked(first), after=after)
    return RunConnection.of(page)


@strawberry.type
class RunQuery:
    """The part of Query that is about runs."""

    @field
    async def run(self, info: Info, id: strawberry.ID) -> Run | None:  # noqa: A002  # the contract's name
        """A run by its id; the plain UUID is taken too, as workers have it."""
        row = await info.context.load(run_by_id, to_uuid("Run", id))
        if row is None:
            raise NotFound
        return Run.of(row)

    @field
    async def runs(
        self,
        info: Info,
        filter: RunFilter | None = None,  # noqa: A002  # the contract's name
        first: int | None = 20,
        after: str | None = None,
    ) -> RunConnection:
        """Runs that the caller may read, the newest first."""
        return await runs_page(info, filter, first, after)
