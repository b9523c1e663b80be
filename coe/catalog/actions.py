"""Verbs of the catalog: each checks, changes and records; none commits."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import delete, select
from sqlmodel import col

from coe.access.permissions import Permission
from coe.audit.events import Tag
from coe.catalog.decision_tables.documents import opened_decision
from coe.catalog.flows import checking
from coe.catalog.flows.computed import flow_of, saved_flow
from coe.catalog.flows.contents import definition_in
from coe.catalog.flows.documents import FlowDocument
from coe.catalog.flows.drafts import preview_draft, save_flow, taken_number
from coe.catalog.models import (
    LIVE,
    Entry,
    EntryAlias,
    EntryKind,
    EntryVersion,
    FlowKind,
    ReviewVerdict,
)
from coe.catalog.names import check_names, known_names, of_any_team
from coe.catalog.records import VERSION_COLUMNS, ChangedVersion, Preview, SavedVersion
from coe.catalog.refs import require_ref
from coe.catalog.semver import is_alias
from coe.catalog.versions.aliases import point_alias
from coe.catalog.versions.approvals import add_verdict, require_approvals
from coe.catalog.versions.current import refresh_entry
from coe.catalog.versions.evidence import TestEvidence, keep_evidence
from coe.catalog.versions.lifecycle import ALIAS_PERMISSIONS, RUNNABLE, LifecycleAction
from coe.catalog.versions.saving import saved_version
from coe.catalog.versions.sealing import (
    opened_file,
    problems_to_json,
    seal,
    seal_text,
    unseal,
)
from coe.catalog.versions.signatures import check_draft, sign_publication, sign_retirement
from coe.catalog.versions.transitions import (
    Transition,
    apply,
    begin,
    find_for_update,
    require_permission,
)
from coe.catalog.versions.written import require_row_as_written
from coe.confined.budget import BudgetSpent
from coe.errors import Conflict, Invalid, Problem, errors_in
from coe.json_types import JSON
from coe.language.canonical import digest
from coe.language.lint import Stage
from coe.language.names.directory import name_problems
from coe.language.names.references import (
    named_by,
    named_by_table,
    named_by_template,
)
from coe.outbox import OutboxKind, enqueue
from coe.work import Read, Work


async def register_flow(
    work: Work, manifest: str, *, changelog: str | None = None, tests: str | None = None
) -> SavedVersion:
    """Save a version of a central or a local flow as a draft, or replace the draft.

    For content that is already saved it returns the existing version, and records nothing.

    Args:
        work: The transaction.
        manifest: The document.
        changelog: What is new; None keeps that of a draft.
        tests: The text of its tests.yaml; None keeps those of a draft, an empty text removes them.

    Raises:
        Invalid: The document has errors; nothing is saved.
        Forbidden: `flow:register` in the team of its namespace is refused.
        Conflict: The version was submitted already, with other content.
    """
    document, problems = await work.compute(flow_of, manifest)
    if document is None:
        raise Invalid(problems)
    decision = work.require(
        Permission.FLOW_REGISTER,
        resource=document.resource,
        team=document.namespace,
        data_class=document.search_document.data_class,
    )
    saving = await save_flow(work, document, problems, changelog=changelog, tests=tests)
    if saving.changed:
        await work.record(
            Tag.CATALOG_FLOW_REGISTER,
            resource=document.resource,
            team=saving.entry.team,
            decision=decision,
            detail=saving.detail(kind=document.kind, changelog=changelog),
        )
    return await saved_version(work, saving)


async def check_flow(work: Work, manifest: str, stage: Stage = Stage.DRAFT) -> Preview:
    """Preview what `register_flow` would save, and report what a stage asks; nothing is saved.

    Raises:
        Forbidden: The actor may check flows (`flow:check`) in no team.
    """
    work.require_somewhere(Permission.FLOW_CHECK, resource="flow:new")
    try:
        document, problems = await work.compute(flow_of, manifest)
        if document is None:
            return Preview(manifest, problems)
        problems = (*problems, *_refused(work, document), *await taken_number(work, document))
        return await preview_draft(work, document, problems, stage)
    except BudgetSpent as spent:
        return Preview(manifest, spent.problems)


def _refused(read: Read, document: FlowDocument) -> Iterator[Problem]:
    """The problem that the actor may not save a flow in the document's namespace, if so."""
    decision = read.decide(
        Permission.FLOW_REGISTER,
        team=document.namespace,
        data_class=document.search_document.data_class,
    )
    if not decision.allowed:
        place = "/document/namespace" if document.definition is not None else "/namespace"
        message = f"you may not save flows of `{document.namespace}`: {decision.explanation}"
        yield document.source.problem("INPUT_NAMESPACE", message, place, value=True)


