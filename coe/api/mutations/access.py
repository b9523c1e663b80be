"""Root fields that issue and revoke tokens."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.ids import to_uuid
from coe.api.graphql.nodes import mutation
from coe.api.types.access import (
    IssueTokenInput,
    RevokedTokensPayload,
    RevokeTokensInput,
    TokenPayload,
)
from coe.governance import tokens
from coe.idempotency import Receipt
from coe.work import Work


@strawberry.type
class AccessMutation:
    """The fields of Mutation about tokens."""

    @mutation
    async def issue_token(self, info: Info, input: IssueTokenInput) -> TokenPayload:  # noqa: A002  # the contract's name
        """Issue a token for the caller itself, or for a service of one of its teams.

        It has no other scopes than the token that the caller sends, ends no later and is revoked
        with it. One for a service is bound to the team.
        """

        async def verb(work: Work) -> Receipt:
            bearer, token = await tokens.issue_token(work, input.request())
            return Receipt({"id": str(token.id)}, shown={"token": bearer})

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
        """Make a token worthless from now on, and all that were issued with it."""

        async def verb(work: Work) -> Receipt:
            token_id = to_uuid("Token", id)
            await tokens.revoke_token(work, token_id, reason)
            return Receipt({"id": str(token_id)})

        given = {"id": id, "reason": reason}
        receipt = await once(info.context, "revokeToken", client_mutation_id, given, verb)
        return TokenPayload.of(receipt)

    @mutation
    async def revoke_tokens(self, info: Info, input: RevokeTokensInput) -> RevokedTokensPayload:  # noqa: A002  # the contract's name
        """Revoke all tokens of a subject, of a team or of a maker that work, and their children."""

        async def verb(work: Work) -> Receipt:
            done = await tokens.revoke_tokens(work, input.filter(), input.reason)
            return Receipt({"ids": [*sorted(str(each) for each in done)]})

        key = input.client_mutation_id
        return RevokedTokensPayload.of(await once(info.context, "revokeTokens", key, input, verb))
