"""Verbs of the catalog. Each checks, changes and records; none commits."""

from __future__ import annotations

import asyncio

from sqlalchemy import select
from sqlmodel import col

from coe.access.permissions import Permission
from coe.audit.events import Tag
from coe.catalog.columns import record_of_version
from coe.catalog.decision_tables.documents import opened_decision
from coe.catalog.flows import checking
from coe.catalog.flows.contents import opened_flow
from coe.catalog.flows.documents import read_flow
from coe.catalog.flows.drafts import preview_of, save_flow
from coe.catalog.models import LIVE, Entry, EntryAlias, EntryKind, EntryVersion, FlowKind, Verdict
from coe.catalog.records import MovedVersion, Preview, SavedVersion
from coe.catalog.refs import require_ref
from coe.catalog.semver import is_alias
from coe.catalog.versions.aliases import point_alias
from coe.catalog.versions.approvals import add_verdict, require_approvals
from coe.catalog.versions.lifecycle import RUNNABLE, Move
from coe.catalog.versions.saving import refresh_entry, saved_version
from coe.catalog.versions.sealing import unseal
from coe.catalog.versions.signatures import check_signature
from coe.catalog.versions.transitions import Transition, find, hold, move, require
from coe.errors import Conflict, Invalid, Problem, errors_in
from coe.json_types import JSON
from coe.language.canonical import digest
from coe.outbox import enqueue
from coe.work import Read, Work


async def register_flow(work: Work, manifest: str, *, changelog: str | None = None) -> SavedVersion:
    """Save a version of a central or a local flow as a draft.

    The same content again returns the version that has it, and records nothing.

    Raises:
        Invalid: The problems of the document; nothing is saved.
        Forbidden: `flow:register` in the team of its namespace is refused.
    """
    document, problems = await asyncio.to_thread(read_flow, manifest)
    if document is None:
        raise Invalid(problems)
    decision = work.require(
        Permission.FLOW_REGISTER,
        resource=document.resource,
        team=document.namespace,
        data_class=document.card.data_class,
    )
    entry, version, created = await save_flow(work, document, problems, changelog=changelog)
    if created:
        await work.record(
            Tag.CATALOG_FLOW_REGISTER,
            resource=document.resource,
            team=entry.team,
            decision=decision,
            detail={"digest": version.digest, "kind": document.kind, "changelog": changelog},
        )
    return await saved_version(work, entry, version, created=created)


async def check_flow(read: Read, manifest: str) -> Preview:
    """What `register_flow` would say; saves nothing."""
    document, problems = await asyncio.to_thread(read_flow, manifest)
    if document is None:
        return Preview(manifest, "", problems, "", None)
    return await preview_of(read, document, problems)


async def submit_for_review(work: Work, ref: str, *, comment: str | None = None) -> MovedVersion:
    """DRAFT → IN_REVIEW, for an entry that is named with its exact version.

    Raises:
        NotFound, Forbidden, Conflict: As for every move (`coe.catalog.versions.transitions.hold`).
    """
    held = await hold(work, ref, Move.SUBMIT)
    held.version.submitted_at = work.now
    held.version.submitted_by = work.actor.subject
    await _move(work, held, Move.SUBMIT, comment)
    return held.moved()


async def review(work: Work, ref: str, *, approve: bool, comment: str) -> MovedVersion:
    """Approve a version, or refuse it and send it back to DRAFT; its author may do neither.

    Raises:
        Invalid: Without a comment.
        NotFound, Forbidden, Conflict: As for every move.
    """
    if not comment.strip():
        message = "say in a comment what was looked at"
        raise Invalid([Problem("INPUT_COMMENT", message, path="/comment")])
    made = Move.APPROVE if approve else Move.REFUSE
    held = await hold(work, ref, made)
    verdict = Verdict.APPROVED if approve else Verdict.REFUSED
    await add_verdict(work, held.version, verdict, comment)
    await _move(work, held, made, comment, verdict=verdict)
    return held.moved()


