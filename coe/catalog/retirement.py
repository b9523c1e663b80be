"""Retire an entry whole, as a team that ends does: its aliases, and all that starts runs."""

from __future__ import annotations

from sqlalchemy import select
from sqlmodel import col

from coe.catalog.actions import deprecate, drop_aliases, retire
from coe.catalog.models import EntryVersion, Lifecycle
from coe.catalog.versions.lifecycle import RUNNABLE
from coe.errors import Conflict
from coe.work import Work


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
