"""A run as a drawing: its definition overlaid with the states and times of its steps.

An actor who may read a run but not the contents of its version (an approver of another team) gets
the steps that the run has taken, in their order, and nothing else of the definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Text, case, cast, extract, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from coe.catalog.flows.contents import flow_contents
from coe.drawing import RunOverlay, StepOverlay
from coe.drawing.run_overlay import brief_duration
from coe.machine.commands import StepState, StepTimes
from coe.runs.computed import TakenStep, draw_mermaid, draw_svg
from coe.runs.queries import run as run_of
from coe.runs.records import RunRecord
from coe.runs.tables import RUNS, STEPS
from coe.runs.times_now import TIME_COLUMNS, times_now
from coe.runs.visibility import readable_runs
from coe.work import Read

_GOING: Final = (StepState.RUNNING, StepState.RETRYING, StepState.WAITING)


async def run_mermaid(read: Read, run_id: UUID) -> str | None:
    """Mermaid source of a run with the states of its steps; None if it may not be read."""
    row = await run_of(read, run_id)
    if row is None:
        return None
    steps = await _steps(read, run_id)
    states = {step.path: str(step.state) for step in steps}
    return await read.compute(
        draw_mermaid, await _definition(read, row), _taken(steps), row.flow, states
    )


async def run_svg(read: Read, run_id: UUID) -> str | None:
    """The SVG of a run with the states, times and counts of its steps; None likewise."""
    row = await run_of(read, run_id)
    if row is None:
        return None
    steps = await _steps(read, run_id)
    definition = await _definition(read, row)
    going = await _going(read, run_id)
    drawn = {step.path: _overlay(step, going.get(step.path, ())) for step in steps}
    overlay = RunOverlay(drawn, _caption(row, read))
    return await read.compute(draw_svg, definition, _taken(steps), row.flow, row.ref, overlay)


async def _definition(read: Read, row: RunRecord) -> str | None:
    """The definition of the run, if the actor may read it."""
    content = (await flow_contents(read, [row.version_id])).get(row.version_id)
    return content.definition if content is not None else None


def _taken(steps: Sequence[Row[Any]]) -> tuple[TakenStep, ...]:
    return tuple((str(step.path), str(step.name), str(step.kind)) for step in steps)


async def _steps(read: Read, run_id: UUID) -> Sequence[Row[Any]]:
    """The executions of each task aggregated, in the order of their first start."""
    state = cast(STEPS.c.state, Text)
    ended = STEPS.c.ended_at.is_not(None)
    whole = extract("epoch", STEPS.c.ended_at - STEPS.c.started_at)
    going = [(func.bool_or(STEPS.c.state == each), each.value) for each in _GOING]
    query = (
        select(
            STEPS.c.path,
            func.min(STEPS.c.name).label("name"),
            func.min(STEPS.c.kind).label("kind"),
            case(*going, else_=_last(state)).label("state"),
            func.sum(whole).label("whole"),
            func.sum(STEPS.c.waited_seconds).filter(ended).label("waited"),
            func.sum(STEPS.c.held_seconds).filter(ended).label("held"),
            func.max(STEPS.c.attempt).label("attempts"),
            func.count().filter(STEPS.c.attempt == 1).label("executions"),
            _last(STEPS.c.error_type).label("error_type"),
            _last(STEPS.c.error_status).label("error_status"),
        )
        .join(RUNS, RUNS.c.id == STEPS.c.run_id)
        .where(STEPS.c.run_id == run_id, readable_runs(read))
        .group_by(STEPS.c.path)
        .order_by(func.min(STEPS.c.place))
    )
    return (await read.session.execute(query)).all()


async def _going(read: Read, run_id: UUID) -> dict[str, list[tuple[datetime, StepTimes]]]:
    """The starts and times until now of the executions that have not ended, by their tasks."""
    found = await read.session.execute(
        select(*TIME_COLUMNS, STEPS.c.path)
        .join(RUNS, RUNS.c.id == STEPS.c.run_id)
        .where(STEPS.c.run_id == run_id, STEPS.c.ended_at.is_(None), readable_runs(read))
    )
    rows = found.all()
    times = await times_now(read.session, rows, read.now)
    going: dict[str, list[tuple[datetime, StepTimes]]] = {}
    for row in rows:
        now = times[row.id]
        if now is not None:
            going.setdefault(row.path, []).append((row.started_at, now))
    return going


def _last(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The value of the execution that started last."""
    ordered = aggregate_order_by(column, STEPS.c.place.desc(), STEPS.c.id.desc())
    return func.array_agg(ordered)[1]


def _overlay(step: Row[Any], going: Sequence[tuple[datetime, StepTimes]]) -> StepOverlay:
    """What is drawn of a task: its executions that have ended, and those that have not."""
    waited = timedelta(seconds=float(step.waited or 0))
    held = timedelta(seconds=float(step.held or 0))
    whole = timedelta(seconds=float(step.whole or 0))
    for started_at, times in going:
        whole += times.since - started_at
        waited += times.waited
        held += times.held
    error = None
    if step.error_type is not None and step.state == StepState.FAULTED:
        kind = str(step.error_type).rstrip("/").rpartition("/")[2]
        error = f"{kind} {step.error_status or ''}".strip()
    return StepOverlay(
        state=str(step.state),
        worked=max(whole - waited - held, timedelta()),
        held=held,
        waited=waited,
        attempts=int(step.attempts),
        executions=max(int(step.executions), 1),
        error=error,
    )


def _caption(row: RunRecord, read: Read) -> str:
    """The state of the run, and for how long it has had it or took."""
    state = row.state.value.lower()
    if row.started_at is None:
        return state
    length = brief_duration((row.ended_at or read.now) - row.started_at)
    return f"{state} after {length}" if row.state.ended else f"{state} for {length}"
