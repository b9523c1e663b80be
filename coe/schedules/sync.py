"""Keep schedules in step with the catalog: one row for each flow whose live version has one.

The verbs that publish, deprecate or move `live` write a message to the outbox in their transaction;
dispatch then reads the live version. A start checks the live version again, so a version that was
just withdrawn starts nothing.
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
from coe.errors import CoeError, Unavailable
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
"""The reason of a scheduled start in the audit log."""


async def refresh_schedule(platform: Platform, entry_id: UUID) -> None:
    """Make the schedule of a flow that of its live version; delete it if that has none."""
    async with platform.database.session() as session:
        await refresh_schedule_in(session, platform, entry_id)
        await session.commit()


async def refresh_schedule_in(session: AsyncSession, platform: Platform, entry_id: UUID) -> None:
    """Do the same in the caller's transaction.

    A schedule that is unchanged in another version continues, paused or not; a changed one starts
    anew.
    """
    existing = (
        await session.execute(
            select(SCHEDULES).where(SCHEDULES.c.entry_id == entry_id).with_for_update(),
        )
    ).one_or_none()
    live = await live_version(session, entry_id)
    found = await _schedule_of(session, platform, live) if live is not None else None
    if live is None or found is None:
        await session.execute(delete(SCHEDULES).where(SCHEDULES.c.entry_id == entry_id))
        return
    row = _row(live, found, platform.clock())
    if existing is not None and existing.fingerprint == row["fingerprint"]:
        row |= {"since": existing.since, "next_at": existing.next_at}
    elif existing is not None:
        waiting = SCHEDULE_EVENTS.c.schedule_id == existing.id
        await session.execute(delete(SCHEDULE_EVENTS).where(waiting))
    changed = {name: value for name, value in row.items() if name not in {"id", "enabled"}}
    await session.execute(
        insert(SCHEDULES)
        .values(row)
        .on_conflict_do_update(index_elements=[SCHEDULES.c.entry_id], set_=changed),
    )


async def live_version(session: AsyncSession, entry_id: UUID) -> VersionRecord | None:
    """The live version of a central flow, if it is published and not withdrawn."""
    key = (entry_id, None)
    version = (await resolve(session, [key], true())).get(key)
    if version is None or version.flow_kind is not FlowKind.CENTRAL:
        return None
    return version if version.lifecycle is Lifecycle.PUBLISHED else None


async def _schedule_of(
    session: AsyncSession, platform: Platform, version: VersionRecord
) -> tuple[Definition, Timing] | None:
    """The definition and timing of a version with a schedule; None if it has none that is valid."""
    try:
        flow = await runnable_version(session, platform, version.id)
        if "schedule" not in flow.definition:
            return None
        definition = load(flow.definition).definition
        timing = None if definition is None else timing_of(definition)
    except Unavailable:  # it is tried again later
        raise
    except (CoeError, ScheduleError):
        return None
    return None if definition is None or timing is None else (definition, timing)


def _row(version: VersionRecord, found: tuple[Definition, Timing], now: datetime) -> dict[str, Any]:
    definition, timing = found
    on = definition.schedule.on if definition.schedule else None
    types = types_of(on) if on is not None else None
    content: JSON = {"schedule": schedule_source(definition), "zone": timing.time_zone}
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
        "fingerprint": digest(content),
        "since": func.now() if timing.kind is ScheduleKind.ON else now,
        "next_at": timing.next_after(now, since=now),
        "enabled": True,
        "changed_at": now,
        "problem": None,
    }


def schedule_source(definition: Definition) -> JSON:
    """The `schedule` of a definition as its author wrote it."""
    data = definition.source.data
    return data.get("schedule") if isinstance(data, dict) else None


def timing_of_row(row: Any) -> Timing:
    """The timing of a schedule from its row."""
    length = None if row.seconds is None else timedelta(seconds=row.seconds)
    return Timing(ScheduleKind(row.kind), row.expression, row.time_zone, length)