async def publish(work: Work, ref: str, *, comment: str | None = None) -> MovedVersion:
    """IN_REVIEW → PUBLISHED; a local flow also from DRAFT, mostly without a review.

    The content is checked once more, against its signed digest and against the standards. The
    first version to be published gets the alias `live`; later ones leave it where it is.

    Raises:
        Invalid: The standards have changed, or what it calls is gone: its problems.
        NotFound, Forbidden, Conflict: As for every move; Conflict also without the approvals.
    """
    held = await hold(work, ref, Move.PUBLISH)
    version = held.version
    needed = checking.approvals_needed(work)
    await require_approvals(work, held.entry, version, needed)
    scheduled = await _check_for_publication(work, version)
    version.published_at = work.now
    version.published_by = work.actor.subject
    if await work.session.get(EntryAlias, (held.entry.id, LIVE)) is None:
        await point_alias(work, held.entry, version, LIVE)
        if scheduled:
            await _reschedule(work, held.entry)
    await _move(work, held, Move.PUBLISH, comment, digest=version.digest)
    if held.flow_kind is FlowKind.LOCAL:
        await enqueue(work.session, "deploy", version.id)
    return held.moved()


async def deprecate(work: Work, ref: str, *, comment: str | None = None) -> MovedVersion:
    """PUBLISHED → DEPRECATED: it still runs, and its callers are warned.

    Raises:
        NotFound, Forbidden, Conflict: As for every move.
    """
    held = await hold(work, ref, Move.DEPRECATE)
    await _move(work, held, Move.DEPRECATE, comment)
    await _reschedule(work, held.entry)
    return held.moved()


async def retire(work: Work, ref: str, *, comment: str | None = None) -> MovedVersion:
    """DEPRECATED → RETIRED: it starts no further run. A draft is given up the same way.

    Raises:
        NotFound, Forbidden, Conflict: As for every move; Conflict also while an alias names it.
    """
    held = await hold(work, ref, Move.RETIRE)
    named = await work.session.scalar(
        select(col(EntryAlias.alias)).where(col(EntryAlias.version_id) == held.version.id).limit(1),
    )
    if named:
        raise Conflict(f"the alias {named} names {held.version.version}: set it elsewhere first")
    await _move(work, held, Move.RETIRE, comment)
    return held.moved()


async def set_alias(work: Work, flow: str, alias: str, version: str) -> MovedVersion:
    """Let an alias of a flow, template or decision table name one of its published versions.

    Raises:
        Invalid: `flow` is no ref, `alias` no alias, or `version` not exact.
        NotFound, Forbidden: There is no such version, or the policy refuses.
        Conflict: The version was never published, or is retired.
    """
    if not is_alias(alias):
        message = f"{alias[:80]!r} cannot be an alias"
        help = "a letter, then letters, digits and hyphens, such as live or canary"
        raise Invalid([Problem("INPUT_ALIAS", message, path="/alias", help=help)])
    entry_ref = require_ref(flow, path="/flow").entry
    ref = require_ref(f"{entry_ref}@{version}", path="/version", exact=True)
    entry, found = await find(work, ref)
    held = require(work, entry, found, _ALIAS[entry.kind])
    if found.lifecycle not in RUNNABLE:
        raise Conflict(f"{ref} is {found.lifecycle}: an alias names what was published")
    before = await point_alias(work, entry, found, alias)
    if before != version:
        await refresh_entry(work, entry)
        if alias == LIVE:
            await _reschedule(work, entry)
        await work.record(
            _TAGS[entry.kind, None],
            resource=held.resource,
            team=entry.team,
            decision=held.decision,
            detail={"alias": alias, "before": before, "after": version},
        )
    return held.moved()


# ---------------------------------------------------------------- how


