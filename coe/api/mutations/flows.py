"""Root fields that save flows and set their aliases."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Context, Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.nodes import mutation
from coe.api.graphql.receipts import receipt_of, records_of
from coe.api.types.flow_versions import FlowVersion
from coe.api.types.flows import Flow, FlowPayload, RegisterFlowInput, SetAliasInput
from coe.api.types.templates import InstantiateTemplateInput
from coe.catalog import actions
from coe.idempotency import Receipt
from coe.review import drafts
from coe.templates import actions as templates
from coe.work import Work


@strawberry.type
class FlowMutation:
    """The fields of Mutation about flows."""

    @mutation
    async def instantiate_template(
        self,
        info: Info,
        input: InstantiateTemplateInput,  # noqa: A002  # the contract's name
    ) -> FlowPayload:
        """Render a template into the team's namespace as a draft version, with its origin."""

        async def verb(work: Work) -> Receipt:
            return receipt_of(await templates.instantiate(work, input.instantiation()))

        key = input.client_mutation_id
        receipt = await once(info.context, "instantiateTemplate", key, input, verb)
        return await _payload(info.context, receipt)

    @mutation
    async def register_flow(self, info: Info, input: RegisterFlowInput) -> FlowPayload:  # noqa: A002  # the contract's name
        """Save a version of a flow as a draft, or replace the draft of that number.

        The same content again returns the version that has it. Other content for a version that
        was submitted is a CONFLICT.
        """

        async def verb(work: Work) -> Receipt:
            saved = await drafts.register_flow(
                work, input.manifest, changelog=input.changelog, tests=input.tests
            )
            return receipt_of(saved)

        receipt = await once(info.context, "registerFlow", input.client_mutation_id, input, verb)
        return await _payload(info.context, receipt)

    @mutation
    async def set_alias(self, info: Info, input: SetAliasInput) -> FlowPayload:  # noqa: A002  # the contract's name
        """Set an alias of a flow to a published version; setEntryAlias takes every kind."""

        async def verb(work: Work) -> Receipt:
            moved = await actions.set_alias(
                work, input.flow, input.alias, input.version, path="/flow"
            )
            return receipt_of(moved)

        receipt = await once(info.context, "setAlias", input.client_mutation_id, input, verb)
        return await _payload(info.context, receipt)


async def _payload(context: Context, receipt: Receipt) -> FlowPayload:
    entry, version, problems = await records_of(context, receipt)
    return FlowPayload(
        flow=Flow.of(entry) if entry else None,
        version=FlowVersion.of(version) if version else None,
        problems=problems,
    )
