"""Inputs and payload for a team's worker that carries out local runs.

They are additions to the contract, for the SDK. A worker claims a run and receives an attempt,
which every later report carries.
"""

from __future__ import annotations

from datetime import timedelta

import strawberry

from coe.api.graphql.nodes import Problem, field, input_type, object_type
from coe.api.graphql.scalars import IsoDuration, Json
from coe.api.types.runs import Run
from coe.machine.commands import StepState
from coe.runs.records import LocalClaim


@input_type
class ClaimRunInput:
    """The local run that a worker claims."""

    run: strawberry.ID = strawberry.field(description="Its id, or its plain UUID")
    token: str | None = strawberry.field(
        default=None,
        description=(
            "Chosen at random for one execution: a claim that is sent again with the same token, "
            "because its answer was lost, returns the same attempt"
        ),
    )


@input_type
class HeartbeatRunInput:
    """The local run of a worker that is alive."""

    run: strawberry.ID = strawberry.field(description="Its id, or its plain UUID")
    attempt: int = strawberry.field(description="The attempt that claimRun returned")


@input_type
class ReleaseRunInput:
    """The local run that a worker gives up."""

    run: strawberry.ID = strawberry.field(description="Its id, or its plain UUID")
    attempt: int = strawberry.field(description="The attempt that claimRun returned")


@input_type
class ReportStepInput:
    """The state of a step of a local run."""

    run: strawberry.ID = strawberry.field(description="Its id, or its plain UUID")
    attempt: int = strawberry.field(description="The attempt that claimRun returned")
    name: str
    state: StepState = strawberry.field(description="RUNNING, COMPLETED or FAULTED")
    output: Json | None = strawberry.field(default=None, description="Of a COMPLETED step")
    error: Json | None = strawberry.field(
        default=None,
        description="Of a FAULTED step, as RFC 7807 describes it",
    )


@input_type
class ReportRunInput:
    """The end of a local run, with an output or with an error."""

    run: strawberry.ID = strawberry.field(description="Its id, or its plain UUID")
    attempt: int = strawberry.field(description="The attempt that claimRun returned")
    output: Json | None = None
    error: Json | None = strawberry.field(default=None, description="As RFC 7807 describes it")


@object_type
class RunClaim:
    """What a worker receives when it claims a local run."""

    claim: strawberry.Private[LocalClaim]
    attempt: int = strawberry.field(description="For every report; a later claim makes it stale")
    done: Json = strawberry.field(
        description="Outputs of the completed steps, by name: they are not run again",
    )
    heartbeat_every: IsoDuration = strawberry.field(description="How often to send heartbeatRun")

    @classmethod
    def of(cls, claim: LocalClaim) -> RunClaim:
        """The view of a claim."""
        return cls(
            claim=claim,
            attempt=claim.attempt,
            done=Json(claim.done),
            heartbeat_every=IsoDuration(timedelta(seconds=claim.heartbeat_seconds)),
        )

    @field
    async def input(self) -> Json | None:
        """The input of the run."""
        return None if self.claim.input is None else Json(self.claim.input)

    @field
    async def run(self) -> Run:
        """The run that was claimed."""
        return Run.of(self.claim.run)


@object_type
class ClaimRunPayload:
    """The claim, or the problems."""

    claim: RunClaim | None
    problems: list[Problem]
