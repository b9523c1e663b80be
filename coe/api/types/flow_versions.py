"""Views of the versions of flows, their origins, and the difference between two versions."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.loaders import (
    entry_by_id,
    flow_content,
    origin_of,
    origin_parameters_of,
    version_by_id,
    version_by_selector,
)
from coe.api.graphql.nodes import Problem, enum_type, field, object_type
from coe.api.graphql.scalars import Json
from coe.api.types.entries import PUBLICATION, SIGNATURE, VersionFields, selector_of
from coe.api.types.templates import TemplateVersion
from coe.catalog.flows import contents
from coe.catalog.records import FlowContent, VersionChange, VersionRecord
from coe.catalog.versions.resolution import VersionKey
from coe.errors import NotFound
from coe.templates.records import OriginRecord

if TYPE_CHECKING:
    from coe.api.types.flows import Flow


@object_type
class Origin:
    """The template, and the parameters, from which a version was made."""

    record: strawberry.Private[OriginRecord]
    flow_version_id: strawberry.Private[UUID]
    behind_by: int = strawberry.field(
        description="How many published versions of the template are newer",
    )
    changed: bool = strawberry.field(
        description="Whether the draft was changed by hand after it was rendered",
    )

    @classmethod
    def of(cls, record: OriginRecord, flow_version_id: UUID) -> Origin:
        """The view of the origin of a flow's version."""
        return cls(
            record=record,
            flow_version_id=flow_version_id,
            behind_by=record.behind_by,
            changed=record.changed,
        )

    @field
    async def parameters(self, info: Info) -> Json:
        """The parameters with which it was rendered."""
        return Json(await info.context.load(origin_parameters_of, self.flow_version_id))

    @field
    async def template_version(self, info: Info) -> TemplateVersion:
        """The version of the template."""
        version_id = self.record.template_version_id
        return TemplateVersion.of(await info.context.load_existing(version_by_id, version_id))


@enum_type
class VersionStep(Enum):
    """A step of a version number; a major one may break callers."""

    MAJOR = "MAJOR"
    MINOR = "MINOR"
    PATCH = "PATCH"
    NONE = "NONE"


@object_type
class VersionDiff:
    """The differences between two versions of one flow."""

    unified: str
    breaking: bool
    changes: list[Problem]
    asks: VersionStep = strawberry.field(
        description="The least step of the version number that the changes require (semver.org); "
        "NONE if nothing differs",
    )

    @classmethod
    def of(cls, record: VersionChange) -> VersionDiff:
        """The view of a difference."""
        return cls(
            unified=record.unified,
            breaking=record.breaking,
            changes=Problem.all_of(record.changes),
            asks=VersionStep(record.least_step.upper()),
        )


@object_type
class FlowVersion(VersionFields):
    """One version of a flow; from its submission on its contents never change."""

    signature: str = strawberry.field(description=SIGNATURE)
    publication: str | None = strawberry.field(description=PUBLICATION)
    engine: str = strawberry.field(description="prefect, inline, http, …: where it runs")

    @classmethod
    def _own_fields(cls, record: VersionRecord) -> dict[str, Any]:
        return {
            "signature": record.signature,
            "publication": record.publication,
            "engine": record.engine or "none",
        }

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
        """The findings of the standards' rules."""
        return Problem.all_of((await self._content(info)).problems)

    @field
    async def flow(self, info: Info) -> Annotated[Flow, strawberry.lazy("coe.api.types.flows")]:
        """The flow of this version."""
        from coe.api.types.flows import Flow  # noqa: PLC0415  # flows refer to their versions

        return Flow.of(await info.context.load_existing(entry_by_id, self.record.entry_id))

    @field
    async def origin(self, info: Info) -> Origin | None:
        """The template from which it was made, if it was."""
        record = await info.context.load(origin_of, self.record.id)
        return Origin.of(record, self.record.id) if record else None

    @field
    async def diagram(self, info: Info) -> str:
        """Mermaid source."""
        async with info.context.read() as read:
            drawn = await contents.diagram(read, self.record.id)
        if drawn is None:
            raise NotFound
        return drawn

    @field
    async def diagram_svg(self, info: Info) -> str:
        """The diagram as an SVG document, laid out in layers, with a legend.

        It holds no scripts and refers to nothing outside. Shape, icon and colour of a step show
        who performs it.
        """
        async with info.context.read() as read:
            drawn = await contents.diagram_svg(read, self.record.id)
        if drawn is None:
            raise NotFound
        return drawn

    @field
    async def diff(self, info: Info, to: str) -> VersionDiff:
        """The differences to another version of the same flow; `to` is a version or an alias."""
        key: VersionKey = (self.record.entry_id, selector_of(to) or to)
        base = await info.context.load_existing(version_by_selector, key)
        async with info.context.read() as read:
            change = await contents.diff(read, self.record.id, base.version)
        if change is None:
            raise NotFound
        return VersionDiff.of(change)

    async def _content(self, info: Info) -> FlowContent:
        return await info.context.load_existing(flow_content, self.record.id)
