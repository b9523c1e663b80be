"""The times of steps until now: their rows, and what the journal of the run does not have yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from coe.machine.commands import StepTimes
from coe.runs.models import ENDED
from coe.runs.records import RunRecord, StepRecord
from coe.runs.step_times import (
    CalledRun,
    Interval,
    OpenStep,
    now_of,
    stored_times,
)
from coe.runs.tables import HOLDERS, RUNS, STEPS, TASKS

StepKey = tuple[UUID, str]
Outermost = tuple[datetime, StepTimes]
"""The start and the times of a step that no other step contains."""

RUN_OF_STEP: Final = (RUNS.c.ended_at.label("run_ended_at"), RUNS.c.team.label("run_team"))
TIME_COLUMNS: Final = (
    *(STEPS.c.id, STEPS.c.run_id, STEPS.c.key, STEPS.c.parent_key, STEPS.c.kind, STEPS.c.state),
    *(STEPS.c.started_at, STEPS.c.ended_at, STEPS.c.changed_at, STEPS.c.phase),
    *(STEPS.c.waited_seconds, STEPS.c.held_seconds, STEPS.c.waits),
    *RUN_OF_STEP,
)
"""What `times_now` needs of a step and its run."""


async def times_now(
    session: AsyncSession, rows: Sequence[Any], now: datetime
) -> dict[UUID, StepTimes | None]:
    """The times of steps, given as rows with `TIME_COLUMNS`, by the ids of the rows.

    Those of a run's steps that have not ended are given all together: one may be around another.
    """
    found = {row.id: stored_times(row) for row in rows}
    going: dict[UUID, list[tuple[Any, OpenStep]]] = defaultdict(list)
    for row in rows:
        times = found[row.id]
        if row.ended_at is None and times is not None:
            going[row.run_id].append((row, OpenStep(row.key, row.parent_key, times)))
    steps = {(row.run_id, row.key): (row, step) for pairs in going.values() for row, step in pairs}
    for key, intervals in (await _held(session, steps)).items():
        steps[key][1].held = intervals
    for key, called in (await _called(session, steps, now)).items():
        steps[key][1].called = called
    for pairs in going.values():
        ended = pairs[0][0].run_ended_at
        current = now_of([step for _, step in pairs], now if ended is None else min(now, ended))
        found |= {row.id: current[step.key] for row, step in pairs}
    return found


Open = Mapping[StepKey, tuple[Any, OpenStep]]


async def _held(session: AsyncSession, steps: Open) -> dict[StepKey, list[Interval]]:
    """Who has held the tasks of steps, from when until when."""
    asking = [key for key, (_, step) in steps.items() if step.asks]
    found: dict[StepKey, list[Interval]] = defaultdict(list)
    if asking:
        rows = await session.execute(
            select(TASKS.c.run_id, TASKS.c.key, HOLDERS.c.at, HOLDERS.c.until)
            .join(TASKS, TASKS.c.id == HOLDERS.c.task_id)
            .where(tuple_(TASKS.c.run_id, TASKS.c.key).in_(asking))
            .order_by(HOLDERS.c.at),
        )
        for run_id, key, since, until in rows:
            found[run_id, key].append((since, until))
    return found


async def _called(session: AsyncSession, steps: Open, now: datetime) -> dict[StepKey, CalledRun]:
    """The runs that steps have called and wait for."""
    calling = [key for key, (_, step) in steps.items() if step.calls]
    if not calling:
        return {}
    rows = await session.execute(
        select(RUNS).where(tuple_(RUNS.c.parent_id, RUNS.c.parent_key).in_(calling)),
    )
    runs = rows.all()
    inside = await _outermost(session, [run.id for run in runs if not run.local], now)
    return {
        (run.parent_id, run.parent_key): called_run(
            run, inside[run.id], now, of_other_team=steps[key_of(run)][0].run_team != run.team
        )
        for run in runs
    }


def key_of(run: Any) -> StepKey:
    """The step that called a run."""
    return run.parent_id, run.parent_key


def called_run(
    run: Any, steps: Sequence[Outermost], now: datetime, *, of_other_team: bool
) -> CalledRun:
    """What the row of a run shows of its times until now."""
    waiting = run.local and run.holder is None and run.state not in ENDED
    return CalledRun(
        of_other_team=of_other_team,
        requested_at=run.requested_at,
        started_at=run.started_at,
        until=run.ended_at or now,
        waits=(run.waits or {}) if run.local else run.waits,
        held_seconds=run.held_seconds,
        steps=steps,
        waits_since=(run.waits_since or run.requested_at) if waiting else None,
    )


def run_times(run: RunRecord, steps: Sequence[StepRecord], now: datetime) -> StepTimes | None:
    """The times of a run since its request, until its end or now; None if they are not known."""
    if run.ended_at is not None and run.waits is None and run.held_seconds is None:
        return None
    going = () if run.local or run.ended_at is not None else steps
    outermost = [
        (each.started_at, each.times)
        for each in going
        if each.parent_key is None and each.started_at is not None and each.times is not None
    ]
    return called_run(run, outermost, now, of_other_team=False).times()


async def _outermost(
    session: AsyncSession, runs: Sequence[UUID], now: datetime
) -> Mapping[UUID, list[Outermost]]:
    """The times of the outermost steps of runs; a run that they call waits until it ends."""
    found: dict[UUID, list[Outermost]] = defaultdict(list)
    if runs:
        rows = await session.execute(
            select(*TIME_COLUMNS)
            .join(RUNS, RUNS.c.id == STEPS.c.run_id)
            .where(STEPS.c.run_id.in_(runs), STEPS.c.parent_key.is_(None)),
        )
        for row in rows:
            times = stored_times(row)
            if times is not None:
                times = times if row.ended_at else times.until(now)
                found[row.run_id].append((row.started_at, times))
    return found
