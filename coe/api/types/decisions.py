"""Views of decision tables and their versions; input, preview and payload of registration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import strawberry

from coe.access.actor import DataClass
from coe.api.graphql.context import Info
from coe.api.graphql.loaders import (
    aliases_of,
    callers_of,
    decision_content,
    entry_by_id,
)
from coe.api.graphql.nodes import Node, Problem, field, input_type, object_type
from coe.api.graphql.paging import Connection
from coe.api.graphql.scalars import Json
from coe.api.types.entries import PUBLICATION, SIGNATURE, VersionedEntry, VersionFields
from coe.catalog.decision_tables.actions import DecisionPreview as PreviewRecord
from coe.catalog.decision_tables.documents import DecisionContent
from coe.catalog.records import EntryRecord, VersionRecord
from coe.decisions.table import DecisionTable as Table
from coe.json_types import JSON

if TYPE_CHECKING:
    from coe.api.types.decision_cases import DecisionCase
    from coe.api.types.flows import Flow


@object_type
class DecisionRule:
    """One rule of a table: if every condition holds, the outputs are these."""

    id: str
    when: Json = strawberry.field(description="Condition by the name of its input, as written")
    then: Json = strawberry.field(description="Value by the name of its output")
    because: str | None = strawberry.field(description="The reason of the rule, for people")
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


@object_type
class DecisionTableVersion(VersionFields):
    """One version of a decision table; from its submission on its contents never change."""

    signature: str = strawberry.field(description=SIGNATURE)
    publication: str | None = strawberry.field(description=PUBLICATION)

    @classmethod
    def _own_fields(cls, record: VersionRecord) -> dict[str, Any]:
        return {"signature": record.signature, "publication": record.publication}

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
        """The inputs: name, type, possible values, and where they are in the data."""
        return _declared((await self._content(info)).table.document.inputs)

    @field
    async def outputs(self, info: Info) -> Json:
        """The outputs: name, type and possible values."""
        return _declared((await self._content(info)).table.document.outputs)

    @field
    async def rules(self, info: Info) -> list[DecisionRule]:
        """The rules, in their order."""
        return DecisionRule.all_of((await self._content(info)).table)

    @field
    async def default(self, info: Info) -> Json | None:
        """The outputs if no rule fires, if the table defines them."""
        default = (await self._content(info)).table.document.default
        return None if default is None else Json(dict(default))

    @field
    async def input_schema(self, info: Info) -> Json:
        """JSON Schema of the data on which it decides."""
        return Json((await self._content(info)).input_schema)

    @field
    async def output_schema(self, info: Info) -> Json:
        """JSON Schema of the output of `decision:1@default` for it."""
        return Json((await self._content(info)).output_schema)

    @field
    async def problems(self, info: Info) -> list[Problem]:
        """The findings of its check; of a saved version these are warnings only."""
        return Problem.all_of((await self._content(info)).problems)

    @field
    async def decision(self, info: Info) -> DecisionTable:
        """The table of this version."""
        return DecisionTable.of(await info.context.load_existing(entry_by_id, self.record.entry_id))

    @field
    async def cases(
        self,
        info: Info,
        first: int | None = 20,
        after: str | None = None,
    ) -> Connection[Annotated[DecisionCase, strawberry.lazy("coe.api.types.decision_cases")]]:
        """The cases that this version decided, of runs that the caller may read, oldest first."""
        from coe.api.types.decision_cases import cases_of  # noqa: PLC0415  # they refer to versions

        return await cases_of(info, self.record.entry_ref, self.version, first, after)

    async def _content(self, info: Info) -> DecisionContent:
        return await info.context.load_existing(decision_content, self.record.id)


def _declared(parts: Any) -> Json:
    values: list[JSON] = [
        part.model_dump(mode="json", by_alias=True, exclude_defaults=True) for part in parts
    ]
    return Json(values)


@object_type
class DecisionTable(VersionedEntry, Node):
    """A decision table: rules over typed inputs, which processes evaluate."""

    VERSION_VIEW: ClassVar = DecisionTableVersion

    process_owner: str | None
    deputy: str | None
    domain: str | None
    data_class: DataClass
    version: DecisionTableVersion | None = field(VersionedEntry.version_by_ref)
    versions: Connection[DecisionTableVersion] = field(VersionedEntry.version_page)

    @classmethod
    def _own_fields(cls, record: EntryRecord) -> dict[str, Any]:
        return {
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
    async def called_by(
        self, info: Info
    ) -> list[Annotated[Flow, strawberry.lazy("coe.api.types.flows")]]:
        """The flows that evaluate this table, from their definitions."""
        from coe.api.types.flows import Flow  # noqa: PLC0415  # flows refer to their tables

        records = await info.context.load(callers_of, self.record.id)
        return [Flow.of(record) for record in records or ()]


@input_type
class RegisterDecisionInput:
    """A decision table to save as a draft."""

    manifest: str = strawberry.field(description="The table's document, in YAML or JSON")
    tests: str | None = strawberry.field(
        default=None,
        description="The text of the tests.yaml beside it, which the platform runs at the "
        "submission; null keeps those of a draft that is replaced, an empty text removes them",
    )
    changelog: str | None = None
    client_mutation_id: str | None = None


@object_type
class DecisionPreview:
    """What registerDecision would save, and its problems."""

    definition: str
    digest: str
    problems: list[Problem]
    rules: list[DecisionRule]

    @classmethod
    def of(cls, record: PreviewRecord) -> DecisionPreview:
        """The view of a preview."""
        return cls(
            definition=record.definition,
            digest=record.digest,
            problems=Problem.all_of(record.problems),
            rules=DecisionRule.all_of(record.entry.table) if record.entry else [],
        )


@object_type
class DecisionPayload:
    """The table and the version that were saved, or the problems."""

    decision: DecisionTable | None
    version: DecisionTableVersion | None
    problems: list[Problem]
