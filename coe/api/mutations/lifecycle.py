"""Root fields that submit, review, publish, deprecate and retire versions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.nodes import mutation
from coe.api.graphql.receipts import receipt_of, records_of
from coe.api.types.entry_kinds import VERSION_KINDS, entry_view, version_view
from coe.api.types.lifecycle import (
    LifecycleInput,
    LifecyclePayload,
    ReviewInput,
    SetEntryAliasInput,
)
from coe.catalog import actions
from coe.catalog.records import ChangedVersion
from coe.errors import Invalid, Problem
from coe.idempotency import Receipt
from coe.review.submission import gather_evidence
from coe.work import Work


async def _change(
    info: Info,
    name: str,
    given: LifecycleInput | ReviewInput | SetEntryAliasInput,
    verb: Callable[[Work], Awaitable[ChangedVersion]],
) -> LifecyclePayload:
    async def act(work: Work) -> Receipt:
        if name != "publish" and getattr(given, "set_live", None):
            message = "only `publish` moves `live`; setEntryAlias moves it at any time"
            raise Invalid([Problem("INPUT_LIVE", message, path="/setLive")])
        return receipt_of(await verb(work))

    receipt = await once(info.context, name, given.client_mutation_id, given, act)
    entry, version, problems = await records_of(info.context, receipt)
    return LifecyclePayload(
        entry=entry_view(entry) if entry else None,
        version=version_view(version) if version and version.kind in VERSION_KINDS else None,
        problems=problems,
    )


@strawberry.type
class LifecycleMutation:
    """The fields of Mutation about the lifecycle of versions."""

    @mutation
    async def submit_for_review(self, info: Info, input: LifecycleInput) -> LifecyclePayload:  # noqa: A002  # the contract's name, here and below
        """Submit a draft for review: it is checked as for a publication, and its tests are run."""
        context = info.context
        evidence = await gather_evidence(
            context.platform, context.actor, input.ref, context.request
        )
        return await _change(
            info,
            "submitForReview",
            input,
            lambda work: actions.submit_for_review(
                work, input.ref, comment=input.comment, evidence=evidence
            ),
        )

    @mutation
    async def review(self, info: Info, input: ReviewInput) -> LifecyclePayload:  # noqa: A002
        """Approve a version that is in review, or send it back; its author may do neither."""
        return await _change(
            info,
            "review",
            input,
            lambda work: actions.review(
                work,
                input.ref,
                approve=input.approve,
                comment=input.comment,
            ),
        )

    @mutation
    async def publish(self, info: Info, input: LifecycleInput) -> LifecyclePayload:  # noqa: A002
        """Sign and publish a version; the first of its entry gets the alias `live`.

        `live` names the same version as before otherwise, unless `setLive` moves it.
        """
        return await _change(
            info,
            "publish",
            input,
            lambda work: actions.publish(
                work, input.ref, comment=input.comment, set_live=bool(input.set_live)
            ),
        )

    @mutation
    async def set_entry_alias(self, info: Info, input: SetEntryAliasInput) -> LifecyclePayload:  # noqa: A002
        """Set an alias of an entry of any kind to a published version."""
        return await _change(
            info,
            "setEntryAlias",
            input,
            lambda work: actions.set_alias(work, input.entry, input.alias, input.version),
        )

    @mutation
    async def deprecate(self, info: Info, input: LifecycleInput) -> LifecyclePayload:  # noqa: A002
        """Deprecate a published version: it still runs, with a warning."""
        return await _change(
            info,
            "deprecate",
            input,
            lambda work: actions.deprecate(work, input.ref, comment=input.comment),
        )

    @mutation
    async def retire(self, info: Info, input: LifecycleInput) -> LifecyclePayload:  # noqa: A002
        """Retire a deprecated version: it starts no more runs."""
        return await _change(
            info,
            "retire",
            input,
            lambda work: actions.retire(work, input.ref, comment=input.comment),
        )
