"""Human tasks are claimed, released, delegated and completed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import strawberry

from coe.api.context import Info
from coe.api.human_tasks import HumanTask, task_by_id
from coe.api.idempotency import Receipt, once
from coe.api.ids import to_uuid
from coe.api.nodes import Problem, mutation
from coe.api.scalars import Json
from coe.human_tasks import actions as human_tasks
from coe.runs.task_records import TaskRecord
from coe.work import Work


@strawberry.input(description="Which task is taken or given back")
class HumanTaskInput:
    """Which task is taken or given back."""

    task: strawberry.ID
    comment: str | None = None
    client_mutation_id: str | None = None


@strawberry.input(description="Which task is handed to whom")
class DelegateHumanTaskInput:
    """Which task is handed to whom."""

    task: strawberry.ID
    to: str
    comment: str
    client_mutation_id: str | None = None


@strawberry.input(description="How a task is answered")
class CompleteHumanTaskInput:
    """How a task is answered."""

    task: strawberry.ID
    outcome: str
    answer: Json
    reason: str | None = None
    client_mutation_id: str | None = None


@strawberry.type(description="The task after the change, or the problems")
class HumanTaskPayload:
    """The task after the change, or the problems."""

    task: HumanTask | None
    problems: list[Problem]


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
    row = await info.context.load(task_by_id, task_id) if task_id else None
    return HumanTaskPayload(
        task=HumanTask.of(row) if row else None,
        problems=[Problem.of(problem) for problem in receipt.problems],
    )


@strawberry.type
class HumanTaskMutation:
    """The part of Mutation that is about human tasks."""

    @mutation
    async def claim_human_task(self, info: Info, input: HumanTaskInput) -> HumanTaskPayload:  # noqa: A002  # the contract's name, here and below
        """Takes a task, so that nobody else answers it."""
        return await _change(
            info,
            "claimHumanTask",
            input,
            lambda work, key: human_tasks.claim_task(work, key, comment=input.comment),
        )

    @mutation
    async def release_human_task(self, info: Info, input: HumanTaskInput) -> HumanTaskPayload:  # noqa: A002
        """Gives a claimed task back to all its candidates."""
        return await _change(
            info,
            "releaseHumanTask",
            input,
            lambda work, key: human_tasks.release_task(work, key, comment=input.comment),
        )

    @mutation
    async def delegate_human_task(
        self,
        info: Info,
        input: DelegateHumanTaskInput,  # noqa: A002
    ) -> HumanTaskPayload:
        """Hands a task to another of its candidates."""
        return await _change(
            info,
            "delegateHumanTask",
            input,
            lambda work, key: human_tasks.delegate_task(
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
        """Answers a task, and lets the run go on."""
        return await _change(
            info,
            "completeHumanTask",
            input,
            lambda work, key: human_tasks.complete_task(
                work,
                key,
                outcome=input.outcome,
                answer=input.answer,  # type: ignore[arg-type]  # a value of JSON
                reason=input.reason,
            ),
        )
