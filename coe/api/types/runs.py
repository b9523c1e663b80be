"""Views of runs, their steps and errors; inputs and payload of starting and changing them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.ids import to_global, to_uuid
from coe.api.graphql.loaders import (
    child_of_step,
    children_of,
    first_runs_of,
    flow_of_run_version,
    interventions_of,
    readers_of_run,
    run_by_id,
    run_data,
    steps_of,
    task_of_step,
    version_of_run,
    wait_of_run,
)
from coe.api.graphql.nodes import Node, Problem, field, input_type, object_type
from coe.api.graphql.paging import Connection, page_size
from coe.api.graphql.scalars import DateTime, IsoDuration, Json
from coe.api.types.flow_versions import FlowVersion
from coe.api.types.flows import Flow
from coe.errors import NotFound
from coe.machine.commands import StepState, StepTimes, WaitCause
from coe.runs import drawings, queries
from coe.runs.models import InterventionKind, RunState
from coe.runs.records import (
    ErrorRecord,
    InterventionRecord,
    RunRecord,
    StepRecord,
    faulted_step,
)
from coe.runs.records import RunFilter as Wanted
from coe.runs.times_now import run_times

if TYPE_CHECKING:
    from coe.api.types.human_tasks import HumanTask


@input_type
class RunFilter:
    """Which runs; every part given must hold."""

    flows: list[str] | None = strawberry.field(
        default=None,
        description="Refs without a version: namespace/name",
    )
    states: list[RunState] | None = None
    correlation_id: str | None = None
    started_after: DateTime | None = None
    started_before: DateTime | None = None
    parent: strawberry.ID | None = None

    def wanted(self) -> Wanted:
        """The input of the query."""
        return Wanted(
            flows=tuple(self.flows or ()),
            states=tuple(self.states or ()),
            correlation_id=self.correlation_id,
            started_after=self.started_after,
            started_before=self.started_before,
            parent_id=to_uuid("Run", self.parent) if self.parent else None,
        )


@object_type
class RunError:
    """An error as RFC 7807 describes it, with the types of the process language."""

    run: strawberry.Private[UUID | None]
    record: strawberry.Private[ErrorRecord]
    type: str
    status: int
    instance: str | None
    reason: str = strawberry.field(
        description="Why, in a sentence without data, for everyone who may read the run",
    )

    @classmethod
    def of(cls, record: ErrorRecord, run: UUID | None = None) -> RunError:
        """The view of an error; with its run, a caller who may read its data sees all of it."""
        return cls(
            run=run,
            record=record,
            type=record.type,
            status=record.status,
            instance=record.instance,
            reason=record.reason,
        )

    @field
    async def title(self, info: Info) -> str | None:
        """For a caller who holds run:read_data, else null; reading it is recorded."""
        return (await self._whole(info)).title

    @field
    async def detail(self, info: Info) -> str | None:
        """For a caller who holds run:read_data, else null; reading it is recorded."""
        return (await self._whole(info)).detail

    async def _whole(self, info: Info) -> ErrorRecord:
        if self.run is None:
            return self.record
        data = await info.context.load(run_data, self.run)
        return data.error if data and data.error else self.record


@object_type
class DataReader:
    """A person who may read the data of a run."""

    subject: str
    via: str = strawberry.field(
        description="The role that allows it, such as finance/process-owner, or relation:owner",
    )


@object_type
class Wait:
    """How long a step or a run waited for one thing."""

    cause: WaitCause
    lasted: IsoDuration = strawberry.field(name="for")

    @classmethod
    def all_of(cls, waits: Mapping[WaitCause, timedelta]) -> list[Wait]:
        """The views of waits, the longest first."""
        longest = sorted(waits.items(), key=lambda each: (-each[1], each[0]))
        return [cls(cause=cause, lasted=IsoDuration(length)) for cause, length in longest]


@object_type
class Step:
    """One execution of a task of a run.

    It works or waits at each moment from its start to its end, or until now: `workedFor` and the
    `waits` add up to that time. A step with steps inside works while any of them works.
    """

    record: strawberry.Private[StepRecord]
    id: strawberry.ID
    path: str = strawberry.field(description="JSON pointer of the task in the definition")
    name: str
    kind: str
    state: StepState
    attempt: int
    iteration: str | None
    started_at: DateTime | None
    ended_at: DateTime | None
    worked_for: IsoDuration | None = strawberry.field(
        description="Also while a person has the task",
    )
    held_for: IsoDuration | None = strawberry.field(
        description="The part of it in which a person had the task, and nothing else worked",
    )
    waited_for: IsoDuration | None = strawberry.field(description="The sum of the waits")
    waits: list[Wait] = strawberry.field(description="For what it waited, the longest first")
    error: RunError | None
    unmatched_events: int = strawberry.field(
        description="How many events it could not compare, because an expression failed on their"
        " data; it waits on for others",
    )
    unmatched_at: str | None = strawberry.field(
        description="JSON pointer of the expression that failed on the last of them",
    )

    @classmethod
    def of(cls, record: StepRecord) -> Step:
        """The view of a step."""
        times = record.times
        return cls(
            record=record,
            id=strawberry.ID(to_global("Step", record.id)),
            path=record.path,
            name=record.name,
            kind=record.kind,
            state=record.state,
            attempt=record.attempt,
            iteration=record.iteration,
            started_at=DateTime(record.started_at) if record.started_at else None,
            ended_at=DateTime(record.ended_at) if record.ended_at else None,
            worked_for=IsoDuration(record.worked_for) if record.worked_for is not None else None,
            held_for=IsoDuration(times.held) if times else None,
            waited_for=IsoDuration(times.waited) if times else None,
            waits=Wait.all_of(times.waits) if times else [],
            error=RunError.of(record.error) if record.error else None,
            unmatched_events=record.unmatched,
            unmatched_at=record.unmatched_at,
        )

    @field
    async def human_task(
        self,
        info: Info,
    ) -> Annotated[HumanTask, strawberry.lazy("coe.api.types.human_tasks")] | None:
        """The human task that it opened, for a caller who may read it."""
        from coe.api.types.human_tasks import HumanTask  # noqa: PLC0415  # tasks refer to their runs

        record = await info.context.load(task_of_step, (self.record.run_id, self.record.key))
        return HumanTask.of(record) if record else None

    @field
    async def child_run(self, info: Info) -> Run | None:
        """The run that it called."""
        record = await info.context.load(child_of_step, (self.record.run_id, self.record.key))
        return Run.of(record) if record else None

    @field
    async def waits_because(self, info: Info) -> str | None:
        """Why the run that it called is not carried out: no worker has taken it; else null."""
        record = await info.context.load(child_of_step, (self.record.run_id, self.record.key))
        sentence = await info.context.load(wait_of_run, record.id) if record else None
        return f"{record.ref}: {sentence}" if record and sentence else None


@object_type
class RunIntervention:
    """That somebody cancelled or retried a run."""

    kind: InterventionKind
    by: str = strawberry.field(description="A person, a service, or the run that called it")
    at: DateTime
    reason: str

    @classmethod
    def of(cls, record: InterventionRecord) -> RunIntervention:
        """The view of an intervention."""
        return cls(kind=record.kind, by=record.by, at=DateTime(record.at), reason=record.reason)


@object_type
class Run(Node):
    """One execution of one exact version of a flow."""

    record: strawberry.Private[RunRecord]
    state: RunState
    correlation_id: str
    started_by: str
    requesters: list[str] = strawberry.field(
        description=(
            "Everyone who counts as having asked for it, and so cannot approve it: whoever started "
            "it, every sender of the events that did, and the makers of their credentials"
        )
    )
    requested_at: DateTime
    started_at: DateTime | None
    ended_at: DateTime | None
    error: RunError | None
    trace_id: str | None = strawberry.field(description="W3C trace id")
    engine_run_id: str | None = strawberry.field(
        description="The engine's id of the run, such as that of the Prefect flow run",
    )
    engine_url: str | None = strawberry.field(description="The engine's page of the run")

    @classmethod
    def of(cls, record: RunRecord) -> Run:
        """The view of a run."""
        return cls(
            record=record,
            id=strawberry.ID(to_global("Run", record.id)),
            state=record.state,
            correlation_id=record.correlation_id,
            started_by=record.started_by,
            requesters=list(record.requesters),
            requested_at=DateTime(record.requested_at),
            started_at=DateTime(record.started_at) if record.started_at else None,
            ended_at=DateTime(record.ended_at) if record.ended_at else None,
            error=RunError.of(record.error, record.id) if record.error else None,
            trace_id=record.trace_id,
            engine_run_id=record.engine_run_id,
            engine_url=record.engine_url,
        )

    @field
    async def flow(self, info: Info) -> Flow:
        """The flow that it runs."""
        version_id = self.record.version_id
        return Flow.of(await info.context.load_existing(flow_of_run_version, version_id))

    @field
    async def version(self, info: Info) -> FlowVersion:
        """The version with which it started, whatever was published later."""
        version_id = self.record.version_id
        return FlowVersion.of(await info.context.load_existing(version_of_run, version_id))

    @field
    async def parent(self, info: Info) -> Run | None:
        """The run that called it."""
        if self.record.parent_id is None:
            return None
        record = await info.context.load(run_by_id, self.record.parent_id)
        return Run.of(record) if record else None

    @field
    async def children(self, info: Info) -> list[Run]:
        """The runs that it called, in their order."""
        records = await info.context.load(children_of, self.record.id)
        return [Run.of(record) for record in records or ()]

    @field
    async def input(self, info: Info) -> Json | None:
        """Decrypted for a caller who holds run:read_data, else null; reading it is recorded."""
        data = await info.context.load(run_data, self.record.id)
        return Json(data.input) if data and data.input is not None else None

    @field
    async def output(self, info: Info) -> Json | None:
        """Decrypted for a caller who holds run:read_data, else null; reading it is recorded."""
        data = await info.context.load(run_data, self.record.id)
        return Json(data.output) if data and data.output is not None else None

    @field
    async def steps(self, info: Info) -> list[Step]:
        """Its steps, in the order in which they started."""
        records = await info.context.load(steps_of, self.record.id)
        return [Step.of(record) for record in records or ()]

    @field
    async def worked_for(self, info: Info) -> IsoDuration | None:
        """The time since its request in which it did not wait; null if that is not known."""
        times = await self._times(info)
        return IsoDuration(times.since - self.record.requested_at - times.waited) if times else None

    @field
    async def held_for(self, info: Info) -> IsoDuration | None:
        """The part of it in which a person had a task, and nothing else worked."""
        times = await self._times(info)
        return IsoDuration(times.held) if times else None

    @field
    async def waited_for(self, info: Info) -> IsoDuration | None:
        """The sum of the waits; null if it is not known."""
        times = await self._times(info)
        return IsoDuration(times.waited) if times else None

    @field
    async def waits(self, info: Info) -> list[Wait]:
        """For what it waited since its request, until its end or until now, the longest first."""
        times = await self._times(info)
        return Wait.all_of(times.waits) if times else []

    async def _times(self, info: Info) -> StepTimes | None:
        steps = () if self.record.local else await info.context.load(steps_of, self.record.id)
        return run_times(self.record, steps or (), info.context.platform.clock())

    @field
    async def faulted_step(self, info: Info) -> Step | None:
        """The step at which a faulted run faulted; null if it faulted outside of a step."""
        if self.record.error is None:
            return None
        steps = await info.context.load(steps_of, self.record.id)
        found = faulted_step(steps or (), self.record.error)
        return Step.of(found) if found else None

    @field
    async def data_readers(self, info: Info) -> list[DataReader]:
        """The people who may read its data; none for a caller from outside the organisation."""
        records = await info.context.load(readers_of_run, self.record.id)
        return [DataReader(subject=each.subject, via=each.via) for each in records or ()]

    @field
    async def interventions(self, info: Info) -> list[RunIntervention]:
        """Who cancelled or retried it, and why, the earliest first."""
        records = await info.context.load(interventions_of, self.record.id)
        return [RunIntervention.of(record) for record in records or ()]

    @field
    async def waits_because(self, info: Info) -> str | None:
        """Why nobody carries it out, such as that no worker of its team has taken it; else null."""
        return await info.context.load(wait_of_run, self.record.id)

    @field
    async def diagram(self, info: Info) -> str:
        """Mermaid source with the states of the steps.

        For a caller who may not read the definition, it shows only the steps that were taken.
        """
        async with info.context.read() as read:
            drawn = await drawings.run_mermaid(read, self.record.id)
        if drawn is None:
            raise NotFound
        return drawn

    @field
    async def diagram_svg(self, info: Info) -> str:
        """The diagram as an SVG document, with states, times and attempts of the steps."""
        async with info.context.read() as read:
            drawn = await drawings.run_svg(read, self.record.id)
        if drawn is None:
            raise NotFound
        return drawn


@input_type
class StartRunInput:
    """The flow to run, and its input."""

    flow: str = strawberry.field(
        description="Ref; without a version, the one that the alias `live` names",
    )
    input: Json
    correlation_id: str | None = None
    client_mutation_id: str | None = None


@input_type
class RunInput:
    """The run to cancel or to retry, and why."""

    run: strawberry.ID
    reason: str
    client_mutation_id: str | None = None


@object_type
class RunPayload:
    """The run after the change, or the problems."""

    run: Run | None
    problems: list[Problem]


async def runs_page(
    info: Info, wanted: Wanted, first: int | None, after: str | None
) -> Connection[Run]:
    """A page of runs, the newest first."""
    size = page_size(first)
    page = await info.context.read_from_standby(
        lambda read: queries.runs(read, wanted, first=size, after=after)
    )
    return Connection.of(page, Run.of)


async def runs_of_flow(
    info: Info, flow: str, given: RunFilter | None, first: int | None, after: str | None
) -> Connection[Run]:
    """A page of the runs of a flow, the newest first; the filter's own flows are ignored."""
    if given is None and after is None:
        page = await info.context.load(first_runs_of, (flow, page_size(first)))
        return Connection.of(page, Run.of)
    wanted = replace((given or RunFilter()).wanted(), flows=(flow,))
    return await runs_page(info, wanted, first, after)