_ALIAS = {
    EntryKind.DECISION: Permission.DECISION_ALIAS,
    EntryKind.FLOW: Permission.FLOW_ALIAS,
    EntryKind.TEMPLATE: Permission.TEMPLATE_PUBLISH,
}
_TAGS: dict[tuple[EntryKind, Move | None], Tag] = {
    (EntryKind.DECISION, None): Tag.CATALOG_DECISION_ALIAS,
    (EntryKind.DECISION, Move.SUBMIT): Tag.CATALOG_DECISION_SUBMIT,
    (EntryKind.DECISION, Move.APPROVE): Tag.CATALOG_DECISION_REVIEW,
    (EntryKind.DECISION, Move.REFUSE): Tag.CATALOG_DECISION_REVIEW,
    (EntryKind.DECISION, Move.PUBLISH): Tag.CATALOG_DECISION_PUBLISH,
    (EntryKind.DECISION, Move.DEPRECATE): Tag.CATALOG_DECISION_DEPRECATE,
    (EntryKind.DECISION, Move.RETIRE): Tag.CATALOG_DECISION_RETIRE,
    (EntryKind.FLOW, None): Tag.CATALOG_FLOW_ALIAS,
    (EntryKind.FLOW, Move.SUBMIT): Tag.CATALOG_FLOW_SUBMIT,
    (EntryKind.FLOW, Move.APPROVE): Tag.CATALOG_FLOW_REVIEW,
    (EntryKind.FLOW, Move.REFUSE): Tag.CATALOG_FLOW_REVIEW,
    (EntryKind.FLOW, Move.PUBLISH): Tag.CATALOG_FLOW_PUBLISH,
    (EntryKind.FLOW, Move.DEPRECATE): Tag.CATALOG_FLOW_DEPRECATE,
    (EntryKind.FLOW, Move.RETIRE): Tag.CATALOG_FLOW_RETIRE,
    (EntryKind.TEMPLATE, None): Tag.CATALOG_TEMPLATE_ALIAS,
    (EntryKind.TEMPLATE, Move.SUBMIT): Tag.CATALOG_TEMPLATE_SUBMIT,
    (EntryKind.TEMPLATE, Move.APPROVE): Tag.CATALOG_TEMPLATE_REVIEW,
    (EntryKind.TEMPLATE, Move.REFUSE): Tag.CATALOG_TEMPLATE_REVIEW,
    (EntryKind.TEMPLATE, Move.PUBLISH): Tag.CATALOG_TEMPLATE_PUBLISH,
    (EntryKind.TEMPLATE, Move.DEPRECATE): Tag.CATALOG_TEMPLATE_DEPRECATE,
    (EntryKind.TEMPLATE, Move.RETIRE): Tag.CATALOG_TEMPLATE_RETIRE,
}


async def _reschedule(work: Work, entry: Entry) -> None:
    """What a central flow starts by itself may be another thing now: dispatch looks."""
    if entry.flow_kind is FlowKind.CENTRAL:
        await enqueue(work.session, "schedule", entry.id)


async def _move(
    work: Work,
    held: Transition,
    made: Move,
    comment: str | None,
    **more: JSON,
) -> None:
    """Make a move and record it, with the state before and after."""
    before = await move(work, held, made)
    await work.record(
        _TAGS[held.entry.kind, made],
        resource=held.resource,
        team=held.entry.team,
        decision=held.decision,
        detail={"before": before, "after": held.version.lifecycle, "comment": comment, **more},
    )


async def _check_for_publication(work: Work, version: EntryVersion) -> bool:
    """Refuse what may not be published; gives whether it is a flow that starts by itself."""
    column, sealed = "content_sealed", version.content_sealed
    opened = await unseal(work.keyring, version.id, version.team, column, sealed)
    if version.kind is EntryKind.TEMPLATE:
        check_signature(work, record_of_version(version), digest(opened))
        return False
    if version.kind is EntryKind.DECISION:
        table = await asyncio.to_thread(opened_decision, opened)
        check_signature(work, record_of_version(version), table.digest)
        return False
    document = opened_flow(opened)
    check_signature(work, record_of_version(version), document.digest)
    problems = await checking.check(work, document, publishing=True)
    if errors_in(problems):
        raise Invalid(problems)
    return document.definition is not None and document.definition.schedule is not None
