"""The root field of the engine."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.nodes import field
from coe.api.types.engine import Engine


@strawberry.type
class EngineQuery:
    """The field of Query about the engine."""

    @field
    async def engine(self, info: Info) -> Engine:
        """Whether the engine is up: runs are accepted before it is, and start when it answers."""
        return Engine.of(info.context.engine())
