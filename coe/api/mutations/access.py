"""Root fields that issue and revoke tokens."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.ids import to_uuid
from coe.api.graphql.nodes import mutation
from coe.api.types.access import IssueTokenInput, TokenPayload
from coe.governance import tokens
from coe.idempotency import Receipt
from coe.work import Work


@strawberry.type
class AccessMutation:
    """The fields of Mutation about tokens."""

    @mutation
    async def issue_token(self, info: Info, input: IssueTokenInput) -> TokenPayload:  # noqa: A002  # the contract's name
        """Issue a token for the caller itself, or for a service of one of its teams."""

        async def verb(work: Work) -> Receipt:
            bearer, token = await tokens.issue_token(work, input.request())
            return Receipt({"token": bearer, "id": str(token.id)})

        key = input.client_mutation_id
        return TokenPayload.of(await once(info.context, "issueToken", key, input, verb))

    @mutation
    async def revoke_token(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  # the contract's name
        reason: str,
        client_mutation_id: str | None = None,
    ) -> TokenPayload:
        """Make a token worthless from now on."""

        async def verb(work: Work) -> Receipt:
            token_id = to_uuid("Token", id)
            await tokens.revoke_token(work, token_id, reason)
            return Receipt({"id": str(token_id)})

        given = {"id": id, "reason": reason}
        receipt = await once(info.context, "revokeToken", client_mutation_id, given, verb)
        return TokenPayload.of(receipt)