async def submit_for_review(
    work: Work,
    ref: str,
    *,
    comment: str | None = None,
    evidence: TestEvidence | None = None,
) -> ChangedVersion:
    """DRAFT → IN_REVIEW, for an exact version of an entry.

    Args:
        work: The transaction.
        ref: The version.
        comment: What its reviewers should know.
        evidence: The result of its tests, from `coe.review.submission.gather_evidence`.

    Raises:
        NotFound, Forbidden, Conflict: As for every transition
            (`coe.catalog.versions.transitions.begin`).
        Invalid: The content has problems that a publication would refuse, or its tests are
            missing, failed or reach too little (standard COE060).
        Conflict: The draft was changed after its tests ran.
    """
    transition = await begin(work, ref, LifecycleAction.SUBMIT)
    document, found = await _check_for_publication(work, transition.version)
    if document is not None:  # what its reviewers see is what holds now
        transition.version.problems_sealed = await seal(
            work.keyring, transition.version, "problems_sealed", problems_to_json(found)
        )
    problems = await keep_evidence(work, transition.version, evidence)
    transition.version.submitted_at = work.now
    transition.version.submitted_by = work.actor.subject
    transition.version.submission_sealed = await seal_text(
        work.keyring, transition.version, "submission_sealed", comment
    )
    await _apply(work, transition, LifecycleAction.SUBMIT, comment)
    return transition.result(problems)


async def review(work: Work, ref: str, *, approve: bool, comment: str) -> ChangedVersion:
    """Approve a version, or send it back to DRAFT; its author may do neither.

    Raises:
        Invalid: The comment is empty.
        NotFound, Forbidden, Conflict: As for every transition.
    """
    if not comment.strip():
        message = "write in the comment what was reviewed"
        raise Invalid([Problem("INPUT_COMMENT", message, path="/comment")])
    action = LifecycleAction.APPROVE if approve else LifecycleAction.REFUSE
    transition = await begin(work, ref, action)
    verdict = ReviewVerdict.APPROVED if approve else ReviewVerdict.REFUSED
    await add_verdict(work, transition.version, verdict, comment)
    await _apply(work, transition, action, comment, verdict=verdict)
    return transition.result()


async def publish(
    work: Work, ref: str, *, comment: str | None = None, set_live: bool = False
) -> ChangedVersion:
    """IN_REVIEW → PUBLISHED; a local flow also from DRAFT, usually without a review.

    The content is checked again, against its signed digest and the standards. The first published
    version gets the alias `live`; a later one only with `set_live`, which needs the permission to
    set aliases too: a policy may require a second person for it (relation `publisher`).

    Raises:
        Invalid: The content has problems, because the standards or the called flows changed.
        NotFound, Forbidden, Conflict: As for every transition.
        Conflict: Approvals are missing.
    """
    transition = await begin(work, ref, LifecycleAction.PUBLISH)
    version = transition.version
    document, _ = await _check_for_publication(work, version)
    approvers = await require_approvals(work, transition.entry, version)
    sign_publication(work.platform, version, approvers)
    version.published_at = work.now
    version.published_by = work.actor.subject
    if await work.session.get(EntryAlias, (transition.entry.id, LIVE)) is None:
        await point_alias(work, transition.entry, version, LIVE)
        if _starts_by_itself(document):
            await _reschedule(work, transition.entry)
        set_live = False
    await _apply(work, transition, LifecycleAction.PUBLISH, comment, digest=version.digest)
    if set_live:
        await _set_alias(work, transition.entry, version, LIVE)
    if transition.flow_kind is FlowKind.LOCAL:
        await enqueue(work.session, OutboxKind.DEPLOY, version.id)
    return transition.result()


async def deprecate(work: Work, ref: str, *, comment: str | None = None) -> ChangedVersion:
    """PUBLISHED → DEPRECATED: the version still runs, and its callers are warned.

    Raises:
        NotFound, Forbidden, Conflict: As for every transition.
    """
    transition = await begin(work, ref, LifecycleAction.DEPRECATE)
    await _apply(work, transition, LifecycleAction.DEPRECATE, comment)
    await _reschedule(work, transition.entry)
    return transition.result()


