"""The root field that finds anything by its global id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import strawberry

from coe.api.graphql.context import BatchLoader, Context, Info
from coe.api.graphql.ids import RESOURCES, plain_uuid, split, to_uuid
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
from coe.api.types.entry_kinds import entry_view, version_view
from coe.api.types.flow_versions import FlowVersion
from coe.api.types.flows import Flow
from coe.api.types.human_tasks import HumanTask
from coe.api.types.runs import Run
from coe.api.types.teams import Team
from coe.api.types.templates import Template, TemplateVersion
from coe.catalog.models import EntryKind
from coe.catalog.queries import find_entry, find_version
from coe.catalog.refs import read_ref
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
_BY_UUID = [kind for kind in NODES if kind != "AuditEvent"]
"""The types of which a plain UUID may be; each reading of the log is recorded, so it is not one."""
_ENTRY_KINDS = {kind.lower(): kind for kind in EntryKind}


@strawberry.type
class NodeQuery:
    """The field of Query about global ids."""

    @field
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:  # noqa: A002  # the contract's name
        """Anything with a global id that the caller may read.

        A plain UUID, a ref (namespace/name, with a version too) and a name as the audit log has it
        (run:<uuid>, flow:<ref>) are accepted too.
        """
        found: Node | None = await _by_ref(info, id) or await _by_id(info.context, id)
        if found is None:
            raise NotFound
        return found


async def _by_ref(info: Info, text: str) -> Any:
    """The entry or the version that a ref names."""
    kind, colon, rest = text.partition(":")
    ref = read_ref(rest if colon and kind in _ENTRY_KINDS else text)
    if ref is None:
        return None
    async with info.context.read() as read:
        if ref.selector is None:
            entry = await find_entry(read, str(ref), _ENTRY_KINDS.get(kind))
            return entry_view(entry) if entry else None
        version = await find_version(read, str(ref), _ENTRY_KINDS.get(kind))
    return version_view(version) if version else None


async def _by_id(context: Context, text: str) -> Node | None:
    key = plain_uuid(text)
    for kind in _BY_UUID if key else [_kind_of(text)]:
        fetch, view = NODES[kind]
        record = await fetch(context, key or to_uuid(kind, text))
        if record is not None:
            return view(record)
    return None


def _kind_of(text: str) -> str:
    """The type that an id names."""
    name = text.partition(":")[0]
    kind = (
        next((kind for kind, known in RESOURCES.items() if known == name), None) or split(text)[0]
    )
    if kind not in NODES:
        raise NotFound
    return kind
