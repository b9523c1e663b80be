"""Reads of runs and their steps, each starting from what the actor may read (`run:read`).

The batch functions take ids and leave out what is not there or may not be read, so that a
DataLoader can call them as they are. Inputs and outputs are not here: reading them is recorded
(`coe.runs.disclosure`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select, tuple_

from coe.catalog.models import EntryKind
from coe.catalog.names import require_known
from coe.catalog.records import ENTRY_COLUMNS, VERSION_COLUMNS, EntryRecord, VersionRecord
from coe.catalog.refs import require_entries
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.formats import instants, uuids
from coe.paging import Page, check_first, check_span, decode, encode
from coe.runs.records import (
    RUN_COLUMNS,
    STEP_COLUMNS,
    RunFilter,
    RunRecord,
    StepRecord,
)
from coe.runs.tables import RUNS, STEPS
from coe.runs.times_now import RUN_OF_STEP, times_now
from coe.runs.visibility import readable_runs
from coe.work import Read

StepKey = tuple[UUID, str]


async def run(read: Read, run_id: UUID) -> RunRecord | None:
    """A run, if it is there and may be read."""
    return (await runs_by_id(read, [run_id])).get(run_id)


async def runs_by_id(read: Read, ids: Collection[UUID]) -> dict[UUID, RunRecord]:
    """Runs by their ids."""
    rows = await read.session.execute(
        select(*RUN_COLUMNS).where(RUNS.c.id.in_(ids), readable_runs(read)),
    )
    return {row.id: RUN_COLUMNS.record(row) for row in rows}


async def runs(
    read: Read,
    wanted: RunFilter | None = None,
    *,
    first: int = 20,
    after: str | None = None,
) -> Page[RunRecord]:
    """Runs, the newest request first.

    Raises:
        Invalid: `first` or `after` is not as it should be, or the filter can match nothing because
            of its form or names a flow that is not there to be read.
    """
    size = check_first(first)
    which = and_(readable_runs(read), *_conditions(wanted or RunFilter()))
    beyond = _beyond(after)
    rows = await read.session.execute(
        select(*RUN_COLUMNS)
        .where(which, beyond)
        .order_by(RUNS.c.requested_at.desc(), RUNS.c.id.desc())
        .limit(size + 1),
    )
    found = [RUN_COLUMNS.record(row) for row in rows]
    total = await read.session.scalar(select(func.count()).select_from(RUNS).where(which))
    if not total and wanted and wanted.flows:
        await require_known(read, require_entries(wanted.flows, "flow"), EntryKind.FLOW)
    items = tuple(found[:size])
    return Page(
        items=items,
        cursors=tuple(_cursor(item) for item in items),
        has_next=len(found) > size,
        has_previous=after is not None,
        total=total or 0,
    )


async def children_of_runs(read: Read, ids: Collection[UUID]) -> dict[UUID, tuple[RunRecord, ...]]:
    """For each run the runs that it called, in their order."""
    children = await _children(read, RUNS.c.parent_id.in_(ids))
    grouped: defaultdict[UUID, list[RunRecord]] = defaultdict(list)
    for child in children:
        if child.parent_id is not None:
            grouped[child.parent_id].append(child)
    return {parent: tuple(rows) for parent, rows in grouped.items()}


async def children_by_step(read: Read, keys: Sequence[StepKey]) -> dict[StepKey, RunRecord]:
    """For each step, given as run and step key, the run that it called."""
    children = await _children(read, tuple_(RUNS.c.parent_id, RUNS.c.parent_key).in_(keys))
    return {
        (child.parent_id, child.parent_key): child
        for child in children
        if child.parent_id is not None and child.parent_key is not None
    }


async def steps_of_runs(read: Read, ids: Collection[UUID]) -> dict[UUID, tuple[StepRecord, ...]]:
    """For each run its steps, in the order of their start."""
    found = await read.session.execute(
        select(*STEP_COLUMNS, *RUN_OF_STEP)
        .join(RUNS, RUNS.c.id == STEPS.c.run_id)
        .where(STEPS.c.run_id.in_(ids), readable_runs(read))
        .order_by(STEPS.c.run_id, STEPS.c.place, STEPS.c.id),
    )
    rows = found.all()
    times = await times_now(read.session, rows, read.now)
    grouped: defaultdict[UUID, list[StepRecord]] = defaultdict(list)
    for row in rows:
        grouped[row.run_id].append(STEP_COLUMNS.record(row, times=times[row.id]))
    return {run_id: tuple(steps) for run_id, steps in grouped.items()}


async def flows_of_versions(read: Read, version_ids: Sequence[UUID]) -> dict[UUID, EntryRecord]:
    """For each of these versions the flow, if the actor may read a run of the version.

    Whoever may read a run may know which flow and version it is. The catalog alone would hide a
    confidential flow from an approver of another team, who has one of its tasks.
    """
    rows = await read.session.execute(
        select(*ENTRY_COLUMNS, VERSIONS.c.id.label("of_version"))
        .select_from(ENTRIES.join(VERSIONS, VERSIONS.c.entry_id == ENTRIES.c.id))
        .where(VERSIONS.c.id.in_(_versions_with_runs(read, version_ids))),
    )
    return {row.of_version: ENTRY_COLUMNS.record(row) for row in rows}


async def versions_with_runs(read: Read, version_ids: Sequence[UUID]) -> dict[UUID, VersionRecord]:
    """Those of these versions of which the actor may read a run, without their contents."""
    rows = await read.session.execute(
        select(*VERSION_COLUMNS).where(VERSIONS.c.id.in_(_versions_with_runs(read, version_ids))),
    )
    return {row.id: VERSION_COLUMNS.record(row) for row in rows}


def _versions_with_runs(read: Read, version_ids: Sequence[UUID]) -> Select[tuple[UUID]]:
    wanted = RUNS.c.version_id.in_(version_ids)
    return select(RUNS.c.version_id).where(wanted, readable_runs(read))


async def _children(read: Read, which: ColumnElement[bool]) -> list[RunRecord]:
    rows = await read.session.execute(
        select(*RUN_COLUMNS)
        .where(which, readable_runs(read))
        .order_by(RUNS.c.requested_at, RUNS.c.id),
    )
    return [RUN_COLUMNS.record(row) for row in rows]


def _conditions(wanted: RunFilter) -> list[ColumnElement[bool]]:
    check_span(wanted.started_after, wanted.started_before, path="/filter/startedBefore")
    conditions: list[ColumnElement[bool]] = []
    if wanted.flows:
        conditions.append(RUNS.c.flow.in_(require_entries(wanted.flows, "flow")))
    if wanted.states:
        conditions.append(RUNS.c.state.in_(wanted.states))
    if wanted.correlation_id is not None:
        conditions.append(RUNS.c.correlation_id == wanted.correlation_id)
    if wanted.started_after is not None:
        conditions.append(RUNS.c.requested_at >= wanted.started_after)
    if wanted.started_before is not None:
        conditions.append(RUNS.c.requested_at < wanted.started_before)
    if wanted.parent_id is not None:
        conditions.append(RUNS.c.parent_id == wanted.parent_id)
    return conditions


def _beyond(after: str | None) -> ColumnElement[bool]:
    if after is None:
        return RUNS.c.id.is_not(None)
    key = decode("runs", after, [instants.read, uuids.read])
    return tuple_(RUNS.c.requested_at, RUNS.c.id) < tuple_(*key)


def _cursor(row: RunRecord) -> str:
    return encode("runs", [instants.write(row.requested_at), str(row.id)])