async def retire(work: Work, ref: str, *, comment: str | None = None) -> ChangedVersion:
    """DEPRECATED → RETIRED: the version starts no further run. A draft can be retired too.

    Raises:
        NotFound, Forbidden, Conflict: As for every transition.
        Conflict: An alias names the version.
    """
    transition = await begin(work, ref, LifecycleAction.RETIRE)
    named = await work.session.scalar(
        select(col(EntryAlias.alias))
        .where(col(EntryAlias.version_id) == transition.version.id)
        .limit(1),
    )
    if named:
        raise Conflict(
            f"the alias {named} names {transition.version.version}: set it to another version first"
        )
    sign_retirement(work.platform, transition.version)
    await _apply(work, transition, LifecycleAction.RETIRE, comment)
    return transition.result()


async def set_alias(
    work: Work, entry: str, alias: str, version: str, *, path: str = "/entry"
) -> ChangedVersion:
    """Set an alias of an entry of any kind to one of its published versions.

    `path` is the pointer of the entry's ref in the input, for problems.

    Raises:
        Invalid: `entry` is not a ref, `alias` is not an alias, or `version` is not exact.
        NotFound, Forbidden: There is no such version, or the policy refuses.
        Conflict: The version was never published, or is retired.
    """
    if not is_alias(alias):
        message = f"{alias[:80]!r} cannot be an alias"
        help = "a letter, then letters, digits and hyphens, such as live or canary"
        raise Invalid([Problem("INPUT_ALIAS", message, path="/alias", help=help)])
    entry_ref = require_ref(entry, path=path).entry
    ref = require_ref(f"{entry_ref}@{version}", path="/version", exact=True)
    row, found = await find_for_update(work, ref, kinds=ALIAS_PERMISSIONS.keys())
    return await _set_alias(work, row, found, alias)


async def _set_alias(work: Work, entry: Entry, version: EntryVersion, alias: str) -> ChangedVersion:
    transition = require_permission(work, entry, version, ALIAS_PERMISSIONS[entry.kind])
    if version.lifecycle not in RUNNABLE:
        raise Conflict(
            f"{entry.namespace}/{entry.name}@{version.version} is {version.lifecycle}: "
            "an alias names a published version"
        )
    before = await point_alias(work, entry, version, alias)
    if before != version.version:
        await refresh_entry(work, entry)
        if alias == LIVE:
            await _reschedule(work, entry)
        await _record_alias(work, transition, alias, before=before, after=version.version)
    return transition.result()


async def drop_aliases(work: Work, ref: str) -> tuple[str, ...]:
    """Take all aliases of an entry away, so that its last version can be retired.

    Args:
        work: The transaction.
        ref: An exact version of the entry.

    Raises:
        NotFound, Forbidden: There is no such version, or the policy refuses.
    """
    entry, version = await find_for_update(
        work, require_ref(ref, exact=True), kinds=ALIAS_PERMISSIONS.keys()
    )
    transition = require_permission(work, entry, version, ALIAS_PERMISSIONS[entry.kind])
    of_entry = col(EntryAlias.entry_id) == entry.id
    rows = (await work.session.scalars(select(EntryAlias).where(of_entry))).all()
    dropped = sorted((row.alias, row.version) for row in rows)
    await work.session.execute(delete(EntryAlias).where(of_entry))
    for alias, before in dropped:
        await _record_alias(work, transition, alias, before=before, after=None)
    await refresh_entry(work, entry)
    return tuple(alias for alias, _ in dropped)


async def _record_alias(
    work: Work, transition: Transition, alias: str, *, before: str | None, after: str | None
) -> None:
    await work.record(
        _TAGS[transition.entry.kind, None],
        resource=transition.resource,
        team=transition.entry.team,
        decision=transition.decision,
        detail={"alias": alias, "before": before, "after": after},
    )


