"""Root fields that claim, release, delegate and complete human tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.ids import to_uuid
from coe.api.graphql.loaders import task_by_id
from coe.api.graphql.nodes import Problem, mutation
from coe.api.types.human_tasks import (
    CompleteHumanTaskInput,
    DelegateHumanTaskInput,
    HumanTask,
    HumanTaskInput,
    HumanTaskPayload,
)
from coe.human_tasks import actions
from coe.idempotency import Receipt
from coe.runs.task_records import TaskRecord
from coe.work import Work


async def _change(
    info: Info,
    name: str,
    given: HumanTaskInput | DelegateHumanTaskInput | CompleteHumanTaskInput,
    verb: Callable[[Work, UUID], Awaitable[TaskRecord]],
) -> HumanTaskPayload:
    async def act(work: Work) -> Receipt:
        return Receipt({"task": str((await verb(work, to_uuid("HumanTask", given.task))).id)})

    receipt = await once(info.context, name, given.client_mutation_id, given, act)
    task_id = receipt.id("task")
    record = await info.context.load(task_by_id, task_id) if task_id else None
    return HumanTaskPayload(
        task=HumanTask.of(record) if record else None,
        problems=Problem.all_of(receipt.problems),
    )


@strawberry.type
class HumanTaskMutation:
    """The fields of Mutation about human tasks."""

    @mutation
    async def claim_human_task(self, info: Info, input: HumanTaskInput) -> HumanTaskPayload:  # noqa: A002  # the contract's name, here and below
        """Claim a task, so that nobody else completes it."""
        return await _change(
            info,
            "claimHumanTask",
            input,
            lambda work, key: actions.claim_task(work, key, comment=input.comment),
        )

    @mutation
    async def release_human_task(self, info: Info, input: HumanTaskInput) -> HumanTaskPayload:  # noqa: A002
        """Release a claimed task to all its candidates."""
        return await _change(
            info,
            "releaseHumanTask",
            input,
            lambda work, key: actions.release_task(work, key, comment=input.comment),
        )

    @mutation
    async def delegate_human_task(
        self,
        info: Info,
        input: DelegateHumanTaskInput,  # noqa: A002
    ) -> HumanTaskPayload:
        """Delegate a task to another of its candidates."""
        return await _change(
            info,
            "delegateHumanTask",
            input,
            lambda work, key: actions.delegate_task(
                work,
                key,
                to=input.to,
                comment=input.comment,
            ),
        )

    @mutation
    async def complete_human_task(
        self,
        info: Info,
        input: CompleteHumanTaskInput,  # noqa: A002
    ) -> HumanTaskPayload:
        """Complete a task with an answer; the run continues when enough people gave this answer."""
        return await _change(
            info,
            "completeHumanTask",
            input,
            lambda work, key: actions.complete_task(
                work,
                key,
                outcome=input.outcome,
                answer=input.answer,  # type: ignore[arg-type]  # a value of JSON
                reason=input.reason,
                agrees_to=input.agrees_to,
            ),
        )
