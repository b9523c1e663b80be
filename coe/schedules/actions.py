"""Verbs on schedules: pause and resume. Each checks, changes and records; none commits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, update

from coe.access.permissions import Permission
from coe.access.policy import Decision
from coe.audit.events import Tag
from coe.catalog.models import EntryKind
from coe.catalog.queries import find_entry
from coe.catalog.records import EntryRecord
from coe.catalog.scope import relations_to
from coe.errors import Conflict, NotFound
from coe.language.schedules import ScheduleKind
from coe.runs.tables import SCHEDULES
from coe.schedules.sync import timing_of_row
from coe.work import Work, check_reason


async def pause_schedule(work: Work, flow: str, *, reason: str) -> EntryRecord:
    """Pause the schedule of a flow until it is resumed; active runs continue.

    Events that are received during the pause start no run later.

    Raises:
        NotFound: There is no such flow, or it may not be read.
        Forbidden: `schedule:pause` is refused.
        Conflict: The live version has no schedule, or it is paused already.
        Invalid: The reason is blank or too long.
    """
    entry, schedule, decision = await _lock(work, flow, Permission.SCHEDULE_PAUSE)
    check_reason(reason)
    if not schedule.enabled:
        raise Conflict(f"the schedule of {entry.ref} is paused already")
    await _set(work, schedule, enabled=False)
    await _record(work, Tag.RUNS_SCHEDULE_PAUSE, entry, decision, reason)
    return entry


async def resume_schedule(work: Work, flow: str, *, reason: str) -> EntryRecord:
    """Resume the schedule of a flow from now on; missed starts are not made up for.

    Raises:
        NotFound: There is no such flow, or it may not be read.
        Forbidden: `schedule:resume` is refused.
        Conflict: The live version has no schedule, or it is not paused.
        Invalid: The reason is blank or too long.
    """
    entry, schedule, decision = await _lock(work, flow, Permission.SCHEDULE_RESUME)
    check_reason(reason)
    if schedule.enabled:
        raise Conflict(f"the schedule of {entry.ref} is not paused")
    values: dict[str, Any] = {"enabled": True}
    if schedule.kind is ScheduleKind.ON:
        values["since"] = func.now()
    elif schedule.next_at is not None:
        since = work.now if schedule.kind is ScheduleKind.AFTER else schedule.since
        values["next_at"] = timing_of_row(schedule).next_after(work.now, since=since)
    await _set(work, schedule, **values)
    await _record(work, Tag.RUNS_SCHEDULE_RESUME, entry, decision, reason)
    return entry


async def _lock(work: Work, flow: str, permission: Permission) -> tuple[EntryRecord, Any, Decision]:
    """The flow, the locked row of its schedule, and the decision of the policy."""
    work.require_scope(Permission.ENTRY_READ)
    entry = await find_entry(work, flow, EntryKind.FLOW)
    if entry is None:
        raise NotFound
    decision = work.require(
        permission,
        resource=f"flow:{entry.ref}",
        team=entry.team,
        data_class=entry.data_class,
        relations=relations_to(work, entry, None),
    )
    found = await work.session.execute(
        select(SCHEDULES).where(SCHEDULES.c.entry_id == entry.id).with_for_update(),
    )
    schedule = found.one_or_none()
    if schedule is None:
        raise Conflict(f"the live version of {entry.ref} has no schedule")
    return entry, schedule, decision


async def _set(work: Work, schedule: Any, **values: Any) -> None:
    await work.session.execute(
        update(SCHEDULES)
        .where(SCHEDULES.c.id == schedule.id)
        .values(values | {"changed_at": work.now}),
    )


async def _record(
    work: Work, tag: Tag, entry: EntryRecord, decision: Decision, reason: str
) -> None:
    await work.record(
        tag,
        resource=f"flow:{entry.ref}",
        team=entry.team,
        decision=decision,
        reason=reason,
    )
