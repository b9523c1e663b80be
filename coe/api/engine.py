"""Whether the engine is up: an addition to the contract, for it starts after the API."""

from __future__ import annotations

from enum import StrEnum

import strawberry

from coe.api.context import EngineStatus, Info
from coe.api.nodes import field


@strawberry.enum(
    description="STARTING: not seen up yet; UP: it answers; GONE: it did, and does not"
)
class EngineState(StrEnum):
    """Whether the engine answers."""

    STARTING = "STARTING"
    UP = "UP"
    GONE = "GONE"


def state_of(status: EngineStatus) -> EngineState:
    """Whether the engine answers, and if not, whether it ever did."""
    if status.health.ready:
        return EngineState.UP
    return EngineState.GONE if status.seen else EngineState.STARTING


@strawberry.type(description="What carries out runs; while it is not up, runs wait in a queue")
class Engine:
    """What carries out runs."""

    name: str = strawberry.field(description="prefect, inline, …")
    state: EngineState
    detail: str = strawberry.field(description="In a few words, for people")
    queued: int = strawberry.field(description="Requests that wait for the engine")


@strawberry.type
class EngineQuery:
    """The part of Query that is about the engine."""

    @field
    async def engine(self, info: Info) -> Engine:
        """Whether the engine is up: runs are taken before it is, and started when it answers."""
        status = info.context.engine()
        health = status.health
        return Engine(
            name=health.name,
            state=state_of(status),
            detail=health.detail,
            queued=health.queued,
        )
