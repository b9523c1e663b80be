"""Decision tables: their versions, the cases that they decided, checking and registering."""

from __future__ import annotations

from typing import Any

import strawberry

from coe.access.actor import DataClass
from coe.api.authoring import receipt_of, rows_of
from coe.api.context import Context, Info, batch
from coe.api.decision_cases import DecisionCaseConnection, cases_of
from coe.api.entries import (
    Approval,
    CatalogEntry,
    entry_by_id,
    selector_of,
    version_by_selector,
)
from coe.api.flows import Flow, aliases_of, approvals_of, callers_of
from coe.api.idempotency import Receipt, once
from coe.api.ids import to_global
from coe.api.nested_pages import first_versions
from coe.api.nodes import Node, Problem, field, mutation
from coe.api.paging import PageInfo, checked
from coe.api.scalars import Json, Moment
from coe.catalog import queries
from coe.catalog.decision_tables.actions import DecisionPreview as PreviewRow
from coe.catalog.decision_tables.actions import check_decision, register_decision
from coe.catalog.decision_tables.documents import DecisionContent, decision_contents
from coe.catalog.models import EntryKind, Lifecycle
from coe.catalog.records import EntryRecord, VersionRecord
from coe.decisions.table import DecisionTable as Table
from coe.errors import NotFound
from coe.json_types import JSON
from coe.paging import Page
from coe.work import Work

content_of = batch(decision_contents)


@strawberry.input(description="A decision table to save as a draft")
class RegisterDecisionInput:
    """A decision table to save as a draft."""

    manifest: str = strawberry.field(description="The table's document, in YAML or JSON")
    changelog: str | None = None
    client_mutation_id: str | None = None


@strawberry.type(description="If every condition holds, the outputs are these")
class DecisionRule:
    """One rule of a table."""

    id: str
    when: Json = strawberry.field(description="Condition by the name of its input, as written")
    then: Json = strawberry.field(description="Value by the name of its output")
    because: str | None = strawberry.field(description="Why, to people")
    line: int | None

    @classmethod
    def all_of(cls, table: Table) -> list[DecisionRule]:
        """The rules of a table, in their order."""
        return [
            cls(
                id=written.id,
                when=Json(dict(written.when)),
                then=Json(dict(written.then)),
                because=written.because,
                line=read.line,
            )
            for written, read in zip(table.document.rules, table.rules, strict=True)
        ]


@strawberry.type(description="One version of a decision table; what it holds never changes")
class DecisionTableVersion(Node):
    """One version of a decision table."""

    row: strawberry.Private[VersionRecord]
    ref: str
    version: str
    lifecycle: Lifecycle
    changelog: str | None
    digest: str
    signature: str = strawberry.field(
        description="Ed25519 signature over the digest by the platform's signing key",
    )
    created_at: Moment
    created_by: str
    published_at: Moment | None

    @classmethod
    def of(cls, row: VersionRecord) -> DecisionTableVersion:
        """The view of a version."""
        return cls(
            row=row,
            id=strawberry.ID(to_global("DecisionTableVersion", row.id)),
            ref=row.ref,
            version=row.version,
            lifecycle=row.lifecycle,
            changelog=row.changelog,
            digest=row.digest,
            signature=row.signature,
            created_at=Moment(row.created_at),
            created_by=row.created_by,
            published_at=Moment(row.published_at) if row.published_at else None,
        )

    @field
    async def definition(self, info: Info) -> str:
        """The document as it was sent."""
        return (await self._content(info)).definition

    @field
    async def hit_policy(self, info: Info) -> str:
        """How many rules may fire: unique, first or collect."""
        return (await self._content(info)).table.document.hit_policy

    @field
    async def inputs(self, info: Info) -> Json:
        """The inputs: name, type, what they can be, and where they are in the data."""
        return _declared((await self._content(info)).table.document.inputs)

    @field
    async def outputs(self, info: Info) -> Json:
        """The outputs: name, type and what they can be."""
        return _declared((await self._content(info)).table.document.outputs)

    @field
    async def rules(self, info: Info) -> list[DecisionRule]:
        """The rules, in their order."""
        return DecisionRule.all_of((await self._content(info)).table)

    @field
    async def default(self, info: Info) -> Json | None:
        """What holds where no rule fires, if the table says so."""
        default = (await self._content(info)).table.document.default
        return None if default is None else Json(dict(default))

    @field
    async def input_schema(self, info: Info) -> Json:
        """JSON Schema of the data that it decides on."""
        return Json((await self._content(info)).input_schema)

    @field
    async def output_schema(self, info: Info) -> Json:
        """JSON Schema of the output of `decision:1@default` for it."""
        return Json((await self._content(info)).output_schema)

    @field
    async def problems(self, info: Info) -> list[Problem]:
        """What checking it told: of a saved version warnings only."""
        return [Problem.of(problem) for problem in (await self._content(info)).problems]

    @field
    async def decision(self, info: Info) -> DecisionTable:
        """The table that this is a version of."""
        row = await info.context.load(entry_by_id, self.row.entry_id)
        if row is None:
            raise NotFound
        return DecisionTable.of(row)

    @field
    async def approvals(self, info: Info) -> list[Approval]:
        """What its reviewers decided, oldest first."""
        rows = await info.context.load(approvals_of, self.row.id)
        return [Approval.of_review(row) for row in rows or ()]

    @field
    async def cases(
        self,
        info: Info,
        first: int | None = 20,
        after: str | None = None,
    ) -> DecisionCaseConnection:
        """The cases that this version decided, of runs that the caller may read, oldest first."""
        return await cases_of(info, self.row.entry_ref, self.version, first, after)

    async def _content(self, info: Info) -> DecisionContent:
        content = await info.context.load(content_of, self.row.id)
        if content is None:
            raise NotFound
        return content


