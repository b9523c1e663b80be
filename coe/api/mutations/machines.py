"""Root fields that let machines of a team in, and end that."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.ids import to_uuid
from coe.api.graphql.nodes import mutation
from coe.api.types.machines import (
    AddTrustRuleInput,
    ClientPayload,
    CreateClientInput,
    TrustRulePayload,
)
from coe.idempotency import Receipt
from coe.identity import registrations
from coe.work import Work


@strawberry.type
class MachineMutation:
    """The fields of Mutation about registered clients and trust rules."""

    @mutation
    async def create_client(self, info: Info, input: CreateClientInput) -> ClientPayload:  # noqa: A002  # the contract's name
        """Register a machine of a team, which signs in at `/auth/token`."""

        async def verb(work: Work) -> Receipt:
            secret, row = await registrations.create_client(work, input.request())
            return Receipt({"id": str(row.id)}, shown={"secret": secret} if secret else {})

        key = input.client_mutation_id
        return ClientPayload.of(await once(info.context, "createClient", key, input, verb))

    @mutation
    async def revoke_client(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  # the contract's name
        reason: str,
        client_mutation_id: str | None = None,
    ) -> ClientPayload:
        """Make a registered client worthless from now on."""

        async def verb(work: Work) -> Receipt:
            row = await registrations.revoke_client(work, to_uuid("Client", id), reason)
            return Receipt({"id": str(row.id)})

        given = {"id": id, "reason": reason}
        receipt = await once(info.context, "revokeClient", client_mutation_id, given, verb)
        return ClientPayload.of(receipt)

    @mutation
    async def add_trust_rule(self, info: Info, input: AddTrustRuleInput) -> TrustRulePayload:  # noqa: A002  # the contract's name
        """Trust the tokens of an issuer whose subject fits, as those of a machine of a team."""

        async def verb(work: Work) -> Receipt:
            row = await registrations.add_trust_rule(work, input.request())
            return Receipt({"id": str(row.id)})

        key = input.client_mutation_id
        return TrustRulePayload.of(await once(info.context, "addTrustRule", key, input, verb))

    @mutation
    async def remove_trust_rule(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  # the contract's name
        reason: str,
        client_mutation_id: str | None = None,
    ) -> TrustRulePayload:
        """Trust no more: what was given by the rule is worthless from now on."""

        async def verb(work: Work) -> Receipt:
            row = await registrations.remove_trust_rule(work, to_uuid("TrustRule", id), reason)
            return Receipt({"id": str(row.id)})

        given = {"id": id, "reason": reason}
        receipt = await once(info.context, "removeTrustRule", client_mutation_id, given, verb)
        return TrustRulePayload.of(receipt)
