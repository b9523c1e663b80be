"""The root field of sessions."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.nodes import field
from coe.api.graphql.paging import Connection, page_size
from coe.api.types.sessions import Session
from coe.identity.signin import actions


@strawberry.type
class SessionQuery:
    """The fields of Query about sessions."""

    @field
    async def sessions(
        self,
        info: Info,
        subject: str | None = None,
        first: int | None = 20,
        after: str | None = None,
    ) -> Connection[Session]:
        """The caller's own open sessions and those that it may end, the newest first."""
        async with info.context.read() as read:
            page = await actions.list_sessions(
                read, subject=subject, first=page_size(first), after=after
            )
            return Connection.of(page, lambda row: Session.of(row, read.actor))
