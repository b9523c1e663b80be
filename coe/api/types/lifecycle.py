"""Inputs and payload of the lifecycle of versions."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.loaders import aliases_of
from coe.api.graphql.nodes import Problem, field, input_type, object_type
from coe.api.types.entries import CatalogEntry
from coe.api.types.entry_kinds import EntryVersion
from coe.catalog.models import LIVE


@input_type
class LifecycleInput:
    """The version whose lifecycle state changes."""

    ref: str = strawberry.field(description="Ref with an exact version")
    comment: str | None = None
    set_live: bool | None = strawberry.field(
        default=None,
        description="For `publish` only: let the alias `live` name the version too, for which the "
        "caller needs the permission to set aliases",
    )
    client_mutation_id: str | None = None


@input_type
class SetEntryAliasInput:
    """An alias of an entry of any kind, and the published version that it will name."""

    entry: str = strawberry.field(description="Ref of a flow, template, decision table or system")
    alias: str
    version: str = strawberry.field(description="An exact version, such as 1.4.0")
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

    @field
    async def live(self, info: Info) -> str | None:
        """The exact version that the entry's alias `live` names now; null without one."""
        if self.entry is None:
            return None
        named = await info.context.load(aliases_of, self.entry.record.id)
        return (named or {}).get(LIVE)
