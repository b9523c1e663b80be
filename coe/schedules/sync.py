"""Schedules kept in step with the catalog: one row for each flow that starts by itself now.

Publishing, deprecating or moving `live` in the catalog writes a message to the outbox in the same
transaction; dispatch reads what is live then. A start looks once more, so that what was withdrawn a
moment ago starts nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.actor import Actor
from coe.catalog.flows.contents import runnable_version
from coe.catalog.models import FlowKind, Lifecycle
from coe.catalog.records import VersionRecord
from coe.catalog.versions.resolution import resolve
from coe.db import new_id
from coe.errors import CoeError
from coe.json_types import JSON
from coe.language.canonical import digest
from coe.language.load import load
from coe.language.model.definition import Definition
from coe.language.schedules import ScheduleError, ScheduleKind, Timing, timing_of
from coe.machine.event_filters import types_of
from coe.runs.tables import SCHEDULE_EVENTS, SCHEDULES
from coe.work import Platform

SCHEDULER: Final = Actor.of("service:scheduler", display_name="The start of flows by schedules")
REASON: Final = "schedule"
"""Why the log says that a run was started."""


async def refresh(platform: Platform, entry_id: UUID) -> None:
    """Let the schedule of a flow be that of its live version, or be gone."""
    async with platform.database.session() as session:
        await refresh_in(session, platform, entry_id)
        await session.commit()


async def refresh_in(session: AsyncSession, platform: Platform, entry_id: UUID) -> None:
    """The same in the caller's transaction.

    The same schedule in another version goes on as it was, paused or not; another one begins anew.
    """
    known = (
        await session.execute(
            select(SCHEDULES).where(SCHEDULES.c.entry_id == entry_id).with_for_update(),
        )
    ).one_or_none()
    live = await live_version(session, entry_id)
    found = await _scheduled(session, platform, live) if live is not None else None
    if live is None or found is None:
        await session.execute(delete(SCHEDULES).where(SCHEDULES.c.entry_id == entry_id))
        return
    row = _row(live, found, platform.clock())
    if known is not None and known.fingerprint == row["fingerprint"]:
        row |= {"since": known.since, "next_at": known.next_at}
    elif known is not None:
        waiting = SCHEDULE_EVENTS.c.schedule_id == known.id
        await session.execute(delete(SCHEDULE_EVENTS).where(waiting))
    changed = {name: value for name, value in row.items() if name not in {"id", "enabled"}}
    await session.execute(
        insert(SCHEDULES)
        .values(row)
        .on_conflict_do_update(index_elements=[SCHEDULES.c.entry_id], set_=changed),
    )


async def live_version(session: AsyncSession, entry_id: UUID) -> VersionRecord | None:
    """The version of a central flow that `live` names, if it is published and not withdrawn."""
    key = (entry_id, None)
    version = (await resolve(session, [key], true())).get(key)
    if version is None or version.flow_kind is not FlowKind.CENTRAL:
        return None
    return version if version.lifecycle is Lifecycle.PUBLISHED else None


async def _scheduled(
    session: AsyncSession, platform: Platform, version: VersionRecord
) -> tuple[Definition, Timing] | None:
    """What a version says of its schedule; none for one that can no longer be understood."""
    try:
        flow = await runnable_version(session, platform, version.id)
        if "schedule" not in flow.definition:
            return None
        definition = load(flow.definition).definition
        timing = None if definition is None else timing_of(definition)
    except (CoeError, ScheduleError):
        return None
    return None if definition is None or timing is None else (definition, timing)


def _row(version: VersionRecord, found: tuple[Definition, Timing], now: datetime) -> dict[str, Any]:
    definition, timing = found
    on = definition.schedule.on if definition.schedule else None
    types = types_of(on) if on is not None else None
    said: JSON = {"schedule": written(definition), "zone": timing.time_zone}
    return {
        "id": new_id(),
        "entry_id": version.entry_id,
        "flow": version.entry_ref,
        "version": version.version,
        "version_id": version.id,
        "team": version.team,
        "data_class": version.data_class.value,
        "kind": timing.kind,
        "expression": timing.expression,
        "time_zone": timing.time_zone,
        "seconds": timing.length.total_seconds() if timing.length else None,
        "types": None if types is None else list(types),
        "fingerprint": digest(said),
        "since": func.now() if timing.kind is ScheduleKind.ON else now,
        "next_at": timing.next_after(now, since=now),
        "enabled": True,
        "changed_at": now,
        "problem": None,
    }


def written(definition: Definition) -> JSON:
    """The `schedule` of a definition as it was written."""
    data = definition.source.data
    return data.get("schedule") if isinstance(data, dict) else None


def timing_in(row: Any) -> Timing:
    """When a schedule's row says that it starts."""
    length = None if row.seconds is None else timedelta(seconds=row.seconds)
    return Timing(ScheduleKind(row.kind), row.expression, row.time_zone, length)
