"""Flows that start by themselves, for the tests: a clock that the test sets, and their runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from coe.catalog.models import EntryKind
from coe.catalog.queries import find_entry
from coe.outbox import OUTBOX
from coe.runs.models import RunState
from coe.runs.tables import RUNS
from coe.schedules.queries import ScheduleRecord, schedules_of_flows
from coe.schedules.sync import refresh_schedule
from coe.work import Platform
from tests.factories.people import SALES_OWNER
from tests.factories.runs import publish

BEGIN = datetime(2026, 3, 27, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    """The platform's clock, set by the test."""

    now: datetime = BEGIN

    def __call__(self) -> datetime:
        return self.now

    def to(self, text: str) -> datetime:
        self.now = datetime.fromisoformat(text).astimezone(UTC)
        return self.now


def flow(schedule: str, *, version: str = "1.0.0", zone: str = "UTC", name: str = "nightly") -> str:
    return f"""
document:
  dsl: 1.0.3
  namespace: sales
  name: {name}
  version: {version}
  title: {name.capitalize()}
  summary: A flow that starts by itself.
  metadata: {{processOwner: sales-owner, dataClass: PERSONAL, timeZone: {zone}}}
input: {{schema: {{document: {{}}}}}}
schedule: {schedule}
do:
  - rest:
      set: '${{ . }}'
"""


async def publish_scheduled(platform: Platform, text: str) -> str:
    """Publish it, and let dispatch see what is live."""
    ref = await publish(platform, text)
    await drain(platform)
    return ref


async def drain(platform: Platform) -> None:
    """Dispatch what is not about runs."""
    async with platform.database.session() as session:
        rows = await session.execute(
            select(OUTBOX.c.subject).where(OUTBOX.c.kind == "schedule"),
        )
        entries = set(rows.scalars())
        await session.execute(OUTBOX.delete().where(OUTBOX.c.kind == "schedule"))
        await session.commit()
    for entry in entries:
        await refresh_schedule(platform, entry)


async def schedule_of(platform: Platform, ref: str = "sales/nightly") -> ScheduleRecord | None:
    async with platform.read(SALES_OWNER) as read:
        entry = await find_entry(read, ref, EntryKind.FLOW)
        assert entry is not None
        return (await schedules_of_flows(read, [entry.id])).get(entry.id)


async def scheduled(platform: Platform) -> ScheduleRecord:
    found = await schedule_of(platform)
    assert found is not None
    return found


async def started(platform: Platform) -> list[Any]:
    async with platform.database.session() as session:
        rows = await session.execute(select(RUNS).order_by(RUNS.c.requested_at, RUNS.c.id))
        return list(rows)


async def end(platform: Platform, run_id: UUID, state: RunState, at: datetime) -> None:
    async with platform.database.session() as session:
        await session.execute(
            update(RUNS).where(RUNS.c.id == run_id).values(state=state, ended_at=at)
        )
        await session.commit()
