"""The view of a flow's schedule, an addition to the contract; input and payload of changing it."""

from __future__ import annotations

from uuid import UUID

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.loaders import run_by_id
from coe.api.graphql.nodes import Problem, field, input_type, object_type
from coe.api.graphql.scalars import DateTime
from coe.api.types.flows import Flow
from coe.api.types.runs import Run
from coe.language.schedules import ScheduleKind
from coe.schedules.queries import ScheduleRecord


@object_type
class Schedule:
    """When a flow starts by itself, by its live version."""

    last_run_id: strawberry.Private[UUID | None]
    kind: ScheduleKind
    expression: str = strawberry.field(
        description="The cron expression, the duration in ISO 8601, or the types of the events",
    )
    time_zone: str = strawberry.field(description="IANA name; for a cron expression")
    enabled: bool = strawberry.field(description="Whether it is not paused")
    version: str = strawberry.field(description="The version that it starts")
    next_at: DateTime | None = strawberry.field(
        description="Null if events start it, and while it waits for the end of its last run",
    )
    last_at: DateTime | None = strawberry.field(description="When it was last due")
    problem: str | None = strawberry.field(
        description="Why the last start failed, without any data",
    )
    unmatched_events: int = strawberry.field(
        description="How many of the events that are kept it could not compare, because an"
        " expression failed on their data",
    )

    @classmethod
    def of(cls, record: ScheduleRecord) -> Schedule:
        """The view of a schedule."""
        return cls(
            last_run_id=record.last_run_id,
            kind=record.kind,
            expression=record.expression,
            time_zone=record.time_zone,
            enabled=record.enabled,
            version=record.version,
            next_at=DateTime(record.next_at) if record.next_at else None,
            last_at=DateTime(record.last_at) if record.last_at else None,
            problem=record.problem,
            unmatched_events=record.unmatched,
        )

    @field
    async def last_run(self, info: Info) -> Run | None:
        """The last run that it started, for a caller who may read it."""
        if self.last_run_id is None:
            return None
        record = await info.context.load(run_by_id, self.last_run_id)
        return Run.of(record) if record else None


@input_type
class ScheduleInput:
    """The flow whose schedule to pause or to resume, and why."""

    flow: str = strawberry.field(description="namespace/name")
    reason: str
    client_mutation_id: str | None = None


@object_type
class SchedulePayload:
    """The flow whose schedule was changed, or the problems."""

    flow: Flow | None
    problems: list[Problem]
