"""The current version of an entry, which the catalog shows, and the callers that it counts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import case, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from coe.catalog.models import LIVE, Entry, EntryAlias, EntryKind, EntryVersion, LinkKind
from coe.catalog.owners import CARD_CODES, OWNER_CODES
from coe.catalog.search.document import search_document_of, write_search_document
from coe.catalog.tables import ENTRIES, LINKS
from coe.catalog.versions.lifecycle import DISPLAY_ORDER
from coe.work import Work

Target = tuple[str, str]
"""The namespace and the name of an entry."""
_OWNER = set(OWNER_CODES.columns)
_CALLED = frozenset({EntryKind.DECISION, EntryKind.FLOW})


async def refresh_entry(work: Work, entry: Entry) -> None:
    """Set the entry's current version: `live`, or else the newest in the most advanced state.

    For a template, `live` does not count: without a version, its newest published one is meant.
    """
    session = work.session
    await session.flush()
    live = (
        select(col(EntryAlias.version_id))
        .where(col(EntryAlias.entry_id) == entry.id, col(EntryAlias.alias) == LIVE)
        .scalar_subquery()
    )
    is_live = col(EntryVersion.id) == func.coalesce(live, entry.id)
    rank = case(
        {state: place for place, state in enumerate(DISPLAY_ORDER)},
        value=col(EntryVersion.lifecycle),
    )
    current = await session.scalar(
        select(EntryVersion)
        .where(col(EntryVersion.entry_id) == entry.id)
        .order_by(
            *([] if entry.kind is EntryKind.TEMPLATE else [is_live.desc()]),
            rank,
            col(EntryVersion.precedence).desc(),
        )
        .limit(1),
    )
    if current is None:
        return
    before = entry.current_version_id
    entry.lifecycle = current.lifecycle
    entry.current_version = current.version
    entry.current_version_id = current.id
    entry.updated_at = work.now
    CARD_CODES.require(work.keyring.macs, current)
    write_search_document(entry, search_document_of(current))
    entry.code = OWNER_CODES.code(work.keyring.macs, entry.model_dump(include=_OWNER))
    await session.flush()
    if entry.kind in _CALLED and before != current.id:
        versions = [each for each in (before, current.id) if each]
        called = await link_targets(session, versions)
        await count_callers(session, {*called, (entry.namespace, entry.name)})
        await session.refresh(entry, ["uses"])


async def link_targets(session: AsyncSession, version_ids: Sequence[UUID]) -> set[Target]:
    """The names of the entries that versions call."""
    rows = await session.execute(
        select(LINKS.c.target_namespace, LINKS.c.target_name).where(
            LINKS.c.version_id.in_(version_ids), LINKS.c.kind == LinkKind.CALLS
        ),
    )
    return {(namespace, name) for namespace, name in rows.all()}


async def count_callers(session: AsyncSession, targets: Collection[Target]) -> None:
    """Update `uses` of the flows and tables with these names."""
    caller = ENTRIES.alias("caller")
    callers = (
        select(func.count(caller.c.id.distinct()))
        .join(LINKS, LINKS.c.version_id == caller.c.current_version_id)
        .where(
            LINKS.c.kind == LinkKind.CALLS,
            LINKS.c.target_namespace == ENTRIES.c.namespace,
            LINKS.c.target_name == ENTRIES.c.name,
        )
        .scalar_subquery()
    )
    counted = ENTRIES.update().where(
        tuple_(ENTRIES.c.namespace, ENTRIES.c.name).in_(sorted(targets)),
        ENTRIES.c.kind.in_(_CALLED),
    )
    await session.execute(counted.values(uses=callers))
