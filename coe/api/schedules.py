"""When flows start by themselves: additions to the contract."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from coe.api.context import Info, batch
from coe.api.entries import entry_by_id
from coe.api.idempotency import Receipt, once
from coe.api.nodes import Problem, field, mutation
from coe.api.runs import Run, run_by_id
from coe.api.scalars import Moment
from coe.catalog.records import EntryRecord
from coe.language.schedules import ScheduleKind
from coe.schedules.actions import pause_schedule, resume_schedule
from coe.schedules.queries import ScheduleRecord, schedules_of_flows
from coe.work import Work

if TYPE_CHECKING:
    from coe.api.flows import Flow

schedule_of = batch(schedules_of_flows)


@strawberry.type(description="When a flow starts by itself, by its live version")
class Schedule:
    """When a flow starts by itself."""

    last_run_id: strawberry.Private[UUID | None]
    kind: ScheduleKind
    expression: str = strawberry.field(
        description="The cron expression, the duration in ISO 8601, or the types of the events",
    )
    time_zone: str = strawberry.field(description="IANA name; for a cron expression")
    enabled: bool = strawberry.field(description="Whether it is not paused")
    version: str = strawberry.field(description="The version that it starts")
    next_at: Moment | None = strawberry.field(
        description="Null where events start it, and while it waits for the end of its last run",
    )
    last_at: Moment | None = strawberry.field(description="When it was last due")
    problem: str | None = strawberry.field(
        description="Why the last start did not come about, without any data",
    )

    @classmethod
    def of(cls, row: ScheduleRecord) -> Schedule:
        """The view of a schedule."""
        return cls(
            last_run_id=row.last_run_id,
            kind=row.kind,
            expression=row.expression,
            time_zone=row.time_zone,
            enabled=row.enabled,
            version=row.version,
            next_at=Moment(row.next_at) if row.next_at else None,
            last_at=Moment(row.last_at) if row.last_at else None,
            problem=row.problem,
        )

    @field
    async def last_run(self, info: Info) -> Run | None:
        """The last run that it started, for a caller who may read it."""
        if self.last_run_id is None:
            return None
        row = await info.context.load(run_by_id, self.last_run_id)
        return Run.of(row) if row else None


@strawberry.input(description="Whose schedule to pause or to resume, and why")
class ScheduleInput:
    """Whose schedule to pause or to resume, and why."""

    flow: str = strawberry.field(description="namespace/name")
    reason: str
    client_mutation_id: str | None = None


@strawberry.type(description="The flow whose schedule was changed, or the problems")
class SchedulePayload:
    """The flow whose schedule was changed, or the problems."""

    flow: Annotated[Flow, strawberry.lazy("coe.api.flows")] | None
    problems: list[Problem]


async def _change(
    info: Info,
    name: str,
    given: ScheduleInput,
    verb: Callable[[Work], Awaitable[EntryRecord]],
) -> SchedulePayload:
    from coe.api.flows import Flow  # noqa: PLC0415  # flows name their schedules

    async def act(work: Work) -> Receipt:
        return Receipt({"entry": str((await verb(work)).id)})

    receipt = await once(info.context, name, given.client_mutation_id, given, act)
    entry_id = receipt.id("entry")
    row = await info.context.load(entry_by_id, entry_id) if entry_id else None
    return SchedulePayload(
        flow=Flow.of(row) if row else None,
        problems=[Problem.of(problem) for problem in receipt.problems],
    )


@strawberry.type
class ScheduleMutation:
    """The part of Mutation that is about schedules."""

    @mutation
    async def pause_schedule(self, info: Info, input: ScheduleInput) -> SchedulePayload:  # noqa: A002  # the contract's style
        """Lets a flow start no run by itself until it is resumed; what runs goes on."""
        return await _change(
            info,
            "pauseSchedule",
            input,
            lambda work: pause_schedule(work, input.flow, reason=input.reason),
        )

    @mutation
    async def resume_schedule(self, info: Info, input: ScheduleInput) -> SchedulePayload:  # noqa: A002  # the same
        """Lets a flow start by itself again, from now on: what was missed is not made up for."""
        return await _change(
            info,
            "resumeSchedule",
            input,
            lambda work: resume_schedule(work, input.flow, reason=input.reason),
        )
