"""Flows and their versions."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from coe.access.actor import DataClass
from coe.api.context import Info, batch
from coe.api.entries import (
    Approval,
    CatalogEntry,
    System,
    entry_by_id,
    selector_of,
    version_by_id,
    version_by_selector,
)
from coe.api.ids import to_global
from coe.api.nested_pages import first_versions
from coe.api.nodes import Node, Problem, field
from coe.api.paging import PageInfo, checked
from coe.api.scalars import Json, Moment
from coe.api.templates import TemplateVersion
from coe.catalog import queries
from coe.catalog.flows import contents
from coe.catalog.models import EntryKind, FlowKind, Lifecycle
from coe.catalog.records import EntryRecord, FlowContent, VersionChange, VersionRecord
from coe.errors import NotFound
from coe.paging import Page
from coe.templates import queries as templates
from coe.templates.rows import OriginRow

if TYPE_CHECKING:
    from coe.api.decisions import DecisionTable
    from coe.api.runs import RunConnection, RunFilter
    from coe.api.schedules import Schedule

aliases_of = batch(queries.aliases)
systems_of = batch(queries.systems_of)
calls_of = batch(queries.calls)
tables_of = batch(queries.decision_tables_of)
callers_of = batch(queries.called_by)
approvals_of = batch(queries.approvals)
content_of = batch(contents.flow_contents)
origin_of = batch(templates.origins)


@strawberry.type(description="From which template, with which parameters, a version was made")
class Origin:
    """From which template a version was made."""

    row: strawberry.Private[OriginRow]
    parameters: Json
    behind_by: int = strawberry.field(
        description="Published versions of the template that are newer",
    )

    @classmethod
    def of(cls, row: OriginRow) -> Origin:
        """The view of an origin."""
        return cls(row=row, parameters=Json(row.parameters), behind_by=row.behind_by)

    @field
    async def template_version(self, info: Info) -> TemplateVersion:
        """The version of the template."""
        row = await info.context.load(version_by_id, self.row.template_version_id)
        if row is None:
            raise NotFound
        return TemplateVersion.of(row)


@strawberry.enum(description="A step of a version number; a major one may break callers")
class VersionStep(Enum):
    """A step of a version number."""

    MAJOR = "MAJOR"
    MINOR = "MINOR"
    PATCH = "PATCH"
    NONE = "NONE"


@strawberry.type(description="What differs between two versions of one flow")
class VersionDiff:
    """What differs between two versions."""

    unified: str
    breaking: bool
    changes: list[Problem]
    asks: VersionStep = strawberry.field(
        description="The least step of the version number that is due (semver.org); NONE where "
        "nothing differs",
    )

    @classmethod
    def of(cls, row: VersionChange) -> VersionDiff:
        """The view of a difference."""
        changes = [Problem.of(change) for change in row.changes]
        asks = VersionStep(row.asks.upper())
        return cls(unified=row.unified, breaking=row.breaking, changes=changes, asks=asks)


@strawberry.type(description="One version of a flow; what it holds never changes")
class FlowVersion(Node):
    """One version of a flow."""

    row: strawberry.Private[VersionRecord]
    ref: str
    version: str
    lifecycle: Lifecycle
    changelog: str | None
    digest: str
    signature: str = strawberry.field(
        description="Ed25519 signature over the digest by the platform's signing key",
    )
    engine: str = strawberry.field(description="prefect, inline, http, …: where it runs")
    created_at: Moment
    created_by: str
    published_at: Moment | None

    @classmethod
    def of(cls, row: VersionRecord) -> FlowVersion:
        """The view of a version."""
        return cls(
            row=row,
            id=strawberry.ID(to_global("FlowVersion", row.id)),
            ref=row.ref,
            version=row.version,
            lifecycle=row.lifecycle,
            changelog=row.changelog,
            digest=row.digest,
            signature=row.signature,
            engine=row.engine or "none",
            created_at=Moment(row.created_at),
            created_by=row.created_by,
            published_at=Moment(row.published_at) if row.published_at else None,
        )

    @field
    async def definition(self, info: Info) -> str:
        """The document as it was sent."""
        return (await self._content(info)).definition

    @field
    async def input_schema(self, info: Info) -> Json | None:
        """JSON Schema of the input, with examples."""
        schema = (await self._content(info)).input_schema
        return None if schema is None else Json(schema)

    @field
    async def output_schema(self, info: Info) -> Json | None:
        """JSON Schema of the output."""
        schema = (await self._content(info)).output_schema
        return None if schema is None else Json(schema)

    @field
    async def problems(self, info: Info) -> list[Problem]:
        """What the standards say of it."""
        return [Problem.of(problem) for problem in (await self._content(info)).problems]

    @field
    async def flow(self, info: Info) -> Flow:
        """The flow that this is a version of."""
        row = await info.context.load(entry_by_id, self.row.entry_id)
        if row is None:
            raise NotFound
        return Flow.of(row)

    @field
    async def origin(self, info: Info) -> Origin | None:
        """The template that it was made from, if it was."""
        row = await info.context.load(origin_of, self.row.id)
        return Origin.of(row) if row else None

    @field
    async def diagram(self, info: Info) -> str:
        """Mermaid source."""
        async with info.context.read() as read:
            drawn = await contents.diagram(read, self.row.id)
        if drawn is None:
            raise NotFound
        return drawn

    @field
    async def diagram_svg(self, info: Info) -> str:
        """The drawing as an SVG document, laid out in layers, with a legend.

        It holds no scripts and refers to nothing outside; who does a step is told by shape, icon
        and colour.
        """
        async with info.context.read() as read:
            drawn = await contents.diagram_svg(read, self.row.id)
        if drawn is None:
            raise NotFound
        return drawn

    @field
    async def diff(self, info: Info, to: str) -> VersionDiff:
        """Against another version of the same flow, `to` a version or alias."""
        async with info.context.read() as read:
            change = await contents.diff(read, self.row.id, selector_of(to) or to)
        if change is None:
            raise NotFound
        return VersionDiff.of(change)

    @field
    async def approvals(self, info: Info) -> list[Approval]:
        """What its reviewers decided, oldest first."""
        rows = await info.context.load(approvals_of, self.row.id)
        return [Approval.of_review(row) for row in rows or ()]

    async def _content(self, info: Info) -> FlowContent:
        content = await info.context.load(content_of, self.row.id)
        if content is None:
            raise NotFound
        return content


@strawberry.type(description="A version and its place in a list")
class FlowVersionEdge:
    """A version and its cursor."""

    cursor: str
    node: FlowVersion


@strawberry.type(description="A page of versions, the highest first")
class FlowVersionConnection:
    """A page of versions."""

    edges: list[FlowVersionEdge]
    nodes: list[FlowVersion]
    page_info: PageInfo
    total_count: int

    @classmethod
    def of(cls, page: Page[VersionRecord]) -> FlowVersionConnection:
        """The view of a page."""
        nodes = [FlowVersion.of(row) for row in page.items]
        edges = [
            FlowVersionEdge(cursor=cursor, node=node)
            for cursor, node in zip(page.cursors, nodes, strict=True)
        ]
        return cls(edges=edges, nodes=nodes, page_info=PageInfo.of(page), total_count=page.total)


@strawberry.type(description="A process: a central flow across teams, or a team's local one")
class Flow(CatalogEntry, Node):
    """A process."""

    flow_kind: FlowKind
    process_owner: str | None
    deputy: str | None
    domain: str | None
    data_class: DataClass

    @classmethod
    def _more(cls, row: EntryRecord) -> dict[str, Any]:
        return {
            "flow_kind": row.flow_kind or FlowKind.CENTRAL,
            "process_owner": row.process_owner,
            "deputy": row.deputy,
            "domain": row.domain,
            "data_class": row.data_class,
        }

    @field
    async def version(self, info: Info, ref: str | None = None) -> FlowVersion | None:
        """The version that a ref names: exact, range or alias; without one, `live`."""
        key = (self.row.id, selector_of(ref))
        row = await info.context.load(version_by_selector, key)
        return FlowVersion.of(row) if row else None

    @field
    async def versions(
        self,
        info: Info,
        first: int | None = 20,
        after: str | None = None,
    ) -> FlowVersionConnection:
        """All versions that the caller may read, the highest first."""
        size = checked(first)
        if after is None:
            return FlowVersionConnection.of(
                await info.context.load(first_versions, (self.row.id, size))
            )
        async with info.context.read() as read:
            page = await queries.versions_page(read, self.row.id, first=size, after=after)
        return FlowVersionConnection.of(page)

    @field
    async def aliases(self, info: Info) -> Json:
        """Alias to exact version, such as live to 1.4.0."""
        return Json(await info.context.load(aliases_of, self.row.id) or {})

    @field
    async def systems(self, info: Info) -> list[System]:
        """The systems that its current version uses."""
        rows = await info.context.load(systems_of, self.row.id)
        return [System.of(row) for row in rows or ()]

    @field
    async def calls(self, info: Info) -> list[Flow]:
        """Flows that this one calls, from the definitions."""
        rows = await info.context.load(calls_of, self.row.id)
        return [Flow.of(row) for row in rows or ()]

    @field
    async def decisions(
        self, info: Info
    ) -> list[Annotated[DecisionTable, strawberry.lazy("coe.api.decisions")]]:
        """Decision tables that this one asks, from the definitions."""
        from coe.api.decisions import DecisionTable  # noqa: PLC0415  # they name each other

        rows = await info.context.load(tables_of, self.row.id)
        return [DecisionTable.of(row) for row in rows or ()]

    @field
    async def called_by(self, info: Info) -> list[Flow]:
        """Flows that call this one, from the definitions."""
        rows = await info.context.load(callers_of, self.row.id)
        return [Flow.of(row) for row in rows or ()]

    @field
    async def schedule(
        self,
        info: Info,
    ) -> Annotated[Schedule, strawberry.lazy("coe.api.schedules")] | None:
        """When it starts by itself, by its live version; null where it does not."""
        from coe.api.schedules import Schedule, schedule_of  # noqa: PLC0415  # they name each other

        row = await info.context.load(schedule_of, self.row.id)
        return Schedule.of(row) if row else None

    @field
    async def runs(
        self,
        info: Info,
        filter: (  # noqa: A002  # the contract's name
            Annotated[RunFilter, strawberry.lazy("coe.api.runs")] | None
        ) = None,
        first: int | None = 20,
        after: str | None = None,
    ) -> Annotated[RunConnection, strawberry.lazy("coe.api.runs")]:
        """Its runs, the newest first."""
        from coe.api.runs import runs_page  # noqa: PLC0415  # runs and flows name each other

        return await runs_page(info, filter, first, after, flow=self.row.ref)


@strawberry.type(description="A flow and its place in a list")
class FlowEdge:
    """A flow and its cursor."""

    cursor: str
    node: Flow


@strawberry.type(description="A page of flows")
class FlowConnection:
    """A page of flows."""

    edges: list[FlowEdge]
    nodes: list[Flow]
    page_info: PageInfo
    total_count: int

    @classmethod
    def of(cls, page: Page[EntryRecord]) -> FlowConnection:
        """The view of a page."""
        nodes = [Flow.of(row) for row in page.items]
        edges = [
            FlowEdge(cursor=cursor, node=node)
            for cursor, node in zip(page.cursors, nodes, strict=True)
        ]
        return cls(edges=edges, nodes=nodes, page_info=PageInfo.of(page), total_count=page.total)


@strawberry.type
class FlowQuery:
    """The part of Query that is about flows."""

    @field
    async def flow(self, info: Info, ref: str) -> Flow | None:
        """A flow by its ref; the version part is not looked at here."""
        async with info.context.read() as read:
            row = await queries.find_entry(read, ref, EntryKind.FLOW)
        if row is None:
            raise NotFound
        return Flow.of(row)
