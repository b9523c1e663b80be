"""The view of the engine, an addition to the contract: the engine starts after the API."""

from __future__ import annotations

from enum import StrEnum

import strawberry

from coe.api.graphql.context import EngineStatus
from coe.api.graphql.nodes import enum_type, object_type


@enum_type
class EngineState(StrEnum):
    """STARTING: not seen up yet; UP: it answers; GONE: it was up and does not answer."""

    STARTING = "STARTING"
    UP = "UP"
    GONE = "GONE"


def state_of(status: EngineStatus) -> EngineState:
    """Whether the engine answers, and if not, whether it ever did."""
    if status.health.ready:
        return EngineState.UP
    return EngineState.GONE if status.seen else EngineState.STARTING


@object_type
class Engine:
    """What carries out runs; while it is not up, runs wait in a queue."""

    name: str = strawberry.field(description="prefect, inline, …")
    state: EngineState
    detail: str = strawberry.field(description="Its state in a few words, for people")
    queued: int = strawberry.field(description="Requests that wait for the engine")

    @classmethod
    def of(cls, status: EngineStatus) -> Engine:
        """The view of the engine's status."""
        health = status.health
        return cls(
            name=health.name,
            state=state_of(status),
            detail=health.detail,
            queued=health.queued,
        )
