"""Flows and templates come in: previews, instantiation, registration, aliases."""

from __future__ import annotations

from typing import Any

import strawberry

from coe.api.context import Context, Info
from coe.api.entries import entry_by_id, version_by_id
from coe.api.flows import Flow, FlowVersion, VersionDiff
from coe.api.idempotency import Receipt, once
from coe.api.nodes import Problem, field, mutation
from coe.api.scalars import Json
from coe.api.templates import Template, TemplateVersion
from coe.catalog import actions
from coe.catalog.flows import contents
from coe.catalog.records import ChangedVersion, EntryRecord, Preview, SavedVersion, VersionRecord
from coe.errors import Invalid
from coe.errors import Problem as FoundProblem
from coe.templates import actions as templates
from coe.templates.rows import Instantiation
from coe.work import Work


@strawberry.input(description="Which template, for which team, with which parameters")
class InstantiateTemplateInput:
    """Which template, for which team, with which parameters."""

    template: str = strawberry.field(description="Template ref")
    namespace: str = strawberry.field(description="Team that will own the flow")
    name: str
    title: str | None = None
    parameters: Json
    process_owner: str
    client_mutation_id: str | None = None

    def instantiation(self) -> Instantiation:
        """The same for the verb."""
        return Instantiation(
            template=self.template,
            namespace=self.namespace,
            name=self.name,
            parameters=self.parameters,  # type: ignore[arg-type]  # a value of JSON
            process_owner=self.process_owner,
            title=self.title,
        )


@strawberry.input(description="A flow to save as a draft")
class RegisterFlowInput:
    """A flow to save as a draft."""

    manifest: str = strawberry.field(
        description="A flow document: a central flow's definition, or a local flow's manifest",
    )
    changelog: str | None = None
    client_mutation_id: str | None = None


@strawberry.input(description="Which alias of which flow names which version")
class SetAliasInput:
    """Which alias of which flow names which version."""

    flow: str
    alias: str
    version: str
    client_mutation_id: str | None = None


@strawberry.type(description="What a registration would save, and what stands in its way")
class FlowPreview:
    """What a registration would save."""

    definition: str
    digest: str
    problems: list[Problem]
    diagram: str
    diff: VersionDiff | None = strawberry.field(
        description="Against the version that is live, if there is one",
    )

    @field
    async def diagram_svg(self) -> str:
        """The drawing as an SVG document; empty for what does not load."""
        return await contents.svg_of_text(self.definition)

    @classmethod
    def of(cls, row: Preview) -> FlowPreview:
        """The view of a preview."""
        return cls(
            definition=row.definition,
            digest=row.digest,
            problems=[Problem.of(problem) for problem in row.problems],
            diagram=row.diagram,
            diff=VersionDiff.of(row.diff) if row.diff else None,
        )


@strawberry.type(description="The flow and the version that were saved, or the problems")
class FlowPayload:
    """The flow and the version that were saved, or the problems."""

    flow: Flow | None
    version: FlowVersion | None
    problems: list[Problem]


@strawberry.type(description="The template and the version that were saved, or the problems")
class TemplatePayload:
    """The template and the version that were saved, or the problems."""

    template: Template | None
    version: TemplateVersion | None
    problems: list[Problem]


def receipt_of(result: SavedVersion | ChangedVersion) -> Receipt:
    """What a payload is rebuilt from."""
    values: dict[str, Any] = {
        "entry": str(result.entry.id),
        "version": str(result.version.id),
    }
    return Receipt(values, result.problems if isinstance(result, SavedVersion) else ())


async def rows_of(
    context: Context, receipt: Receipt
) -> tuple[EntryRecord | None, VersionRecord | None, list[Problem]]:
    """The entry and the version that a receipt names, as they stand now, and its problems."""
    entry_id, version_id = receipt.id("entry"), receipt.id("version")
    entry = await context.load(entry_by_id, entry_id) if entry_id else None
    version = await context.load(version_by_id, version_id) if version_id else None
    return entry, version, [Problem.of(problem) for problem in receipt.problems]