def _declared(parts: Any) -> Json:
    values: list[JSON] = [
        part.model_dump(mode="json", by_alias=True, exclude_defaults=True) for part in parts
    ]
    return Json(values)


@strawberry.type(description="A version and its place in a list")
class DecisionTableVersionEdge:
    """A version and its cursor."""

    cursor: str
    node: DecisionTableVersion


@strawberry.type(description="A page of versions, the highest first")
class DecisionTableVersionConnection:
    """A page of versions."""

    edges: list[DecisionTableVersionEdge]
    nodes: list[DecisionTableVersion]
    page_info: PageInfo
    total_count: int

    @classmethod
    def of(cls, page: Page[VersionRecord]) -> DecisionTableVersionConnection:
        """The view of a page."""
        nodes = [DecisionTableVersion.of(row) for row in page.items]
        edges = [
            DecisionTableVersionEdge(cursor=cursor, node=node)
            for cursor, node in zip(page.cursors, nodes, strict=True)
        ]
        return cls(edges=edges, nodes=nodes, page_info=PageInfo.of(page), total_count=page.total)


@strawberry.type(description="A decision table: rules over typed inputs, which processes ask")
class DecisionTable(CatalogEntry, Node):
    """A decision table."""

    process_owner: str | None
    deputy: str | None
    domain: str | None
    data_class: DataClass

    @classmethod
    def _more(cls, row: EntryRecord) -> dict[str, Any]:
        return {
            "process_owner": row.process_owner,
            "deputy": row.deputy,
            "domain": row.domain,
            "data_class": row.data_class,
        }

    @field
    async def version(self, info: Info, ref: str | None = None) -> DecisionTableVersion | None:
        """The version that a ref names: exact, range or alias; without one, `live`."""
        key = (self.row.id, selector_of(ref))
        row = await info.context.load(version_by_selector, key)
        return DecisionTableVersion.of(row) if row else None

    @field
    async def versions(
        self,
        info: Info,
        first: int | None = 20,
        after: str | None = None,
    ) -> DecisionTableVersionConnection:
        """All versions that the caller may read, the highest first."""
        size = checked(first)
        if after is None:
            page = await info.context.load(first_versions, (self.row.id, size))
            return DecisionTableVersionConnection.of(page)
        async with info.context.read() as read:
            page = await queries.versions_page(read, self.row.id, first=size, after=after)
        return DecisionTableVersionConnection.of(page)

    @field
    async def aliases(self, info: Info) -> Json:
        """Alias to exact version, such as live to 1.4.0."""
        return Json(await info.context.load(aliases_of, self.row.id) or {})

    @field
    async def called_by(self, info: Info) -> list[Flow]:
        """Flows that ask this table, from their definitions."""
        rows = await info.context.load(callers_of, self.row.id)
        return [Flow.of(row) for row in rows or ()]


@strawberry.type(description="What registerDecision would save, and what stands in its way")
class DecisionPreview:
    """What a registration would save."""

    definition: str
    digest: str
    problems: list[Problem]
    rules: list[DecisionRule]

    @classmethod
    def of(cls, row: PreviewRow) -> DecisionPreview:
        """The view of a preview."""
        return cls(
            definition=row.definition,
            digest=row.digest,
            problems=[Problem.of(problem) for problem in row.problems],
            rules=DecisionRule.all_of(row.entry.table) if row.entry else [],
        )


@strawberry.type(description="The table and the version that were saved, or the problems")
class DecisionPayload:
    """The table and the version that were saved, or the problems."""

    decision: DecisionTable | None
    version: DecisionTableVersion | None
    problems: list[Problem]


async def decision_payload(context: Context, receipt: Receipt) -> DecisionPayload:
    """The payload of a mutation of a table."""
    entry, version, problems = await rows_of(context, receipt)
    return DecisionPayload(
        decision=DecisionTable.of(entry) if entry else None,
        version=DecisionTableVersion.of(version) if version else None,
        problems=problems,
    )


@strawberry.type
class DecisionQuery:
    """The part of Query that is about decision tables."""

    @field
    async def decision(self, info: Info, ref: str) -> DecisionTable | None:
        """A decision table by its ref; the version part is not looked at here."""
        async with info.context.read() as read:
            row = await queries.find_entry(read, ref, EntryKind.DECISION)
        if row is None:
            raise NotFound
        return DecisionTable.of(row)

    @field
    async def check_decision(self, manifest: str) -> DecisionPreview:
        """What registerDecision would say, gaps and overlaps among it; saves nothing."""
        return DecisionPreview.of(await check_decision(manifest))


@strawberry.type
class DecisionMutation:
    """The part of Mutation that saves decision tables."""

    @mutation
    async def register_decision(self, info: Info, input: RegisterDecisionInput) -> DecisionPayload:  # noqa: A002  # the contract's name
        """Saves a version of a table as a draft; the same content again returns that version."""

        async def verb(work: Work) -> Receipt:
            saved = await register_decision(work, input.manifest, changelog=input.changelog)
            return receipt_of(saved)

        key = input.client_mutation_id
        receipt = await once(info.context, "registerDecision", key, input, verb)
        return await decision_payload(info.context, receipt)
