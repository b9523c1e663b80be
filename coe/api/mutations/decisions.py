"""The root field that saves decision tables."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.nodes import mutation
from coe.api.graphql.receipts import receipt_of, records_of
from coe.api.types.decisions import (
    DecisionPayload,
    DecisionTable,
    DecisionTableVersion,
    RegisterDecisionInput,
)
from coe.idempotency import Receipt
from coe.review.drafts import register_decision
from coe.work import Work


@strawberry.type
class DecisionMutation:
    """The field of Mutation about decision tables."""

    @mutation
    async def register_decision(self, info: Info, input: RegisterDecisionInput) -> DecisionPayload:  # noqa: A002  # the contract's name
        """Save a version of a table as a draft, or replace the draft of that number.

        The same content again returns the version that has it. Other content for a version that
        was submitted is a CONFLICT.
        """

        async def verb(work: Work) -> Receipt:
            saved = await register_decision(
                work, input.manifest, changelog=input.changelog, tests=input.tests
            )
            return receipt_of(saved)

        key = input.client_mutation_id
        receipt = await once(info.context, "registerDecision", key, input, verb)
        entry, version, problems = await records_of(info.context, receipt)
        return DecisionPayload(
            decision=DecisionTable.of(entry) if entry else None,
            version=DecisionTableVersion.of(version) if version else None,
            problems=problems,
        )
