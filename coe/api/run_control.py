"""Runs are started, cancelled and retried."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import strawberry

from coe.api.context import Context, Info
from coe.api.idempotency import Receipt, once
from coe.api.ids import to_uuid
from coe.api.nodes import Problem, mutation
from coe.api.runs import Run, run_by_id
from coe.api.scalars import Json
from coe.runs import actions
from coe.runs.records import RunRecord
from coe.work import Work


@strawberry.input(description="Which flow to run, on what")
class StartRunInput:
    """Which flow to run, on what."""

    flow: str
    input: Json
    correlation_id: str | None = None
    client_mutation_id: str | None = None


@strawberry.input(description="Which run to stop or to send on, and why")
class RunInput:
    """Which run to stop or to send on, and why."""

    run: strawberry.ID
    reason: str
    client_mutation_id: str | None = None


@strawberry.type(description="The run after the change, or the problems")
class RunPayload:
    """The run after the change, or the problems."""

    run: Run | None
    problems: list[Problem]


async def change_run(
    context: Context,
    name: str,
    key: str | None,
    given: object,
    verb: Callable[[Work], Awaitable[RunRecord]],
) -> RunPayload:
    """Carry out a verb on a run, once for its key, and give the run as it stands."""

    async def act(work: Work) -> Receipt:
        return Receipt({"run": str((await verb(work)).id)})

    receipt = await once(context, name, key, given, act)
    run_id = receipt.id("run")
    row = await context.load(run_by_id, run_id) if run_id else None
    return RunPayload(
        run=Run.of(row) if row else None,
        problems=[Problem.of(problem) for problem in receipt.problems],
    )


@strawberry.type
class RunMutation:
    """The part of Mutation that is about runs."""

    @mutation
    async def start_run(self, info: Info, input: StartRunInput) -> RunPayload:  # noqa: A002  # the contract's name, here and below
        """Asks for a run of the exact version that the ref names now; the engine begins it soon."""
        return await change_run(
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
        """Stops a run, its children, timers and human tasks."""
        return await change_run(
            info.context,
            "cancelRun",
            input.client_mutation_id,
            input,
            lambda work: actions.cancel_run(work, to_uuid("Run", input.run), reason=input.reason),
        )

    @mutation
    async def retry_run(self, info: Info, input: RunInput) -> RunPayload:  # noqa: A002
        """Continues a faulted run from the step that faulted."""
        return await change_run(
            info.context,
            "retryRun",
            input.client_mutation_id,
            input,
            lambda work: actions.retry_run(work, to_uuid("Run", input.run), reason=input.reason),
        )
