"""Root fields that say who may do what, and why."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.nodes import field
from coe.api.types.access import AccessGrant, Decision
from coe.governance import access


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
    ) -> Decision:
        """Whether a subject may do something with a thing, and why; the question is recorded.

        The thing is named as in the audit log, such as `flow:sales/order-to-cash`.
        """
        async with info.context.work() as work:
            return Decision.of(await access.explain_access(work, subject, permission, resource))

    @field
    async def access_review(self, info: Info, team: str) -> list[AccessGrant]:
        """Who may do what in a team's namespace: the evidence of an access review; recorded."""
        async with info.context.work() as work:
            return [AccessGrant.of(grant) for grant in await access.review_access(work, team)]
