"""Approvals (four eyes): the decisions of reviewers, and how many a publication needs.

A team publishes its own local flows without approvals, unless the version names a new process owner
or deputy: they read the data of all runs of the flow, past ones too.

Only approvals since the last submission count: a refusal sends the version back, and the approvals
before it are void.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, exists, func, not_, select

from coe.access.persons import acted
from coe.catalog.models import (
    LIVE,
    Entry,
    EntryVersion,
    FlowKind,
    Lifecycle,
    ReviewVerdict,
    VersionApproval,
)
from coe.catalog.scope import readable_versions
from coe.catalog.tables import ALIASES, ENTRIES, VERSION_APPROVALS, VERSIONS
from coe.catalog.versions.sealing import seal_comment
from coe.errors import Conflict
from coe.formats import instants
from coe.language.canonical import canonical
from coe.language.lint import Standards, published
from coe.language.lint.standards_rules import APPROVALS_STANDARD
from coe.work import Read, Work


@dataclass(frozen=True, slots=True)
class ApprovalState:
    """How many people must approve a version before its publication, and how many have."""

    needed: int
    given: int


def approvals_needed(read: Read) -> int:
    """The number of people who must approve a version (standard COE050)."""
    standards: Standards = published(read.platform.settings.content_dir)
    standard = standards.standards.get(APPROVALS_STANDARD)
    needed = standard.options.get("approvals", 1) if standard else 1
    return int(str(needed))


async def approval_states(read: Read, version_ids: Sequence[UUID]) -> dict[UUID, ApprovalState]:
    """How far the approvals of versions are, those that the actor may read."""
    needed = await _needed(read, VERSIONS.c.id.in_(version_ids), readable_versions(read))
    given = await _given(read, needed)
    return {ident: ApprovalState(most, given.get(ident, 0)) for ident, most in needed.items()}


async def needing_none(read: Read) -> list[UUID]:
    """The versions in review that need no approval: they wait for nobody."""
    local = ENTRIES.c.flow_kind == FlowKind.LOCAL
    needed = await _needed(read, VERSIONS.c.lifecycle == Lifecycle.IN_REVIEW, local)
    return [ident for ident, most in needed.items() if most == 0]


def approvals_of_submission() -> ColumnElement[bool]:
    """The approvals of a version as it is now, since its last submission."""
    given, version = VERSION_APPROVALS.c, VERSIONS.c
    return and_(
        given.version_id == version.id,
        given.decision == ReviewVerdict.APPROVED,
        given.at >= func.coalesce(version.submitted_at, version.created_at),
        given.digest == version.digest,
        given.signature.is_not(None),
    )


def approvals_that_count() -> ColumnElement[bool]:
    """Those of them by others than the version's authors, and who counts as one with them."""
    given, version = VERSION_APPROVALS.c, VERSIONS.c
    authors = version.editors.op("||")(version.author_persons).op("||")(version.created_by)
    is_author = given.persons.op("||")(given.by).bool_op("&&")(authors)
    return and_(approvals_of_submission(), not_(is_author))


async def _given(read: Read, version_ids: Collection[UUID]) -> dict[UUID, int]:
    """How many people have approved each version, if any, with an approval that counts."""
    rows = await read.session.execute(
        select(VERSIONS.c.id, func.count(VERSION_APPROVALS.c.by.distinct()).label("given"))
        .where(VERSIONS.c.id.in_(version_ids), approvals_that_count())
        .group_by(VERSIONS.c.id),
    )
    return {row.id: row.given for row in rows}


