"""Views of templates and their versions; inputs and payload of instantiation and registration."""

from __future__ import annotations

from typing import Any, ClassVar

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.loaders import entry_by_id, template_content, template_usage
from coe.api.graphql.nodes import Node, Problem, field, input_type, object_type
from coe.api.graphql.paging import Connection
from coe.api.graphql.scalars import Json
from coe.api.types.entries import PUBLICATION, SIGNATURE, FacetValue, VersionedEntry, VersionFields
from coe.catalog.records import EntryRecord, VersionRecord
from coe.templates.manifest import TESTS
from coe.templates.records import Instantiation, TemplateContent
from coe.templates.records import TemplateUsage as UsageRecord


@object_type
class TemplateUsage:
    """How many flows were made from a template, over all teams."""

    flows: int
    flows_on_latest: int
    teams: int
    by_version: list[FacetValue]

    @classmethod
    def of(cls, record: UsageRecord) -> TemplateUsage:
        """The view of a usage."""
        return cls(
            flows=record.flows,
            flows_on_latest=record.flows_on_latest,
            teams=record.teams,
            by_version=[FacetValue.of(value) for value in record.by_version],
        )


@object_type
class TemplateVersion(VersionFields):
    """One version of a template; from its submission on its contents never change."""

    digest: str = strawberry.field(
        description="SHA-256 over the canonical form of all its files",
    )
    signature: str = strawberry.field(description=SIGNATURE)
    publication: str | None = strawberry.field(description=PUBLICATION)

    @classmethod
    def _own_fields(cls, record: VersionRecord) -> dict[str, Any]:
        return {"signature": record.signature, "publication": record.publication}

    @field
    async def parameters(self, info: Info) -> Json:
        """JSON Schema of the parameters."""
        return Json((await self._content(info)).parameters)

    @field
    async def definition(self, info: Info) -> str:
        """The definition with its placeholders."""
        return (await self._content(info)).definition

    @field
    async def readme(self, info: Info) -> str | None:
        """What the template is for, in Markdown."""
        return (await self._content(info)).readme

    @field
    async def template(self, info: Info) -> Template:
        """The template of this version."""
        return Template.of(await info.context.load_existing(entry_by_id, self.record.entry_id))

    async def _tests_text(self, info: Info) -> str | None:
        return (await self._content(info)).files.get(TESTS)

    async def _content(self, info: Info) -> TemplateContent:
        return await info.context.load_existing(template_content, self.record.id)


@object_type
class Template(VersionedEntry, Node):
    """A process with parameters, from which teams make flows."""

    VERSION_VIEW: ClassVar = TemplateVersion

    domain: str | None
    version: TemplateVersion | None = field(VersionedEntry.version_by_ref)
    versions: Connection[TemplateVersion] = field(VersionedEntry.version_page)

    @classmethod
    def _own_fields(cls, record: EntryRecord) -> dict[str, Any]:
        return {"domain": record.domain}

    @field
    async def usage(self, info: Info) -> TemplateUsage:
        """The flows that were made from it."""
        record = await info.context.load(template_usage, self.record.id)
        return TemplateUsage.of(record or UsageRecord(0, 0, 0, ()))


@input_type
class InstantiateTemplateInput:
    """The template, the team that will own the flow, and the parameters."""

    template: str = strawberry.field(
        description="Template ref; without a version, the highest published one",
    )
    namespace: str = strawberry.field(description="Team that will own the flow")
    name: str
    title: str | None = None
    parameters: Json
    process_owner: str
    client_mutation_id: str | None = None

    def instantiation(self) -> Instantiation:
        """The input of the verb."""
        return Instantiation(
            template=self.template,
            namespace=self.namespace,
            name=self.name,
            parameters=self.parameters,  # type: ignore[arg-type]  # a value of JSON
            process_owner=self.process_owner,
            title=self.title,
        )


@object_type
class TemplatePayload:
    """The template and the version that were saved, or the problems."""

    template: Template | None
    version: TemplateVersion | None
    problems: list[Problem]
