"""The schema: every noun's part of Query and Mutation, merged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import strawberry
from graphql import GraphQLError
from strawberry.types.execution import ExecutionContext

from coe.api import scalars
from coe.api.access import AccessMutation, AccessQuery
from coe.api.audit import AuditEvent, AuditQuery, events_by_id
from coe.api.authoring import AuthoringMutation, AuthoringQuery
from coe.api.catalog import CatalogQuery
from coe.api.context import Context, Info
from coe.api.decision_cases import DecisionReplayQuery
from coe.api.decisions import (
    DecisionMutation,
    DecisionQuery,
    DecisionTable,
    DecisionTableVersion,
)
from coe.api.documents import TakePrepared
from coe.api.engine import EngineQuery
from coe.api.entries import System, entry_by_id, version_by_id
from coe.api.events import EventMutation
from coe.api.flows import Flow, FlowQuery, FlowVersion
from coe.api.human_tasks import HumanTask, HumanTaskQuery, task_by_id
from coe.api.ids import split, to_uuid
from coe.api.lifecycle import LifecycleMutation
from coe.api.local_runs import LocalRunMutation
from coe.api.nodes import Node, field
from coe.api.run_control import RunMutation
from coe.api.runs import Run, RunQuery, run_by_id
from coe.api.schedules import ScheduleMutation
from coe.api.task_answers import HumanTaskMutation
from coe.api.teams import Team, TeamQuery, team_by_id
from coe.api.templates import Template, TemplateQuery, TemplateVersion
from coe.catalog.models import EntryKind
from coe.errors import NotFound

Fetch = Callable[[Context, UUID], Awaitable[Any]]


def _entry(kind: EntryKind) -> Fetch:
    async def fetch(context: Context, key: UUID) -> Any:
        row = await context.load(entry_by_id, key)
        return row if row is not None and row.kind is kind else None

    return fetch


def _version(kind: EntryKind) -> Fetch:
    async def fetch(context: Context, key: UUID) -> Any:
        row = await context.load(version_by_id, key)
        return row if row is not None and row.kind is kind else None

    return fetch


NODES: dict[str, tuple[Fetch, Callable[[Any], Node]]] = {
    "AuditEvent": (lambda context, key: context.load(events_by_id, key), AuditEvent.of),
    "DecisionTable": (_entry(EntryKind.DECISION), DecisionTable.of),
    "DecisionTableVersion": (_version(EntryKind.DECISION), DecisionTableVersion.of),
    "Flow": (_entry(EntryKind.FLOW), Flow.of),
    "FlowVersion": (_version(EntryKind.FLOW), FlowVersion.of),
    "HumanTask": (lambda context, key: context.load(task_by_id, key), HumanTask.of),
    "Run": (lambda context, key: context.load(run_by_id, key), Run.of),
    "System": (_entry(EntryKind.SYSTEM), System.of),
    "Team": (lambda context, key: context.load(team_by_id, key), Team.of),
    "Template": (_entry(EntryKind.TEMPLATE), Template.of),
    "TemplateVersion": (_version(EntryKind.TEMPLATE), TemplateVersion.of),
}
"""For each type with an id: how its row is found, and the view of it."""


@strawberry.type
class Query(
    TeamQuery,
    CatalogQuery,
    TemplateQuery,
    FlowQuery,
    DecisionQuery,
    DecisionReplayQuery,
    AuthoringQuery,
    RunQuery,
    HumanTaskQuery,
    AuditQuery,
    AccessQuery,
    EngineQuery,
):
    """Everything that can be asked."""

    @field
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:  # noqa: A002  # the contract's name
        """Anything with a global id that the caller may read."""
        kind, _ = split(id)
        if kind not in NODES:
            raise NotFound
        fetch, view = NODES[kind]
        row = await fetch(info.context, to_uuid(kind, id))
        if row is None:
            raise NotFound
        return view(row)


@strawberry.type
class Mutation(
    AuthoringMutation,
    DecisionMutation,
    LifecycleMutation,
    RunMutation,
    EventMutation,
    ScheduleMutation,
    HumanTaskMutation,
    AccessMutation,
    LocalRunMutation,
):
    """Everything that can be changed."""


class Schema(strawberry.Schema):
    """Strawberry's schema, which leaves errors to the edge: there they are masked and logged."""

    def process_errors(
        self,
        errors: list[GraphQLError],
        execution_context: ExecutionContext | None = None,
    ) -> None:
        """Log nothing here: Strawberry would log values."""


def make_schema() -> Schema:
    """The schema, made anew: an application has its own."""
    types: Sequence[type] = (
        System,
        Template,
        Flow,
        TemplateVersion,
        FlowVersion,
        Run,
        HumanTask,
        DecisionTable,
        DecisionTableVersion,
    )
    return Schema(
        query=Query,
        mutation=Mutation,
        types=types,
        extensions=[TakePrepared],
        config=scalars.config(),
    )


if __name__ == "__main__":
    from pathlib import Path

    Path(__file__).with_suffix(".graphql").write_text(make_schema().as_str() + "\n", "utf-8")
