"""What a team's worker says of its local runs: additions to the contract, for the SDK.

A worker claims a run and is given an attempt, which goes with everything that it reports. Reports
may be sent again: the verbs know what they have heard, so they take no `clientMutationId`.
"""

from __future__ import annotations

from datetime import timedelta

import strawberry

from coe.api.context import Info
from coe.api.ids import to_uuid
from coe.api.nodes import Problem, field, mutation
from coe.api.run_control import RunPayload
from coe.api.runs import Run, run_by_id
from coe.api.scalars import Json, Length
from coe.errors import Invalid
from coe.errors import Problem as FoundProblem
from coe.json_types import JSON
from coe.machine.commands import StepState
from coe.runs import local_runs
from coe.runs.records import LocalClaim


@strawberry.input(description="Which local run a worker takes")
class ClaimRunInput:
    """Which local run a worker takes."""

    run: strawberry.ID = strawberry.field(description="Its id, or its plain UUID")


@strawberry.input(description="That a worker is alive and has a local run")
class HeartbeatRunInput:
    """That a worker is alive and has a local run."""

    run: strawberry.ID = strawberry.field(description="Its id, or its plain UUID")
    attempt: int = strawberry.field(description="What claimRun gave")


@strawberry.input(description="What became of a step of a local run")
class ReportStepInput:
    """What became of a step of a local run."""

    run: strawberry.ID = strawberry.field(description="Its id, or its plain UUID")
    attempt: int = strawberry.field(description="What claimRun gave")
    name: str
    state: StepState = strawberry.field(description="RUNNING, COMPLETED or FAULTED")
    output: Json | None = strawberry.field(default=None, description="Of a COMPLETED step")
    error: Json | None = strawberry.field(
        default=None,
        description="Of a FAULTED step, as RFC 7807 has it",
    )


@strawberry.input(description="How a local run ended: with an output, or with an error")
class ReportRunInput:
    """How a local run ended."""

    run: strawberry.ID = strawberry.field(description="Its id, or its plain UUID")
    attempt: int = strawberry.field(description="What claimRun gave")
    output: Json | None = None
    error: Json | None = strawberry.field(default=None, description="As RFC 7807 has it")


@strawberry.type(description="What a worker gets when it takes a local run")
class RunClaim:
    """What a worker gets when it takes a local run."""

    claim: strawberry.Private[LocalClaim]
    attempt: int = strawberry.field(description="Goes with every report; a later claim outdates it")
    done: Json = strawberry.field(
        description="Outputs of the steps that are completed, by name: they are not run again",
    )
    heartbeat_every: Length = strawberry.field(description="How often to send heartbeatRun")

    @classmethod
    def of(cls, claim: LocalClaim) -> RunClaim:
        """The view of a claim."""
        return cls(
            claim=claim,
            attempt=claim.attempt,
            done=Json(claim.done),
            heartbeat_every=Length(timedelta(seconds=claim.heartbeat_seconds)),
        )

    @field
    async def input(self) -> Json | None:
        """What the run works on."""
        return None if self.claim.input is None else Json(self.claim.input)

    @field
    async def run(self) -> Run:
        """The run that was taken."""
        return Run.of(self.claim.run)


@strawberry.type(description="The claim, or the problems")
class ClaimRunPayload:
    """The claim, or the problems."""

    claim: RunClaim | None
    problems: list[Problem]


_REPORTED = (StepState.RUNNING, StepState.COMPLETED, StepState.FAULTED)


def _problem(code: str, message: str, path: str) -> Invalid:
    return Invalid([FoundProblem(code, message, path=path)])


def _error(value: Json | None) -> dict[str, JSON] | None:
    """An error as an object.

    Raises:
        Invalid: It is anything else.
    """
    if value is None or isinstance(value, dict):
        return value
    raise _problem("INPUT_ERROR", "an error is an object as RFC 7807 has it", "/error")


@strawberry.type
class LocalRunMutation:
    """The part of Mutation with which a team's worker reports."""

    @mutation
    async def claim_run(self, info: Info, input: ClaimRunInput) -> ClaimRunPayload:  # noqa: A002  # as in the contract's inputs
        """For a team's worker: takes a local run, and gives its input and what is done already."""
        async with info.context.work() as work:
            claim = await local_runs.claim_run(work, to_uuid("Run", input.run))
        info.context.forget()
        return ClaimRunPayload(claim=RunClaim.of(claim), problems=[])

    @mutation
    async def heartbeat_run(self, info: Info, input: HeartbeatRunInput) -> RunPayload:  # noqa: A002  # the same
        """For a team's worker: says that it is alive and still has the run."""
        async with info.context.work() as work:
            run_id = to_uuid("Run", input.run)
            row = await local_runs.heartbeat_run(work, run_id, attempt=input.attempt)
        info.context.forget()
        return RunPayload(run=Run.of(row), problems=[])

    @mutation
    async def report_step(self, info: Info, input: ReportStepInput) -> RunPayload:  # noqa: A002  # the same
        """For a team's worker: notes what became of a step; a completed one is kept."""
        run_id = to_uuid("Run", input.run)
        try:
            if input.state not in _REPORTED:
                message = "a step is reported RUNNING, COMPLETED or FAULTED"
                raise _problem("INPUT_STEP_STATE", message, "/state")
            async with info.context.work() as work:
                await local_runs.report_step(
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
        row = await info.context.load(run_by_id, run_id)
        return RunPayload(run=Run.of(row) if row else None, problems=[])

    @mutation
    async def report_run(self, info: Info, input: ReportRunInput) -> RunPayload:  # noqa: A002  # the same
        """For a team's worker: ends a local run with its output or its error."""
        try:
            async with info.context.work() as work:
                row = await local_runs.report_run(
                    work,
                    to_uuid("Run", input.run),
                    attempt=input.attempt,
                    output=input.output,  # type: ignore[arg-type]  # a value of JSON
                    error=_error(input.error),
                )
        except Invalid as error:
            return _refused(error)
        info.context.forget()
        return RunPayload(run=Run.of(row), problems=[])


def _refused(error: Invalid) -> RunPayload:
    return RunPayload(run=None, problems=[Problem.of(problem) for problem in error.problems])
