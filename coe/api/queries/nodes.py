"""The root field that finds anything by its global id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import strawberry

from coe.api.graphql.context import BatchLoader, Context, Info
from coe.api.graphql.ids import split, to_uuid
from coe.api.graphql.loaders import (
    entry_by_id,
    event_by_id,
    run_by_id,
    task_by_id,
    team_by_id,
    version_by_id,
)
from coe.api.graphql.nodes import Node, field
from coe.api.types.audit import AuditEvent
from coe.api.types.decisions import DecisionTable, DecisionTableVersion
from coe.api.types.entries import System
from coe.api.types.flow_versions import FlowVersion
from coe.api.types.flows import Flow
from coe.api.types.human_tasks import HumanTask
from coe.api.types.runs import Run
from coe.api.types.teams import Team
from coe.api.types.templates import Template, TemplateVersion
from coe.catalog.models import EntryKind
from coe.errors import NotFound

Fetch = Callable[[Context, UUID], Awaitable[Any]]


def _loaded(load: BatchLoader[UUID, Any], kind: EntryKind | None = None) -> Fetch:
    """Fetch a record by its id; with a kind, only an entry or a version of that kind."""

    async def fetch(context: Context, key: UUID) -> Any:
        record = await context.load(load, key)
        return (
            record if record is not None and kind in {None, getattr(record, "kind", None)} else None
        )

    return fetch


NODES: dict[str, tuple[Fetch, Callable[[Any], Node]]] = {
    "AuditEvent": (_loaded(event_by_id), AuditEvent.of),
    "DecisionTable": (_loaded(entry_by_id, EntryKind.DECISION), DecisionTable.of),
    "DecisionTableVersion": (_loaded(version_by_id, EntryKind.DECISION), DecisionTableVersion.of),
    "Flow": (_loaded(entry_by_id, EntryKind.FLOW), Flow.of),
    "FlowVersion": (_loaded(version_by_id, EntryKind.FLOW), FlowVersion.of),
    "HumanTask": (_loaded(task_by_id), HumanTask.of),
    "Run": (_loaded(run_by_id), Run.of),
    "System": (_loaded(entry_by_id, EntryKind.SYSTEM), System.of),
    "Team": (_loaded(team_by_id), Team.of),
    "Template": (_loaded(entry_by_id, EntryKind.TEMPLATE), Template.of),
    "TemplateVersion": (_loaded(version_by_id, EntryKind.TEMPLATE), TemplateVersion.of),
}
"""For each type with an id: how its record is fetched, and its view."""


@strawberry.type
class NodeQuery:
    """The field of Query about global ids."""

    @field
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:  # noqa: A002  # the contract's name
        """Anything with a global id that the caller may read."""
        kind, _ = split(id)
        if kind not in NODES:
            raise NotFound
        fetch, view = NODES[kind]
        record = await fetch(info.context, to_uuid(kind, id))
        if record is None:
            raise NotFound
        return view(record)
