"""The schema: the root fields of every noun, merged.

`python -m coe.api.schema` prints it anew to `schema.graphql`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import strawberry
from graphql import GraphQLError
from strawberry.types.execution import ExecutionContext

from coe.api.graphql.config import schema_config
from coe.api.graphql.documents import TakePrepared
from coe.api.graphql.executor import QuickExecutor
from coe.api.mutations.access import AccessMutation
from coe.api.mutations.audit import AuditMutation
from coe.api.mutations.decisions import DecisionMutation
from coe.api.mutations.drafts import DraftMutation
from coe.api.mutations.events import EventMutation
from coe.api.mutations.flows import FlowMutation
from coe.api.mutations.human_tasks import HumanTaskMutation
from coe.api.mutations.lifecycle import LifecycleMutation
from coe.api.mutations.local_runs import LocalRunMutation
from coe.api.mutations.machines import MachineMutation
from coe.api.mutations.people import PeopleMutation
from coe.api.mutations.runs import RunMutation
from coe.api.mutations.schedules import ScheduleMutation
from coe.api.mutations.sessions import SessionMutation
from coe.api.mutations.teams import TeamMutation
from coe.api.mutations.templates import TemplateMutation
from coe.api.mutations.workers import WorkerMutation
from coe.api.queries.access import AccessQuery
from coe.api.queries.audit import AuditQuery
from coe.api.queries.catalog import CatalogQuery
from coe.api.queries.decisions import DecisionQuery
from coe.api.queries.engine import EngineQuery
from coe.api.queries.flows import FlowQuery
from coe.api.queries.human_tasks import HumanTaskQuery
from coe.api.queries.machines import MachineQuery
from coe.api.queries.nodes import NodeQuery
from coe.api.queries.people import PeopleQuery
from coe.api.queries.reviews import ReviewQuery
from coe.api.queries.runs import RunQuery
from coe.api.queries.sessions import SessionQuery
from coe.api.queries.teams import TeamQuery
from coe.api.queries.workers import WorkerQuery
from coe.api.types.decisions import DecisionTable, DecisionTableVersion
from coe.api.types.entries import System
from coe.api.types.flow_versions import FlowVersion
from coe.api.types.flows import Flow
from coe.api.types.human_tasks import HumanTask
from coe.api.types.runs import Run
from coe.api.types.templates import Template, TemplateVersion


@strawberry.type
class Query(
    NodeQuery,
    TeamQuery,
    PeopleQuery,
    CatalogQuery,
    FlowQuery,
    DecisionQuery,
    ReviewQuery,
    RunQuery,
    HumanTaskQuery,
    AuditQuery,
    AccessQuery,
    SessionQuery,
    EngineQuery,
    WorkerQuery,
    MachineQuery,
):
    """Everything that can be read."""


@strawberry.type
class Mutation(
    FlowMutation,
    TemplateMutation,
    DecisionMutation,
    DraftMutation,
    LifecycleMutation,
    RunMutation,
    EventMutation,
    ScheduleMutation,
    HumanTaskMutation,
    AccessMutation,
    SessionMutation,
    TeamMutation,
    PeopleMutation,
    LocalRunMutation,
    WorkerMutation,
    MachineMutation,
    AuditMutation,
):
    """Everything that can be changed."""


class Schema(strawberry.Schema):
    """The schema, which leaves errors to the endpoint: there they are masked and logged."""

    def process_errors(
        self,
        errors: list[GraphQLError],
        execution_context: ExecutionContext | None = None,
    ) -> None:
        """Log nothing here: Strawberry would log values."""


def make_schema() -> Schema:
    """Make the schema anew: each application has its own."""
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
        execution_context_class=QuickExecutor,
        config=schema_config(),
    )


if __name__ == "__main__":
    snapshot = Path(__file__).with_suffix(".graphql")
    snapshot.write_text(make_schema().as_str() + "\n", encoding="utf-8")
