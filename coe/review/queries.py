"""What is in review: for whom it waits, and how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from coe import paging
from coe.access.persons import AGAINST_PREFIX
from coe.access.policy_lines import Relation
from coe.catalog.decision_tables.documents import decision_contents
from coe.catalog.flows.contents import flow_contents
from coe.catalog.models import LIVE, EntryKind, Lifecycle
from coe.catalog.names import require_known
from coe.catalog.queries import resolve_versions
from coe.catalog.records import VERSION_COLUMNS, VersionRecord
from coe.catalog.scope import readable_versions, wrote, wrote_as_one
from coe.catalog.tables import VERSION_APPROVALS, VERSIONS
from coe.catalog.versions.approvals import (
    approvals_needed,
    approvals_of_submission,
    approvals_that_count,
    approved,
    needing_none,
)
from coe.catalog.versions.evidence import tests_of
from coe.catalog.versions.lifecycle import LifecycleAction, permission_for
from coe.formats import instants, uuids
from coe.paging import Page
from coe.review.computed import unified
from coe.templates.manifest import FLOW, TESTS
from coe.templates.queries import template_contents
from coe.work import Read

_KINDS: Final = (EntryKind.DECISION, EntryKind.FLOW, EntryKind.TEMPLATE)
_CURSOR: Final = "reviews"


@dataclass(frozen=True, slots=True)
class ReviewFilter:
    """Which versions in review; every part that is given must hold.

    `waiting_for_me` are those that the actor may review, has not approved since their submission,
    and that need an approval still. `owners` are slugs of teams, `entries` refs without a version.
    """

    waiting_for_me: bool = False
    submitted_by_me: bool = False
    kinds: tuple[EntryKind, ...] = ()
    owners: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()


async def reviews_page(
    read: Read, wanted: ReviewFilter, *, first: int = 20, after: str | None = None
) -> Page[VersionRecord]:
    """The versions in review that the actor may read, the longest waiting first.

    Raises:
        Invalid: `first` or `after` is not valid, or the filter names an entry that is not there to
            be read.
    """
    paging.check_first(first)
    conditions = [VERSIONS.c.lifecycle == Lifecycle.IN_REVIEW, readable_versions(read)]
    kinds = wanted.kinds or _KINDS
    conditions.append(VERSIONS.c.kind.in_(kinds))
    if wanted.owners:
        conditions.append(VERSIONS.c.team.in_(wanted.owners))
    if wanted.entries:
        conditions.append((VERSIONS.c.namespace + "/" + VERSIONS.c.name).in_(wanted.entries))
    subject = read.actor.subject
    if wanted.submitted_by_me:
        conditions.append(or_(VERSIONS.c.submitted_by == subject, wrote(subject)))
    if wanted.waiting_for_me:
        conditions.append(VERSIONS.c.id.not_in(await needing_none(read)))
        conditions += [_may_review(read), ~_approved_by_me(read), _lacks_approvals(read)]
    since = func.coalesce(VERSIONS.c.submitted_at, VERSIONS.c.created_at)
    page = select(*VERSION_COLUMNS, since.label("since")).where(*conditions)
    if after is not None:
        at, ident = paging.decode(_CURSOR, after, (instants.read, uuids.read))
        page = page.where(or_(since > at, and_(since == at, VERSIONS.c.id > ident)))
    page = page.order_by(since, VERSIONS.c.id).limit(first + 1)
    rows = (await read.session.execute(page)).all()
    total = await read.session.scalar(select(func.count(VERSIONS.c.id)).where(*conditions))
    if not total and wanted.entries:
        await require_known(read, wanted.entries, *kinds, path="/filter/entries")
    return Page(
        items=tuple(VERSION_COLUMNS.record(row) for row in rows[:first]),
        cursors=tuple(
            paging.encode(_CURSOR, (instants.write(row.since), str(row.id))) for row in rows[:first]
        ),
        has_next=len(rows) > first,
        has_previous=after is not None,
        total=total or 0,
    )


async def live_versions(read: Read, versions: Sequence[VersionRecord]) -> dict[UUID, VersionRecord]:
    """The live version of the entry of each version, by the version's id, if it is another one."""
    keys = {version.id: (version.entry_id, LIVE) for version in versions}
    found = await resolve_versions(read, list(keys.values()))
    return {
        ident: live
        for ident, key in keys.items()
        if (live := found.get(key)) is not None and live.id != ident
    }


async def unified_diff(read: Read, version: VersionRecord) -> str:
    """What differs from the live version, as text: its files and its tests, each as a whole."""
    live = (await live_versions(read, [version])).get(version.id)
    new = await files_of(read, version)
    old = {} if live is None else await files_of(read, live)
    before = "nothing" if live is None else f"@{live.version}"
    return await read.compute(unified, old, new, before, version.version)


async def files_of(
    read: Read, version: VersionRecord, *, handed_out: bool = True
) -> dict[str, str]:
    """The texts of a version by their paths, its tests among them; empty if it may not be read.

    `handed_out` as for `disclose`.
    """
    ids = [version.id]
    match version.kind:
        case EntryKind.TEMPLATE:
            template = (await template_contents(read, ids, handed_out=handed_out)).get(version.id)
            return template.files if template else {}
        case EntryKind.DECISION:
            table = (await decision_contents(read, ids, handed_out=handed_out)).get(version.id)
            files = {f"{version.name}.yaml": table.definition} if table else {}
        case _:
            flow = (await flow_contents(read, ids, handed_out=handed_out)).get(version.id)
            files = {FLOW: flow.definition} if flow else {}
    tests = (await tests_of(read, ids, handed_out=handed_out)).get(version.id)
    return files if tests is None else {**files, TESTS: tests}


def _may_review(read: Read) -> ColumnElement[bool]:
    """Whether the actor may review a version; its authors are asked with that relation."""
    cells = (VERSIONS.c.team, VERSIONS.c.data_class)
    author, as_one = wrote(read.actor.subject), wrote_as_one(read.actor)
    parts: list[ColumnElement[bool]] = []
    for kind in _KINDS:
        permission = permission_for(kind, LifecycleAction.APPROVE)
        relations = {
            (Relation.AUTHOR.value,): author,
            (AGAINST_PREFIX + Relation.AUTHOR,): and_(~author, as_one),
            (): ~as_one,
        }
        for each, holds in relations.items():
            scope = read.policy.scope(read.actor, permission, relations=each)
            parts.append(and_(VERSIONS.c.kind == kind, holds, scope.clause(*cells)))
    return or_(*parts)


def _approved_by_me(read: Read) -> ColumnElement[bool]:
    return exists().where(approvals_of_submission(), approved(read))


def _lacks_approvals(read: Read) -> ColumnElement[bool]:
    given = select(func.count(VERSION_APPROVALS.c.by.distinct())).where(approvals_that_count())
    return given.correlate(VERSIONS).scalar_subquery() < approvals_needed(read)
