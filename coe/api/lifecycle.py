"""The way of a version: submitted, reviewed, published, deprecated, retired."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import strawberry

from coe.api.authoring import receipt_of, rows_of
from coe.api.context import Info
from coe.api.decisions import DecisionTableVersion
from coe.api.entries import CatalogEntry, EntryVersion, view_of
from coe.api.flows import FlowVersion
from coe.api.idempotency import Receipt, once
from coe.api.nodes import Problem, mutation
from coe.api.templates import TemplateVersion
from coe.catalog import actions
from coe.catalog.models import EntryKind
from coe.catalog.records import ChangedVersion, VersionRecord
from coe.work import Work


@strawberry.input(description="Which version moves on")
class LifecycleInput:
    """Which version moves on."""

    ref: str = strawberry.field(description="Ref with an exact version")
    comment: str | None = None
    client_mutation_id: str | None = None


@strawberry.input(description="A reviewer's decision")
class ReviewInput:
    """A reviewer's decision."""

    ref: str
    approve: bool
    comment: str
    client_mutation_id: str | None = None


@strawberry.type(description="The entry and the version after the move, or the problems")
class LifecyclePayload:
    """The entry and the version after the move, or the problems."""

    entry: CatalogEntry | None
    version: EntryVersion | None
    problems: list[Problem]


def _version(
    row: VersionRecord | None,
) -> FlowVersion | TemplateVersion | DecisionTableVersion | None:
    match row:
        case None:
            return None
        case VersionRecord(kind=EntryKind.FLOW):
            return FlowVersion.of(row)
        case VersionRecord(kind=EntryKind.DECISION):
            return DecisionTableVersion.of(row)
        case _:
            return TemplateVersion.of(row)


async def _move(
    info: Info,
    name: str,
    given: LifecycleInput | ReviewInput,
    verb: Callable[[Work], Awaitable[ChangedVersion]],
) -> LifecyclePayload:
    async def act(work: Work) -> Receipt:
        return receipt_of(await verb(work))

    receipt = await once(info.context, name, given.client_mutation_id, given, act)
    entry, version, problems = await rows_of(info.context, receipt)
    return LifecyclePayload(
        entry=view_of(entry) if entry else None,
        version=_version(version),
        problems=problems,
    )


@strawberry.type
class LifecycleMutation:
    """The part of Mutation that moves versions on."""

    @mutation
    async def submit_for_review(self, info: Info, input: LifecycleInput) -> LifecyclePayload:  # noqa: A002  # the contract's name, here and below
        """Asks for a review of a draft."""
        return await _move(
            info,
            "submitForReview",
            input,
            lambda work: actions.submit_for_review(work, input.ref, comment=input.comment),
        )

    @mutation
    async def review(self, info: Info, input: ReviewInput) -> LifecyclePayload:  # noqa: A002
        """Approves a version that is in review, or sends it back; its author may do neither."""
        return await _move(
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
        """Signs and publishes a version; the first of its entry gets the alias `live`."""
        return await _move(
            info,
            "publish",
            input,
            lambda work: actions.publish(work, input.ref, comment=input.comment),
        )

    @mutation
    async def deprecate(self, info: Info, input: LifecycleInput) -> LifecyclePayload:  # noqa: A002
        """Deprecates a published version: it still runs, and warns."""
        return await _move(
            info,
            "deprecate",
            input,
            lambda work: actions.deprecate(work, input.ref, comment=input.comment),
        )

    @mutation
    async def retire(self, info: Info, input: LifecycleInput) -> LifecyclePayload:  # noqa: A002
        """Retires a deprecated version: it starts no further run."""
        return await _move(
            info,
            "retire",
            input,
            lambda work: actions.retire(work, input.ref, comment=input.comment),
        )
