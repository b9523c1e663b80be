"""Root fields that pause and resume the schedules of flows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.loaders import entry_by_id
from coe.api.graphql.nodes import Problem, mutation
from coe.api.types.flows import Flow
from coe.api.types.schedules import ScheduleInput, SchedulePayload
from coe.catalog.records import EntryRecord
from coe.idempotency import Receipt
from coe.schedules import actions
from coe.work import Work


async def _change(
    info: Info,
    name: str,
    given: ScheduleInput,
    verb: Callable[[Work], Awaitable[EntryRecord]],
) -> SchedulePayload:
    async def act(work: Work) -> Receipt:
        return Receipt({"entry": str((await verb(work)).id)})

    receipt = await once(info.context, name, given.client_mutation_id, given, act)
    entry_id = receipt.id("entry")
    record = await info.context.load(entry_by_id, entry_id) if entry_id else None
    return SchedulePayload(
        flow=Flow.of(record) if record else None,
        problems=Problem.all_of(receipt.problems),
    )


@strawberry.type
class ScheduleMutation:
    """The fields of Mutation about schedules."""

    @mutation
    async def pause_schedule(self, info: Info, input: ScheduleInput) -> SchedulePayload:  # noqa: A002  # the contract's style
        """Pause the schedule of a flow until it is resumed; runs in progress continue."""
        return await _change(
            info,
            "pauseSchedule",
            input,
            lambda work: actions.pause_schedule(work, input.flow, reason=input.reason),
        )

    @mutation
    async def resume_schedule(self, info: Info, input: ScheduleInput) -> SchedulePayload:  # noqa: A002  # the same
        """Resume the schedule of a flow from now on; missed starts are not made up for."""
        return await _change(
            info,
            "resumeSchedule",
            input,
            lambda work: actions.resume_schedule(work, input.flow, reason=input.reason),
        )
