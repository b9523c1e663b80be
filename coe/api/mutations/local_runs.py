"""Root fields for a team's worker that carries out local runs.

Reports may be sent again: the verbs recognise a repeat, so these fields take no
`clientMutationId`.
"""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.ids import to_uuid
from coe.api.graphql.nodes import Problem, mutation
from coe.api.graphql.scalars import Json
from coe.api.types.local_runs import (
    ClaimRunInput,
    ClaimRunPayload,
    HeartbeatRunInput,
    ReleaseRunInput,
    ReportRunInput,
    ReportStepInput,
    RunClaim,
)
from coe.api.types.runs import Run, RunPayload
from coe.errors import Invalid
from coe.errors import Problem as FoundProblem
from coe.json_types import JSON
from coe.runs import local_runs


@strawberry.type
class LocalRunMutation:
    """The fields of Mutation for a team's worker."""

    @mutation
    async def claim_run(self, info: Info, input: ClaimRunInput) -> ClaimRunPayload:  # noqa: A002  # as in the contract's inputs
        """For a team's worker: claim a local run; returns its input and its completed steps."""
        run_id = to_uuid("Run", input.run)
        try:
            async with info.context.work() as work:
                claim = await local_runs.claim_run(work, run_id, token=input.token)
        except Invalid as error:
            return ClaimRunPayload(claim=None, problems=Problem.all_of(error.problems))
        info.context.forget()
        return ClaimRunPayload(claim=RunClaim.of(claim), problems=[])

    @mutation
    async def heartbeat_run(self, info: Info, input: HeartbeatRunInput) -> RunPayload:  # noqa: A002  # the same
        """For a team's worker: report that it is alive and still has the run."""
        async with info.context.work() as work:
            run_id = to_uuid("Run", input.run)
            record = await local_runs.heartbeat_run(work, run_id, attempt=input.attempt)
        info.context.forget()
        return RunPayload(run=Run.of(record), problems=[])

    @mutation
    async def release_run(self, info: Info, input: ReleaseRunInput) -> RunPayload:  # noqa: A002  # the same
        """For a team's worker that stops: give the run up, so that another takes it at once."""
        async with info.context.work() as work:
            run_id = to_uuid("Run", input.run)
            record = await local_runs.release_run(work, run_id, attempt=input.attempt)
        info.context.forget()
        return RunPayload(run=Run.of(record), problems=[])

    @mutation
    async def report_step(self, info: Info, input: ReportStepInput) -> RunPayload:  # noqa: A002  # the same
        """For a team's worker: report the state of a step; a completed one is not run again."""
        run_id = to_uuid("Run", input.run)
        try:
            async with info.context.work() as work:
                record = await local_runs.report_step(
                    work,
                    run_id,
                    attempt=input.attempt,
                    name=input.name,
                    state=input.state,
                    output=input.output,  # type: ignore[arg-type]  # a value of JSON
                    error=_error(input.error),
                )
        except Invalid as error:
            return _refused(error)
        info.context.forget()
        return RunPayload(run=Run.of(record), problems=[])

    @mutation
    async def report_run(self, info: Info, input: ReportRunInput) -> RunPayload:  # noqa: A002  # the same
        """For a team's worker: end a local run with its output or its error."""
        try:
            async with info.context.work() as work:
                record = await local_runs.report_run(
                    work,
                    to_uuid("Run", input.run),
                    attempt=input.attempt,
                    output=input.output,  # type: ignore[arg-type]  # a value of JSON
                    error=_error(input.error),
                )
        except Invalid as error:
            return _refused(error)
        info.context.forget()
        return RunPayload(run=Run.of(record), problems=[])


def _refused(error: Invalid) -> RunPayload:
    return RunPayload(run=None, problems=Problem.all_of(error.problems))


def _error(value: Json | None) -> dict[str, JSON] | None:
    """An error as an object.

    Raises:
        Invalid: It is anything else.
    """
    if value is None or isinstance(value, dict):
        return value
    message = "an error is an object as RFC 7807 describes it"
    raise Invalid([FoundProblem("INPUT_ERROR", message, path="/error")])
