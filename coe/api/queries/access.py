"""Root fields that say who may do what, and why, and with which tokens."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.nodes import field
from coe.api.graphql.paging import Connection, page_size
from coe.api.types.access import AccessGrant, Decision, Token
from coe.governance import access, tokens


@strawberry.type
class AccessQuery:
    """The fields of Query about access."""

    @field
    async def explain_access(
        self,
        info: Info,
        subject: str,
        permission: str,
        resource: str,
        credential: str | None = None,
    ) -> Decision:
        """Whether a subject may do something with a thing, and why; the question is recorded.

        The thing is named as in the audit log, such as `flow:sales/order-to-cash`. The answer is
        what the verb decides: for the caller with what was sent, for others with a token of all
        scopes, or with `credential`, such as `token:<uuid>` or `worker:<uuid>`.
        """
        async with info.context.work() as work:
            return Decision.of(
                await access.explain_access(
                    work, subject, permission, resource, credential=credential
                )
            )

    @field
    async def access_review(self, info: Info, team: str) -> list[AccessGrant]:
        """Who may do what in a team's namespace: the evidence of an access review; recorded."""
        async with info.context.work() as work:
            return [AccessGrant.of(grant) for grant in await access.review_access(work, team)]

    @field
    async def tokens(
        self,
        info: Info,
        subject: str | None = None,
        *,
        active: bool | None = None,
        team: str | None = None,
        made_by: str | None = None,
        first: int | None = 20,
        after: str | None = None,
    ) -> Connection[Token]:
        """The caller's own tokens and those that it may revoke, the newest first.

        `team` chooses those that are bound to a team and the unbound ones of its members, `madeBy`
        those that a subject issued for itself or for a service.
        """
        wanted = tokens.TokenFilter(subject=subject, team=team, made_by=made_by, active=active)
        async with info.context.read() as read:
            page = await tokens.list_tokens(read, wanted, first=page_size(first), after=after)
            return Connection.of(page, lambda record: Token.of(record, read.now))