async def flow_payload(context: Context, receipt: Receipt) -> FlowPayload:
    """The payload of a mutation of a flow."""
    entry, version, problems = await rows_of(context, receipt)
    return FlowPayload(
        flow=Flow.of(entry) if entry else None,
        version=FlowVersion.of(version) if version else None,
        problems=problems,
    )


def _texts(files: Json) -> dict[str, str]:
    """Path to content.

    Raises:
        Invalid: It is anything else.
    """
    if isinstance(files, dict) and all(
        isinstance(path, str) and isinstance(text, str) for path, text in files.items()
    ):
        return files
    message = "`files` is one object: each name the path of a file, each value its text"
    raise Invalid([FoundProblem("INPUT_FILES", message, path="/files")])


@strawberry.type
class AuthoringQuery:
    """The part of Query that says what a mutation would do."""

    @field
    async def preview_template(self, info: Info, input: InstantiateTemplateInput) -> FlowPreview:  # noqa: A002  # the contract's name
        """What instantiateTemplate would save, and what stands in its way; saves nothing."""
        async with info.context.read() as read:
            return FlowPreview.of(await templates.preview(read, input.instantiation()))

    @field
    async def check_flow(self, info: Info, manifest: str) -> FlowPreview:
        """What registerFlow would say; saves nothing."""
        async with info.context.read() as read:
            return FlowPreview.of(await actions.check_flow(read, manifest))


@strawberry.type
class AuthoringMutation:
    """The part of Mutation that saves flows and templates."""

    @mutation
    async def instantiate_template(
        self,
        info: Info,
        input: InstantiateTemplateInput,  # noqa: A002  # the contract's name
    ) -> FlowPayload:
        """Renders the template into the team's namespace as a draft version, with its origin."""

        async def verb(work: Work) -> Receipt:
            return receipt_of(await templates.instantiate(work, input.instantiation()))

        key = input.client_mutation_id
        receipt = await once(info.context, "instantiateTemplate", key, input, verb)
        return await flow_payload(info.context, receipt)

    @mutation
    async def register_flow(self, info: Info, input: RegisterFlowInput) -> FlowPayload:  # noqa: A002  # the contract's name
        """Saves a version of a flow as a draft; the same content again returns that version."""

        async def verb(work: Work) -> Receipt:
            saved = await actions.register_flow(work, input.manifest, changelog=input.changelog)
            return receipt_of(saved)

        receipt = await once(info.context, "registerFlow", input.client_mutation_id, input, verb)
        return await flow_payload(info.context, receipt)

    @mutation
    async def register_template(
        self,
        info: Info,
        files: Json,
        changelog: str | None = None,
        client_mutation_id: str | None = None,
    ) -> TemplatePayload:
        """Same for a template: its files as one document, path to content."""

        async def verb(work: Work) -> Receipt:
            saved = await templates.register_template(work, _texts(files), changelog=changelog)
            return receipt_of(saved)

        given = {"files": files, "changelog": changelog}
        receipt = await once(info.context, "registerTemplate", client_mutation_id, given, verb)
        entry, version, problems = await rows_of(info.context, receipt)
        return TemplatePayload(
            template=Template.of(entry) if entry else None,
            version=TemplateVersion.of(version) if version else None,
            problems=problems,
        )

    @mutation
    async def set_alias(self, info: Info, input: SetAliasInput) -> FlowPayload:  # noqa: A002  # the contract's name
        """Lets an alias of a flow name a published version."""

        async def verb(work: Work) -> Receipt:
            moved = await actions.set_alias(work, input.flow, input.alias, input.version)
            return receipt_of(moved)

        receipt = await once(info.context, "setAlias", input.client_mutation_id, input, verb)
        return await flow_payload(info.context, receipt)
