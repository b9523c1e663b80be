"""Root fields that read and verify the audit log."""

from __future__ import annotations

from typing import Annotated

import strawberry

from coe.api.graphql.context import Info, selected_fields
from coe.api.graphql.nodes import field
from coe.api.graphql.paging import Connection, page_size
from coe.api.types.audit import AuditCheckpoint, AuditEvent, AuditFilter, AuditVerification
from coe.api.types.losses import AuditLoss
from coe.api.types.refused_rows import RefusedRow
from coe.governance import audit_log
from coe.governance.losses import list_losses
from coe.governance.refused_rows import list_refused

AUDIT_PAGE_SIZE = 50


@strawberry.type
class AuditQuery:
    """The fields of Query about the audit log."""

    @field
    async def audit_log(
        self,
        info: Info,
        filter: AuditFilter | None = None,  # noqa: A002  # the contract's name
        first: int | None = AUDIT_PAGE_SIZE,
        after: str | None = None,
    ) -> Connection[AuditEvent]:
        """Events that the caller may read, the newest first; reading them is recorded."""
        async with info.context.work() as work:
            page = await audit_log.read_log(
                work,
                filter.wanted() if filter else None,
                first=page_size(first, default=AUDIT_PAGE_SIZE),
                after=after,
                count="totalCount" in selected_fields(info),
            )
        return Connection.of(page, AuditEvent.of)

    @field
    async def refused_rows(
        self,
        info: Info,
        settled: bool = False,  # noqa: FBT001,FBT002  # the contract's argument
        first: int | None = AUDIT_PAGE_SIZE,
        after: str | None = None,
    ) -> Connection[RefusedRow]:
        """Rows of the log's table that the platform did not write, settled or not; recorded."""
        async with info.context.work() as work:
            page = await list_refused(
                work,
                settled=settled,
                first=page_size(first, default=AUDIT_PAGE_SIZE),
                after=after,
            )
        return Connection.of(page, RefusedRow.of)

    @field
    async def audit_losses(self, info: Info) -> list[AuditLoss]:
        """Losses of sealed events that were found, and who accepted them; recorded."""
        async with info.context.work() as work:
            found = await list_losses(work)
        return [AuditLoss.of(each) for each in found]

    @field
    async def audit_checkpoint(self, info: Info) -> AuditCheckpoint | None:
        """The newest signed state of the log; null while nothing was ever sealed."""
        async with info.context.work() as work:
            found = await audit_log.newest_checkpoint(work)
        return AuditCheckpoint.of(found) if found else None

    @field
    async def audit_consistency(
        self,
        info: Info,
        from_: Annotated[int, strawberry.argument(name="from")],
        to: int,
    ) -> list[str]:
        """RFC 6962 consistency proof between two tree sizes, hex hashes."""
        async with info.context.work() as work:
            path = await audit_log.consistency_proof(work, from_, to)
        return [node.hex() for node in path]

    @field
    async def verify_audit(self, info: Info) -> AuditVerification:
        """Verify every row of the log against its tree and its checkpoints; recorded."""
        async with info.context.work() as work:
            await audit_log.request_verification(work)
        return AuditVerification.of(await audit_log.verify_log(info.context.platform))
