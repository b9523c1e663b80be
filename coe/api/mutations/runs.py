"""Root fields that start, cancel and retry runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import strawberry

from coe.api.graphql.context import Context, Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.ids import to_uuid
from coe.api.graphql.loaders import run_by_id
from coe.api.graphql.nodes import Problem, mutation
from coe.api.types.runs import Run, RunInput, RunPayload, StartRunInput
from coe.idempotency import Receipt
from coe.runs import actions
from coe.runs.records import RunRecord
from coe.work import Work


async def _change(
    context: Context,
    name: str,
    key: str | None,
    given: object,
    verb: Callable[[Work], Awaitable[RunRecord]],
) -> RunPayload:
    async def act(work: Work) -> Receipt:
        return Receipt({"run": str((await verb(work)).id)})

    receipt = await once(context, name, key, given, act)
    run_id = receipt.id("run")
    record = await context.load(run_by_id, run_id) if run_id else None
    return RunPayload(
        run=Run.of(record) if record else None,
        problems=Problem.all_of(receipt.problems),
    )


@strawberry.type
class RunMutation:
    """The fields of Mutation about runs."""

    @mutation
    async def start_run(self, info: Info, input: StartRunInput) -> RunPayload:  # noqa: A002  # the contract's name, here and below
        """Request a run of the exact version that the ref names now; the engine starts it soon."""
        return await _change(
            info.context,
            "startRun",
            input.client_mutation_id,
            input,
            lambda work: actions.start_run(
                work,
                flow=input.flow,
                input=input.input,  # type: ignore[arg-type]  # a value of JSON
                correlation_id=input.correlation_id,
            ),
        )

    @mutation
    async def cancel_run(self, info: Info, input: RunInput) -> RunPayload:  # noqa: A002
        """Cancel a run with its children, timers and human tasks."""
        return await _change(
            info.context,
            "cancelRun",
            input.client_mutation_id,
            input,
            lambda work: actions.cancel_run(work, to_uuid("Run", input.run), reason=input.reason),
        )

    @mutation
    async def retry_run(self, info: Info, input: RunInput) -> RunPayload:  # noqa: A002
        """Continue a faulted run from the step that faulted."""
        return await _change(
            info.context,
            "retryRun",
            input.client_mutation_id,
            input,
            lambda work: actions.retry_run(work, to_uuid("Run", input.run), reason=input.reason),
        )
