"""Queries of the catalog, each limited to what the actor may read (`entry:read`).

The batch functions take ids, and leave out what is missing or not readable, so that a DataLoader
can call them directly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, literal, select, tuple_

from coe import paging
from coe.catalog.models import EntryKind, LinkKind
from coe.catalog.records import (
    ENTRY_COLUMNS,
    VERSION_APPROVAL_COLUMNS,
    VERSION_COLUMNS,
    EntryRecord,
    VersionApprovalRecord,
    VersionNotes,
    VersionRecord,
)
from coe.catalog.refs import read_ref
from coe.catalog.scope import readable_entries, readable_versions
from coe.catalog.tables import ALIASES, ENTRIES, LINKS, VERSION_APPROVALS, VERSIONS
from coe.catalog.versions.resolution import VersionKey, resolve
from coe.catalog.versions.sealing import unseal, unseal_comment
from coe.paging import Page
from coe.work import Read

# ---------------------------------------------------------------- by name


async def find_entry(read: Read, ref: str, kind: EntryKind | None = None) -> EntryRecord | None:
    """The entry of a ref, whose version part is ignored, if the actor may read it."""
    found = await entries_by_ref(read, [ref])
    entry = found.get(ref)
    return entry if entry and kind in (None, entry.kind) else None


async def find_version(read: Read, ref: str, kind: EntryKind | None = None) -> VersionRecord | None:
    """The version of a ref (`live` without a version part), if the actor may read it."""
    parsed = read_ref(ref)
    entry = await find_entry(read, ref, kind)
    if parsed is None or entry is None:
        return None
    key = (entry.id, parsed.selector)
    return (await resolve_versions(read, [key])).get(key)


async def entries_by_ref(read: Read, refs: Sequence[str]) -> dict[str, EntryRecord]:
    """Entries by ref; the version part of a ref is ignored."""
    parsed = {ref: each for ref in refs if (each := read_ref(ref)) is not None}
    names = {(each.namespace, each.name) for each in parsed.values()}
    query = select(*ENTRY_COLUMNS).where(
        tuple_(ENTRIES.c.namespace, ENTRIES.c.name).in_(sorted(names)),
        readable_entries(read),
    )
    rows = (await read.session.execute(query)).all()
    found = {entry.ref: entry for entry in map(ENTRY_COLUMNS.record, rows)}
    return {ref: found[each.entry] for ref, each in parsed.items() if each.entry in found}


# ---------------------------------------------------------------- by id


async def entries_by_id(
    read: Read,
    ids: Sequence[UUID],
    *,
    relations: Collection[str] = (),
) -> dict[UUID, EntryRecord]:
    """Entries by their ids.

    `relations` (`coe.access.policy_lines.Relation`) are the actor's relations to every one of
    them, such as candidate for a task of its run; the caller has verified them.
    """
    query = select(*ENTRY_COLUMNS).where(ENTRIES.c.id.in_(ids), readable_entries(read, relations))
    return {row.id: ENTRY_COLUMNS.record(row) for row in (await read.session.execute(query)).all()}


async def versions_by_id(
    read: Read,
    ids: Sequence[UUID],
    *,
    relations: Collection[str] = (),
) -> dict[UUID, VersionRecord]:
    """Versions by their ids; `relations` as for `entries_by_id`."""
    query = select(*VERSION_COLUMNS).where(
        VERSIONS.c.id.in_(ids),
        readable_versions(read, relations),
    )
    rows = (await read.session.execute(query)).all()
    return {row.id: VERSION_COLUMNS.record(row) for row in rows}


async def resolve_versions(
    read: Read,
    keys: Sequence[VersionKey],
) -> dict[VersionKey, VersionRecord]:
    """Versions by entry id and selector: exact, range, alias, or none for `live`."""
    return await resolve(read.session, keys, readable_versions(read))


# ---------------------------------------------------------------- pages


async def versions_page(
    read: Read,
    entry_id: UUID,
    *,
    first: int = 20,
    after: str | None = None,
) -> Page[VersionRecord]:
    """The versions of an entry, highest precedence first.

    Raises:
        Invalid: `first` or `after` is not valid.
    """
    paging.check_first(first)
    own = (VERSIONS.c.entry_id == entry_id, readable_versions(read))
    query = select(*VERSION_COLUMNS, VERSIONS.c.precedence).where(*own)
    if after is not None:
        (last,) = paging.decode("versions", after, (str,))
        query = query.where(VERSIONS.c.precedence < last)
    query = query.order_by(VERSIONS.c.precedence.desc()).limit(first + 1)
    rows = (await read.session.execute(query)).all()
    total = await _count(read, VERSIONS.c.id, own)
    page = rows[:first]
    return Page(
        items=tuple(VERSION_COLUMNS.record(row) for row in page),
        cursors=tuple(paging.encode("versions", (row.precedence,)) for row in page),
        has_next=len(rows) > first,
        has_previous=after is not None,
        total=total,
    )


async def flows_page(
    read: Read,
    team: str,
    *,
    first: int = 20,
    after: str | None = None,
) -> Page[EntryRecord]:
    """The flows of a team, by name.

    Raises:
        Invalid: `first` or `after` is not valid.
    """
    paging.check_first(first)
    own = (
        ENTRIES.c.team == team,
        ENTRIES.c.kind == EntryKind.FLOW,
        readable_entries(read),
    )
    query = select(*ENTRY_COLUMNS).where(*own)
    if after is not None:
        (last,) = paging.decode("flows", after, (str,))
        query = query.where(ENTRIES.c.name > last)
    rows = (await read.session.execute(query.order_by(ENTRIES.c.name).limit(first + 1))).all()
    entries = tuple(ENTRY_COLUMNS.record(row) for row in rows[:first])
    return Page(
        items=entries,
        cursors=tuple(paging.encode("flows", (entry.name,)) for entry in entries),
        has_next=len(rows) > first,
        has_previous=after is not None,
        total=await _count(read, ENTRIES.c.id, own),
    )


# ---------------------------------------------------------------- parts of entries


async def aliases(read: Read, entry_ids: Sequence[UUID]) -> dict[UUID, dict[str, str]]:
    """The aliases of each entry, each with its exact version."""
    query = (
        select(ALIASES.c.entry_id, ALIASES.c.alias, ALIASES.c.version)
        .join(ENTRIES, ENTRIES.c.id == ALIASES.c.entry_id)
        .where(ENTRIES.c.id.in_(entry_ids), readable_entries(read))
        .order_by(ALIASES.c.alias)
    )
    found: dict[UUID, dict[str, str]] = {ident: {} for ident in entry_ids}
    for entry_id, alias, version in (await read.session.execute(query)).all():
        found[entry_id][alias] = version
    return found


async def systems_of(read: Read, entry_ids: Sequence[UUID]) -> dict[UUID, list[EntryRecord]]:
    """The systems that the current version of each entry uses."""
    return await _linked(read, entry_ids, LinkKind.SYSTEM, EntryKind.SYSTEM)


async def calls(read: Read, entry_ids: Sequence[UUID]) -> dict[UUID, list[EntryRecord]]:
    """The flows that the current version of each flow calls."""
    return await _linked(read, entry_ids, LinkKind.CALLS, EntryKind.FLOW)


async def decision_tables_of(
    read: Read, entry_ids: Sequence[UUID]
) -> dict[UUID, list[EntryRecord]]:
    """The decision tables that the current version of each flow calls."""
    return await _linked(read, entry_ids, LinkKind.CALLS, EntryKind.DECISION)


async def called_by(read: Read, entry_ids: Sequence[UUID]) -> dict[UUID, list[EntryRecord]]:
    """The flows whose current version calls each flow or decision table."""
    target = ENTRIES.alias("target")
    query = (
        select(*ENTRY_COLUMNS, target.c.id.label("target_id"))
        .distinct()
        .join(LINKS, LINKS.c.version_id == ENTRIES.c.current_version_id)
        .join(
            target,
            (target.c.namespace == LINKS.c.target_namespace)
            & (target.c.name == LINKS.c.target_name),
        )
        .where(
            LINKS.c.kind == LinkKind.CALLS,
            target.c.id.in_(entry_ids),
            readable_entries(read),
        )
    )
    return await _grouped(read, entry_ids, query)


async def approvals(
    read: Read, version_ids: Sequence[UUID]
) -> dict[UUID, list[VersionApprovalRecord]]:
    """The decisions of the reviewers of each version, oldest first."""
    query = (
        select(
            *VERSION_APPROVAL_COLUMNS,
            VERSION_APPROVALS.c.version_id,
            VERSION_APPROVALS.c.id,
            VERSIONS.c.team,
        )
        .join(VERSIONS, VERSIONS.c.id == VERSION_APPROVALS.c.version_id)
        .where(VERSIONS.c.id.in_(version_ids), readable_versions(read))
        .order_by(VERSION_APPROVALS.c.at, VERSION_APPROVALS.c.id)
    )
    found: dict[UUID, list[VersionApprovalRecord]] = {ident: [] for ident in version_ids}
    for row in (await read.session.execute(query)).all():
        comment = row.comment
        if row.comment_sealed is not None:
            comment = await unseal_comment(read.keyring, row.id, row.team, row.comment_sealed)
        found[row.version_id].append(VERSION_APPROVAL_COLUMNS.record(row, comment=comment))
    return found


async def notes(read: Read, version_ids: Sequence[UUID]) -> dict[UUID, VersionNotes]:
    """The changelog of each version, and the comment with which it was submitted."""
    sealed = ("changelog_sealed", "submission_sealed")
    query = select(
        VERSIONS.c.id, VERSIONS.c.team, VERSIONS.c.changelog, *(VERSIONS.c[name] for name in sealed)
    ).where(VERSIONS.c.id.in_(version_ids), readable_versions(read))
    found: dict[UUID, VersionNotes] = {}
    for ident, team, clear, *parts in (await read.session.execute(query)).all():
        changelog, comment = [
            None if part is None else str(await unseal(read.keyring, ident, team, name, part))
            for name, part in zip(sealed, parts, strict=True)
        ]
        found[ident] = VersionNotes(changelog if changelog is not None else clear, comment)
    return found


async def _count(
    read: Read,
    column: ColumnElement[Any],
    conditions: Iterable[ColumnElement[bool]],
) -> int:
    return await read.session.scalar(select(func.count(column)).where(*conditions)) or 0


async def _linked(
    read: Read,
    entry_ids: Sequence[UUID],
    kind: LinkKind,
    target: EntryKind,
) -> dict[UUID, list[EntryRecord]]:
    origin = ENTRIES.alias("origin")
    query = (
        select(*ENTRY_COLUMNS, origin.c.id.label("origin_id"))
        .distinct()
        .join(
            LINKS,
            (LINKS.c.target_namespace == ENTRIES.c.namespace)
            & (LINKS.c.target_name == ENTRIES.c.name),
        )
        .join(origin, origin.c.current_version_id == LINKS.c.version_id)
        .where(
            LINKS.c.kind == kind,
            ENTRIES.c.kind == literal(target, ENTRIES.c.kind.type),
            origin.c.id.in_(entry_ids),
            readable_entries(read),
        )
    )
    return await _grouped(read, entry_ids, query)


async def _grouped(
    read: Read,
    entry_ids: Sequence[UUID],
    query: Select[Any],
) -> dict[UUID, list[EntryRecord]]:
    """Group entries by the id in the last column; sort each group by ref."""
    found: defaultdict[UUID, list[EntryRecord]] = defaultdict(list)
    for row in (await read.session.execute(query)).all():
        found[row[-1]].append(ENTRY_COLUMNS.record(row))
    return {
        ident: sorted(found[ident], key=lambda entry: entry.ref)
        for ident in dict.fromkeys(entry_ids)
    }
