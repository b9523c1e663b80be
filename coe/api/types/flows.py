"""Views of flows; inputs, preview and payload of their registration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import strawberry

from coe.access.actor import DataClass
from coe.api.graphql.context import Info
from coe.api.graphql.loaders import (
    aliases_of,
    called_flows_of,
    callers_of,
    decision_tables_of,
    schedule_of,
    systems_of,
)
from coe.api.graphql.nodes import Node, Problem, field, input_type, object_type
from coe.api.graphql.paging import Connection
from coe.api.graphql.scalars import Json
from coe.api.types.entries import System, VersionedEntry
from coe.api.types.flow_versions import FlowVersion, VersionDiff
from coe.catalog.flows.computed import svg_of_text
from coe.catalog.models import FlowKind
from coe.catalog.records import EntryRecord, Preview

if TYPE_CHECKING:
    from coe.api.types.decisions import DecisionTable
    from coe.api.types.runs import Run, RunFilter
    from coe.api.types.schedules import Schedule


@object_type
class Flow(VersionedEntry, Node):
    """A process: a central flow across teams, or a team's local one."""

    VERSION_VIEW: ClassVar = FlowVersion

    flow_kind: FlowKind
    process_owner: str | None
    deputy: str | None
    domain: str | None
    data_class: DataClass
    version: FlowVersion | None = field(VersionedEntry.version_by_ref)
    versions: Connection[FlowVersion] = field(VersionedEntry.version_page)

    @classmethod
    def _own_fields(cls, record: EntryRecord) -> dict[str, Any]:
        return {
            "flow_kind": record.flow_kind or FlowKind.CENTRAL,
            "process_owner": record.process_owner,
            "deputy": record.deputy,
            "domain": record.domain,
            "data_class": record.data_class,
        }

    @field
    async def aliases(self, info: Info) -> Json:
        """Exact version by alias, such as 1.4.0 by live."""
        return Json(await info.context.load(aliases_of, self.record.id) or {})

    @field
    async def systems(self, info: Info) -> list[System]:
        """The systems that its current version uses."""
        records = await info.context.load(systems_of, self.record.id)
        return [System.of(record) for record in records or ()]

    @field
    async def calls(self, info: Info) -> list[Flow]:
        """The flows that this one calls, from the definitions."""
        records = await info.context.load(called_flows_of, self.record.id)
        return [Flow.of(record) for record in records or ()]

    @field
    async def decisions(
        self, info: Info
    ) -> list[Annotated[DecisionTable, strawberry.lazy("coe.api.types.decisions")]]:
        """The decision tables that this one evaluates, from the definitions."""
        from coe.api.types.decisions import DecisionTable  # noqa: PLC0415  # it refers to its callers

        records = await info.context.load(decision_tables_of, self.record.id)
        return [DecisionTable.of(record) for record in records or ()]

    @field
    async def called_by(self, info: Info) -> list[Flow]:
        """The flows that call this one, from the definitions."""
        records = await info.context.load(callers_of, self.record.id)
        return [Flow.of(record) for record in records or ()]

    @field
    async def schedule(
        self,
        info: Info,
    ) -> Annotated[Schedule, strawberry.lazy("coe.api.types.schedules")] | None:
        """When it starts by itself, by its live version; null if it does not."""
        from coe.api.types.schedules import Schedule  # noqa: PLC0415  # it refers to runs of flows

        record = await info.context.load(schedule_of, self.record.id)
        return Schedule.of(record) if record else None

    @field
    async def runs(
        self,
        info: Info,
        filter: (  # noqa: A002  # the contract's name
            Annotated[RunFilter, strawberry.lazy("coe.api.types.runs")] | None
        ) = None,
        first: int | None = 20,
        after: str | None = None,
    ) -> Connection[Annotated[Run, strawberry.lazy("coe.api.types.runs")]]:
        """Its runs, the newest first."""
        from coe.api.types.runs import runs_of_flow  # noqa: PLC0415  # runs refer to their flows

        return await runs_of_flow(info, self.record.ref, filter, first, after)


@input_type
class RegisterFlowInput:
    """A flow to save as a draft."""

    manifest: str = strawberry.field(
        description="A flow document: a central flow's definition, or a local flow's manifest",
    )
    tests: str | None = strawberry.field(
        default=None,
        description="The text of the tests.yaml of a central flow, which the platform runs at the "
        "submission; null keeps those of a draft that is replaced, an empty text removes them",
    )
    changelog: str | None = None
    client_mutation_id: str | None = None


@input_type
class SetAliasInput:
    """The alias of a flow, and the version that it will name."""

    flow: str
    alias: str
    version: str
    client_mutation_id: str | None = None


@object_type
class FlowPreview:
    """What a registration would save, and its problems."""

    definition: str
    digest: str
    problems: list[Problem]
    diagram: str
    diff: VersionDiff | None = strawberry.field(
        description="Against the live version, if there is one",
    )
    ref: str | None = strawberry.field(
        description="The version that would be saved, namespace/name@version",
    )
    template: str | None = strawberry.field(
        description="The version of the template that it would be made from",
    )

    @field
    async def diagram_svg(self, info: Info) -> str:
        """The diagram as an SVG document; empty for a definition that cannot be loaded."""
        return await info.context.compute(svg_of_text, self.definition)

    @classmethod
    def of(cls, record: Preview) -> FlowPreview:
        """The view of a preview."""
        return cls(
            definition=record.definition,
            digest=record.digest,
            problems=Problem.all_of(record.problems),
            diagram=record.diagram,
            diff=VersionDiff.of(record.diff) if record.diff else None,
            ref=record.ref,
            template=record.template,
        )


@object_type
class FlowPayload:
    """The flow and the version that were saved, or the problems."""

    flow: Flow | None
    version: FlowVersion | None
    problems: list[Problem]
