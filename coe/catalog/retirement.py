"""Retire an entry whole, as a team that ends does: its aliases, and all that starts runs."""

from __future__ import annotations

from sqlalchemy import select
from sqlmodel import col

from coe.catalog.actions import deprecate, drop_aliases, retire
from coe.catalog.models import Entry, EntryVersion, Lifecycle
from coe.catalog.scope import relations_to
from coe.catalog.versions.lifecycle import (
    ALIAS_PERMISSIONS,
    RUNNABLE,
    LifecycleAction,
    permission_for,
)
from coe.catalog.versions.saving import lock_catalog
from coe.errors import Conflict
from coe.work import Work


async def may_retire_entry(work: Work, namespace: str, name: str) -> bool:
    """Whether the actor may take every step of `retire_entry`; a refusal is not recorded.

    The catalog is locked until the end of the transaction, so that the answer stays true.

    Raises:
        ChangedInDatabase: Somebody changed who owns the entry in the database.
    """
    await lock_catalog(work.session)
    entry = await work.session.scalar(
        select(Entry).where(col(Entry.namespace) == namespace, col(Entry.name) == name)
    )
    if entry is None:
        return False
    found = await work.session.scalars(
        select(EntryVersion).where(
            col(EntryVersion.entry_id) == entry.id, col(EntryVersion.lifecycle).in_(RUNNABLE)
        )
    )
    versions = found.all()
    for version in versions:
        needed = {ALIAS_PERMISSIONS[entry.kind], permission_for(entry.kind, LifecycleAction.RETIRE)}
        if version.lifecycle == Lifecycle.PUBLISHED:
            needed.add(permission_for(entry.kind, LifecycleAction.DEPRECATE))
        relations = relations_to(work, entry, version)
        for permission in needed:
            decision = work.decide(
                permission,
                team=version.team,
                data_class=version.data_class,
                relations=relations,
            )
            if not decision.allowed:
                return False
    return bool(versions)


async def retire_entry(work: Work, namespace: str, name: str, *, comment: str) -> int:
    """Retire all versions of an entry that start runs, and take its aliases away.

    Runs of these versions go on. A later version of the entry may be published again.

    Returns:
        How many versions were retired.

    Raises:
        NotFound, Forbidden: As for each version (`coe.catalog.actions.deprecate`, `retire`).
        Conflict: No version of it starts runs.
    """
    versions = await _runnable(work, namespace, name)
    if not versions:
        raise Conflict(f"no version of {namespace}/{name} is published")
    for version, lifecycle in versions.items():
        if lifecycle == Lifecycle.PUBLISHED:
            await deprecate(work, f"{namespace}/{name}@{version}", comment=comment)
    await drop_aliases(work, f"{namespace}/{name}@{next(iter(versions))}")
    for version in versions:
        await retire(work, f"{namespace}/{name}@{version}", comment=comment)
    return len(versions)


async def _runnable(work: Work, namespace: str, name: str) -> dict[str, Lifecycle]:
    found = await work.session.execute(
        select(col(EntryVersion.version), col(EntryVersion.lifecycle))
        .where(
            col(EntryVersion.namespace) == namespace,
            col(EntryVersion.name) == name,
            col(EntryVersion.lifecycle).in_(RUNNABLE),
        )
        .order_by(col(EntryVersion.created_at), col(EntryVersion.id))
    )
    return {row.version: row.lifecycle for row in found}
