"""Root fields that have workers of teams enrolled, and revoke their keys."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.ids import to_uuid
from coe.api.graphql.nodes import mutation
from coe.api.types.workers import EnrolmentCodePayload, WorkerPayload
from coe.formats import instants
from coe.idempotency import Receipt
from coe.identity import workers
from coe.work import Work


@strawberry.type
class WorkerMutation:
    """The fields of Mutation about workers."""

    @mutation
    async def create_enrolment_code(
        self, info: Info, team: str, client_mutation_id: str | None = None
    ) -> EnrolmentCodePayload:
        """Make a one-time code with which a worker of the team enrols within half an hour."""

        async def verb(work: Work) -> Receipt:
            code, row = await workers.create_enrolment_code(work, team)
            values = {"team": row.team, "expiresAt": instants.write(row.expires_at)}
            return Receipt({**values}, shown={"code": code})

        given = {"team": team}
        receipt = await once(info.context, "createEnrolmentCode", client_mutation_id, given, verb)
        return EnrolmentCodePayload.of(receipt)

    @mutation
    async def revoke_worker(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  # the contract's name
        reason: str,
        client_mutation_id: str | None = None,
    ) -> WorkerPayload:
        """Make the key of a worker worthless from now on."""

        async def verb(work: Work) -> Receipt:
            row = await workers.revoke_worker(work, to_uuid("Worker", id), reason)
            return Receipt({"id": str(row.id)})

        given = {"id": id, "reason": reason}
        receipt = await once(info.context, "revokeWorker", client_mutation_id, given, verb)
        return WorkerPayload.of(receipt)
