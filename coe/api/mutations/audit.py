"""Root fields that settle what the audit log refused, and accept what it has lost."""

from __future__ import annotations

from typing import Annotated

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.ids import to_uuid
from coe.api.graphql.nodes import mutation
from coe.api.graphql.scalars import Long
from coe.api.types.losses import AuditLossPayload
from coe.api.types.refused_rows import RefusedRowPayload
from coe.governance.losses import accept_loss
from coe.governance.refused_rows import settle_refused
from coe.idempotency import Receipt
from coe.work import Work


@strawberry.type
class AuditMutation:
    """The fields of Mutation about the audit log."""

    @mutation
    async def settle_refused_row(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  # as in every mutation
        reason: str,
        client_mutation_id: str | None = None,
    ) -> RefusedRowPayload:
        """Settle a row that is no event of the log: its alarm ends, and the row stays."""

        async def verb(work: Work) -> Receipt:
            row = await settle_refused(work, to_uuid("RefusedRow", id), reason=reason)
            return Receipt({"id": str(row.id)})

        given = {"id": id, "reason": reason}
        receipt = await once(info.context, "settleRefusedRow", client_mutation_id, given, verb)
        return RefusedRowPayload.of(receipt)

    @mutation
    async def accept_audit_loss(
        self,
        info: Info,
        from_: Annotated[Long, strawberry.argument(name="from")],
        confirmation: str,
        reason: str,
        client_mutation_id: str | None = None,
    ) -> AuditLossPayload:
        """Propose that the log goes on without the events from a position on, or approve that.

        It takes two people. The confirmation is what `coe restore verify` shows to the operator.
        """

        async def verb(work: Work) -> Receipt:
            loss = await accept_loss(work, from_, confirmation=confirmation, reason=reason)
            return Receipt({"state": loss.state.value})

        given = {"from": from_, "confirmation": confirmation, "reason": reason}
        receipt = await once(info.context, "acceptAuditLoss", client_mutation_id, given, verb)
        return AuditLossPayload.of(receipt)
