"""Root fields that change and delete drafts of every kind."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.loaders import entry_by_id
from coe.api.graphql.nodes import Problem, mutation
from coe.api.graphql.receipts import receipt_of, records_of
from coe.api.types.entry_kinds import entry_view, version_view
from coe.api.types.reviews import (
    DeleteDraftInput,
    DeleteDraftPayload,
    DraftPayload,
    UpdateDraftInput,
)
from coe.idempotency import Receipt
from coe.review import drafts
from coe.work import Work


@strawberry.type
class DraftMutation:
    """The fields of Mutation about drafts."""

    @mutation
    async def update_draft(self, info: Info, input: UpdateDraftInput) -> DraftPayload:  # noqa: A002  # the contract's style, here and below
        """Change a draft of a flow, a template or a decision table.

        A version that was submitted never changes (CONFLICT), unless a reviewer sent it back.
        """

        async def verb(work: Work) -> Receipt:
            return receipt_of(await drafts.update_draft(work, input.ref, input.change()))

        receipt = await once(info.context, "updateDraft", input.client_mutation_id, input, verb)
        entry, version, problems = await records_of(info.context, receipt)
        return DraftPayload(
            entry=entry_view(entry) if entry else None,
            version=version_view(version) if version else None,
            problems=problems,
        )

    @mutation
    async def delete_draft(self, info: Info, input: DeleteDraftInput) -> DeleteDraftPayload:  # noqa: A002
        """Delete a draft that was never submitted; its version number is free again."""

        async def verb(work: Work) -> Receipt:
            deleted = await drafts.delete_draft(work, input.ref)
            entry = str(deleted.entry.id) if deleted.entry else None
            return Receipt({"deleted": deleted.version.ref, "entry": entry})

        receipt = await once(info.context, "deleteDraft", input.client_mutation_id, input, verb)
        entry_id = receipt.id("entry")
        entry = await info.context.load(entry_by_id, entry_id) if entry_id else None
        return DeleteDraftPayload(
            deleted=receipt.text("deleted"),
            entry=entry_view(entry) if entry else None,
            problems=Problem.all_of(receipt.problems),
        )