async def _needed(read: Read, *which: ColumnElement[bool]) -> dict[UUID, int]:
    """How many people must approve each of these versions, of versions joined with entries."""
    card = VERSIONS.c.card
    live = exists().where(ALIASES.c.entry_id == ENTRIES.c.id, ALIASES.c.alias == LIVE)
    rows = await read.session.execute(
        select(
            VERSIONS.c.id,
            ENTRIES.c.flow_kind,
            ENTRIES.c.team,
            ENTRIES.c.process_owner,
            ENTRIES.c.deputy,
            card["process_owner"].astext.label("named_owner"),
            card["deputy"].astext.label("named_deputy"),
            live.label("has_live"),
        )
        .join(ENTRIES, ENTRIES.c.id == VERSIONS.c.entry_id)
        .where(*which),
    )
    every = approvals_needed(read)
    return {
        row.id: every if row.flow_kind is not FlowKind.LOCAL or _names_new_owner(read, row) else 0
        for row in rows
    }


async def add_verdict(
    work: Work, version: EntryVersion, verdict: ReviewVerdict, comment: str
) -> None:
    """Store the actor's decision.

    Raises:
        Conflict: The actor has approved this submission already.
    """
    if verdict is ReviewVerdict.APPROVED and await has_approved(work, version):
        raise Conflict(f"{work.actor.subject} has approved this submission already")
    row = VersionApproval(
        version_id=version.id,
        by=work.actor.subject,
        persons=sorted(work.actor.persons),
        at=work.now,
        decision=verdict,
        digest=version.digest,
    )
    row.comment_sealed = await seal_comment(work.keyring, row, version.team, comment)
    row.signature = work.platform.signer.sign_statement(_statement(row))
    work.session.add(row)
    await work.session.flush()


def approved(read: Read) -> ColumnElement[bool]:
    """Approvals by the actor, or by who counts as one with it."""
    return acted(read.actor, VERSION_APPROVALS.c.by, VERSION_APPROVALS.c.persons)


async def has_approved(read: Read, version: EntryVersion) -> bool:
    """Whether the actor approved the version, as it is now, since its last submission."""
    found = await read.session.scalar(
        select(VERSION_APPROVALS.c.id)
        .where(VERSIONS.c.id == version.id, approvals_of_submission(), approved(read))
        .limit(1),
    )
    return found is not None


async def require_approvals(work: Work, entry: Entry, version: EntryVersion) -> frozenset[str]:
    """Require approvals by enough people other than the author; return who they are.

    A local flow usually needs none.

    Raises:
        Conflict: Approvals are missing.
    """
    needed = (await _needed(work, VERSIONS.c.id == version.id))[version.id]
    signed = await _signed_approvers(work, version)
    given = len(signed)
    if given < needed:
        ref = f"{entry.namespace}/{entry.name}@{version.version}"
        command = f"coe {entry.kind.value.lower()} review"
        raise Conflict(
            f"{ref} has {given} of the {needed} approvals that it needs; a reviewer approves it "
            f"first: {command}"
        )
    return signed


async def _signed_approvers(work: Work, version: EntryVersion) -> frozenset[str]:
    """Who has approved the version, as it is now: of rows that the platform itself has written."""
    await work.session.flush()
    rows = await work.session.execute(
        select(VERSION_APPROVALS).where(VERSIONS.c.id == version.id, approvals_that_count())
    )
    key = work.platform.signer.public
    return frozenset(
        row.by for row in rows if key.verify_statement(_statement(row), row.signature or "")
    )


def _statement(row: Any) -> bytes:
    """What is signed of a verdict, so that nobody gives it in another person's name."""
    return canonical(
        {
            "type": "coe-review/1",
            "id": str(row.id),
            "version": str(row.version_id),
            "digest": row.digest,
            "by": row.by,
            "persons": sorted(row.persons),
            "verdict": row.decision.value,
            "at": instants.write(row.at),
        }
    )


def _names_new_owner(read: Read, row: Row[*tuple[Any, ...]]) -> bool:
    """Whether a version names a process owner or deputy that the live version does not name.

    The first version may name people of the team.
    """
    named = {each for each in (row.named_owner, row.named_deputy) if each is not None}
    if row.has_live:
        return not named <= {row.process_owner, row.deputy}
    return any(row.team not in read.policy.teams(each) for each in named)