_TAGS: dict[tuple[EntryKind, LifecycleAction | None], Tag] = {
    (EntryKind.DECISION, None): Tag.CATALOG_DECISION_ALIAS,
    (EntryKind.DECISION, LifecycleAction.SUBMIT): Tag.CATALOG_DECISION_SUBMIT,
    (EntryKind.DECISION, LifecycleAction.APPROVE): Tag.CATALOG_DECISION_REVIEW,
    (EntryKind.DECISION, LifecycleAction.REFUSE): Tag.CATALOG_DECISION_REVIEW,
    (EntryKind.DECISION, LifecycleAction.PUBLISH): Tag.CATALOG_DECISION_PUBLISH,
    (EntryKind.DECISION, LifecycleAction.DEPRECATE): Tag.CATALOG_DECISION_DEPRECATE,
    (EntryKind.DECISION, LifecycleAction.RETIRE): Tag.CATALOG_DECISION_RETIRE,
    (EntryKind.FLOW, None): Tag.CATALOG_FLOW_ALIAS,
    (EntryKind.FLOW, LifecycleAction.SUBMIT): Tag.CATALOG_FLOW_SUBMIT,
    (EntryKind.FLOW, LifecycleAction.APPROVE): Tag.CATALOG_FLOW_REVIEW,
    (EntryKind.FLOW, LifecycleAction.REFUSE): Tag.CATALOG_FLOW_REVIEW,
    (EntryKind.FLOW, LifecycleAction.PUBLISH): Tag.CATALOG_FLOW_PUBLISH,
    (EntryKind.FLOW, LifecycleAction.DEPRECATE): Tag.CATALOG_FLOW_DEPRECATE,
    (EntryKind.FLOW, LifecycleAction.RETIRE): Tag.CATALOG_FLOW_RETIRE,
    (EntryKind.SYSTEM, None): Tag.CATALOG_SYSTEM_ALIAS,
    (EntryKind.TEMPLATE, None): Tag.CATALOG_TEMPLATE_ALIAS,
    (EntryKind.TEMPLATE, LifecycleAction.SUBMIT): Tag.CATALOG_TEMPLATE_SUBMIT,
    (EntryKind.TEMPLATE, LifecycleAction.APPROVE): Tag.CATALOG_TEMPLATE_REVIEW,
    (EntryKind.TEMPLATE, LifecycleAction.REFUSE): Tag.CATALOG_TEMPLATE_REVIEW,
    (EntryKind.TEMPLATE, LifecycleAction.PUBLISH): Tag.CATALOG_TEMPLATE_PUBLISH,
    (EntryKind.TEMPLATE, LifecycleAction.DEPRECATE): Tag.CATALOG_TEMPLATE_DEPRECATE,
    (EntryKind.TEMPLATE, LifecycleAction.RETIRE): Tag.CATALOG_TEMPLATE_RETIRE,
}


async def _reschedule(work: Work, entry: Entry) -> None:
    """Let dispatch update the schedule of a central flow, which may have changed."""
    if entry.flow_kind is FlowKind.CENTRAL:
        await enqueue(work.session, OutboxKind.SCHEDULE, entry.id)


async def _apply(
    work: Work,
    transition: Transition,
    action: LifecycleAction,
    comment: str | None,
    **more: JSON,
) -> None:
    """Apply an action to the version, and record the state before and after."""
    before = await apply(work, transition, action)
    await work.record(
        _TAGS[transition.entry.kind, action],
        resource=transition.resource,
        team=transition.entry.team,
        decision=transition.decision,
        detail={
            "before": before,
            "after": transition.version.lifecycle,
            "comment": comment,
            **more,
        },
    )


async def _check_for_publication(
    work: Work, version: EntryVersion
) -> tuple[FlowDocument | None, tuple[Problem, ...]]:
    """Check the content for publication: the document of a flow, and the warnings about it.

    Raises:
        Invalid: It has errors.
        Conflict: It is not what was signed.
    """
    column, sealed = "content_sealed", version.content_sealed
    opened = await unseal(work.keyring, version.id, version.team, column, sealed)
    document = None
    require_row_as_written(version, opened)
    match version.kind:
        case EntryKind.TEMPLATE:
            check_draft(work, VERSION_COLUMNS.of(version), digest(opened))
            problems = await _template_names(work, opened, version.team)
        case EntryKind.DECISION:
            table = await work.compute(opened_decision, opened)
            check_draft(work, VERSION_COLUMNS.of(version), table.digest)
            named = named_by_table(table.source.data)
            problems = await check_names(work, table.source, named, version.team)
        case _:
            document = await work.compute(saved_flow, definition_in(opened))
            check_draft(work, VERSION_COLUMNS.of(version), document.digest)
            problems = await checking.check(work, document, Stage.PUBLICATION)
    if errors_in(problems):
        raise Invalid(problems)
    return document, problems


def _starts_by_itself(document: FlowDocument | None) -> bool:
    definition = document.definition if document else None
    return definition is not None and definition.schedule is not None


async def _template_names(work: Work, files: JSON, team: str) -> tuple[Problem, ...]:
    """The names in a template's files that lead nowhere."""
    manifest = await work.compute(opened_file, files, "template.yaml")
    flow = await work.compute(opened_file, files, "flow.yaml")
    references = tuple(named_by_template(flow.data))
    known = of_any_team(await known_names(work, references, team), team)
    return (
        *await check_names(work, manifest, named_by(manifest.data), team),
        *name_problems(flow, references, known, team=team),
    )
