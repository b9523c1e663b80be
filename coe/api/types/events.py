"""Input and payload of an event that is sent over GraphQL."""

from __future__ import annotations

import strawberry

from coe.api.graphql.nodes import Problem, input_type, object_type
from coe.api.graphql.scalars import Json
from coe.api.types.runs import Run


@input_type
class SendEventInput:
    """A CloudEvent to deliver to the runs that wait for it."""

    event: Json = strawberry.field(description="A CloudEvent 1.0 in JSON form")
    client_mutation_id: str | None = None


@object_type
class EventPayload:
    """The runs that received the event, or the problems."""

    delivered: list[Run] = strawberry.field(
        description="Runs that the event reached or started, of those that the caller may read",
    )
    duplicate: bool
    problems: list[Problem]
