"""Inputs and payload of the lifecycle of versions."""

from __future__ import annotations

import strawberry

from coe.api.graphql.nodes import Problem, input_type, object_type
from coe.api.types.entries import CatalogEntry
from coe.api.types.entry_kinds import EntryVersion


@input_type
class LifecycleInput:
    """The version whose lifecycle state changes."""

    ref: str = strawberry.field(description="Ref with an exact version")
    comment: str | None = None
    client_mutation_id: str | None = None


@input_type
class ReviewInput:
    """A reviewer's decision on a version."""

    ref: str
    approve: bool
    comment: str
    client_mutation_id: str | None = None


@object_type
class LifecyclePayload:
    """The entry and the version after the change, or the problems."""

    entry: CatalogEntry | None
    version: EntryVersion | None
    problems: list[Problem]
