"""Root fields that end sessions."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.ids import to_uuid
from coe.api.graphql.nodes import mutation
from coe.api.types.sessions import SessionPayload
from coe.idempotency import Receipt
from coe.identity.signin import actions
from coe.work import Work


@strawberry.type
class SessionMutation:
    """The fields of Mutation about sessions."""

    @mutation
    async def revoke_session(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  # as in every mutation
        reason: str,
        client_mutation_id: str | None = None,
    ) -> SessionPayload:
        """End a session of the caller, or of somebody whom it may sign out."""

        async def verb(work: Work) -> Receipt:
            await actions.revoke_session(work, to_uuid("Session", id), reason)
            return Receipt({"ended": 1})

        given = {"id": id, "reason": reason}
        receipt = await once(info.context, "revokeSession", client_mutation_id, given, verb)
        return SessionPayload.of(receipt)

    @mutation
    async def revoke_sessions(
        self,
        info: Info,
        subject: str,
        reason: str,
        client_mutation_id: str | None = None,
    ) -> SessionPayload:
        """End every session of a person: they are signed out everywhere."""

        async def verb(work: Work) -> Receipt:
            return Receipt({"ended": await actions.revoke_sessions(work, subject, reason)})

        given = {"subject": subject, "reason": reason}
        receipt = await once(info.context, "revokeSessions", client_mutation_id, given, verb)
        return SessionPayload.of(receipt)
