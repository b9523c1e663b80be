"""Templates and their versions."""

from __future__ import annotations

from typing import Any

import strawberry

from coe.api.context import Info, batch
from coe.api.entries import (
    CatalogEntry,
    FacetValue,
    entry_by_id,
    selector_of,
    version_by_selector,
)
from coe.api.ids import to_global
from coe.api.nested_pages import first_versions
from coe.api.nodes import Node, field
from coe.api.paging import PageInfo, checked
from coe.api.scalars import Json, Moment
from coe.catalog import queries as catalog
from coe.catalog.models import EntryKind, Lifecycle
from coe.catalog.records import EntryRecord, VersionRecord
from coe.errors import NotFound
from coe.paging import Page
from coe.templates import queries
from coe.templates.rows import TemplateContent
from coe.templates.rows import TemplateUsage as UsageRow

content_of = batch(queries.template_contents)
usage_of = batch(queries.usage)


@strawberry.type(description="Who made flows from a template, over all teams")
class TemplateUsage:
    """Who made flows from a template."""

    flows: int
    flows_on_latest: int
    teams: int
    by_version: list[FacetValue]

    @classmethod
    def of(cls, row: UsageRow) -> TemplateUsage:
        """The view of a usage."""
        return cls(
            flows=row.flows,
            flows_on_latest=row.flows_on_latest,
            teams=row.teams,
            by_version=[FacetValue.of(value) for value in row.by_version],
        )


@strawberry.type(description="One version of a template; what it holds never changes")
class TemplateVersion(Node):
    """One version of a template."""

    row: strawberry.Private[VersionRecord]
    ref: str
    version: str
    lifecycle: Lifecycle
    changelog: str | None
    digest: str = strawberry.field(
        description="SHA-256 over the canonical form of all its files",
    )
    created_at: Moment
    created_by: str
    published_at: Moment | None

    @classmethod
    def of(cls, row: VersionRecord) -> TemplateVersion:
        """The view of a version."""
        return cls(
            row=row,
            id=strawberry.ID(to_global("TemplateVersion", row.id)),
            ref=row.ref,
            version=row.version,
            lifecycle=row.lifecycle,
            changelog=row.changelog,
            digest=row.digest,
            created_at=Moment(row.created_at),
            created_by=row.created_by,
            published_at=Moment(row.published_at) if row.published_at else None,
        )

    @field
    async def parameters(self, info: Info) -> Json:
        """JSON Schema of the parameters."""
        return Json((await self._content(info)).parameters)

    @field
    async def definition(self, info: Info) -> str:
        """The definition, placeholders and all."""
        return (await self._content(info)).definition

    @field
    async def readme(self, info: Info) -> str | None:
        """What the template is for, in Markdown."""
        return (await self._content(info)).readme

    @field
    async def template(self, info: Info) -> Template:
        """The template that this is a version of."""
        row = await info.context.load(entry_by_id, self.row.entry_id)
        if row is None:
            raise NotFound
        return Template.of(row)

    async def _content(self, info: Info) -> TemplateContent:
        content = await info.context.load(content_of, self.row.id)
        if content is None:
            raise NotFound
        return content


@strawberry.type(description="A version and its place in a list")
class TemplateVersionEdge:
    """A version and its cursor."""

    cursor: str
    node: TemplateVersion


@strawberry.type(description="A page of versions, the highest first")
class TemplateVersionConnection:
    """A page of versions."""

    edges: list[TemplateVersionEdge]
    nodes: list[TemplateVersion]
    page_info: PageInfo
    total_count: int

    @classmethod
    def of(cls, page: Page[VersionRecord]) -> TemplateVersionConnection:
        """The view of a page."""
        nodes = [TemplateVersion.of(row) for row in page.items]
        edges = [
            TemplateVersionEdge(cursor=cursor, node=node)
            for cursor, node in zip(page.cursors, nodes, strict=True)
        ]
        return cls(edges=edges, nodes=nodes, page_info=PageInfo.of(page), total_count=page.total)


@strawberry.type(description="A process with parameters, from which teams make flows")
class Template(CatalogEntry, Node):
    """A process with parameters, from which teams make flows."""

    domain: str | None

    @classmethod
    def _more(cls, row: EntryRecord) -> dict[str, Any]:
        return {"domain": row.domain}

    @field
    async def version(self, info: Info, ref: str | None = None) -> TemplateVersion | None:
        """The version that a ref names: exact, range or alias; without one, `live`."""
        key = (self.row.id, selector_of(ref))
        row = await info.context.load(version_by_selector, key)
        return TemplateVersion.of(row) if row else None

    @field
    async def versions(
        self,
        info: Info,
        first: int | None = 20,
        after: str | None = None,
    ) -> TemplateVersionConnection:
        """All versions that the caller may read, the highest first."""
        size = checked(first)
        if after is None:
            return TemplateVersionConnection.of(
                await info.context.load(first_versions, (self.row.id, size))
            )
        async with info.context.read() as read:
            page = await catalog.versions_page(read, self.row.id, first=size, after=after)
        return TemplateVersionConnection.of(page)

    @field
    async def usage(self, info: Info) -> TemplateUsage:
        """The flows that were made from it."""
        row = await info.context.load(usage_of, self.row.id)
        return TemplateUsage.of(row or UsageRow(0, 0, 0, ()))


@strawberry.type
class TemplateQuery:
    """The part of Query that is about templates."""

    @field
    async def template(self, info: Info, ref: str) -> Template | None:
        """A template by its ref; the version part is not looked at here."""
        async with info.context.read() as read:
            row = await catalog.find_entry(read, ref, EntryKind.TEMPLATE)
        if row is None:
            raise NotFound
        return Template.of(row)
