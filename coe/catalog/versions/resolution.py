"""Resolution: from an entry and a selector to one version.

An exact version resolves in any state. An alias resolves to its version. A range resolves to the
highest PUBLISHED release within it, or else to the highest DEPRECATED one. Without a selector the
alias `live` is meant, because callers depend on it; of a template it is the highest PUBLISHED
version, because nothing depends on a template after it was rendered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from coe.catalog.models import EntryKind, Lifecycle
from coe.catalog.records import VERSION_COLUMNS, VersionRecord
from coe.catalog.refs import selector_or_live
from coe.catalog.semver import Range, parse_range, parse_version
from coe.catalog.tables import ALIASES, ENTRIES, VERSIONS
from coe.catalog.versions.lifecycle import RUNNABLE

VersionKey = tuple[UUID, str | None]
_Named = tuple[UUID, str]


async def resolve(
    session: AsyncSession,
    keys: Sequence[VersionKey],
    allowed: ColumnElement[bool],
) -> dict[VersionKey, VersionRecord]:
    """The version of each key, among those that a predicate over the versions allows."""
    newest = await _newest(session, {ident for ident, selector in keys if not selector}, allowed)
    meant = {
        key: (key[0], selector_or_live(key[1])) for key in keys if key[1] or key[0] not in newest
    }
    exact = {each for each in meant.values() if parse_version(each[1])}
    ranges = {
        each: found
        for each in set(meant.values()) - exact
        if (found := parse_range(each[1])) is not None
    }
    named = set(meant.values()) - exact - ranges.keys()
    resolved = await _exact(session, exact, allowed)
    resolved |= await _named(session, named, allowed)
    resolved |= await _within(session, ranges, allowed)
    answers = {key: resolved[each] for key, each in meant.items() if each in resolved}
    for key in keys:
        if not key[1] and (version := newest.get(key[0])) is not None:
            answers[key] = version
    return answers


async def _newest(
    session: AsyncSession, entry_ids: Collection[UUID], allowed: ColumnElement[bool]
) -> dict[UUID, VersionRecord | None]:
    """The highest published version of each of these entries that is a template, releases first."""
    if not entry_ids:
        return {}
    query = (
        select(ENTRIES.c.id.label("template_id"), *VERSION_COLUMNS)
        .outerjoin(
            VERSIONS,
            and_(
                VERSIONS.c.entry_id == ENTRIES.c.id,
                VERSIONS.c.lifecycle.in_(RUNNABLE),
                allowed,
            ),
        )
        .where(ENTRIES.c.id.in_(sorted(entry_ids)), ENTRIES.c.kind == EntryKind.TEMPLATE)
        .order_by(
            (VERSIONS.c.lifecycle == Lifecycle.PUBLISHED).desc(),
            VERSIONS.c.version.contains("-").asc(),
            VERSIONS.c.precedence.desc(),
        )
    )
    found: dict[UUID, VersionRecord | None] = {}
    for row in (await session.execute(query)).all():
        version = VERSION_COLUMNS.record(row, at=1) if row.id is not None else None
        found.setdefault(row.template_id, version)
    return found


async def _exact(
    session: AsyncSession,
    wanted: Iterable[_Named],
    allowed: ColumnElement[bool],
) -> dict[_Named, VersionRecord]:
    pairs = sorted(wanted)
    if not pairs:
        return {}
    query = select(*VERSION_COLUMNS).where(
        tuple_(VERSIONS.c.entry_id, VERSIONS.c.version).in_(pairs),
        allowed,
    )
    rows = (await session.execute(query)).all()
    return {(row.entry_id, row.version): VERSION_COLUMNS.record(row) for row in rows}


async def _named(
    session: AsyncSession,
    wanted: Iterable[_Named],
    allowed: ColumnElement[bool],
) -> dict[_Named, VersionRecord]:
    pairs = sorted(wanted)
    if not pairs:
        return {}
    query = (
        select(*VERSION_COLUMNS, ALIASES.c.alias)
        .join(ALIASES, ALIASES.c.version_id == VERSIONS.c.id)
        .where(tuple_(ALIASES.c.entry_id, ALIASES.c.alias).in_(pairs), allowed)
    )
    rows = (await session.execute(query)).all()
    return {(row.entry_id, row.alias): VERSION_COLUMNS.record(row) for row in rows}


async def _within(
    session: AsyncSession,
    wanted: dict[_Named, Range],
    allowed: ColumnElement[bool],
) -> dict[_Named, VersionRecord]:
    if not wanted:
        return {}
    query = (
        select(*VERSION_COLUMNS)
        .where(
            VERSIONS.c.entry_id.in_({entry_id for entry_id, _ in wanted}),
            VERSIONS.c.lifecycle.in_(RUNNABLE),
            allowed,
        )
        .order_by(
            (VERSIONS.c.lifecycle == Lifecycle.PUBLISHED).desc(),
            VERSIONS.c.precedence.desc(),
        )
    )
    candidates: defaultdict[UUID, list[VersionRecord]] = defaultdict(list)
    for row in (await session.execute(query)).all():
        candidates[row.entry_id].append(VERSION_COLUMNS.record(row))
    found: dict[_Named, VersionRecord] = {}
    for (entry_id, text), bounds in wanted.items():
        for version in candidates[entry_id]:
            parsed = parse_version(version.version)
            if parsed and bounds.contains(parsed):
                found[entry_id, text] = version
                break
    return found
