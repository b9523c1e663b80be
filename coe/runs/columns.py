"""Rows of runs, steps and tasks from the columns of their tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Row

from coe.crypto.keys import Keyring
from coe.machine.commands import StepState
from coe.runs.rows import ErrorRow, RunRow, StepRow, TaskRow
from coe.runs.sealing import Sealer
from coe.runs.tables import RUNS, STEPS, TASKS

_RUN_PLAIN: Final = (
    "id",
    "flow",
    "version",
    "version_id",
    "local",
    "engine",
    "team",
    "data_class",
    "state",
    "correlation_id",
    "parent_id",
    "parent_key",
    "started_by",
    "requested_at",
    "started_at",
    "ended_at",
    "trace_id",
    "engine_run_id",
    "engine_url",
)
_STEP_PLAIN: Final = (
    "id",
    "run_id",
    "key",
    "path",
    "name",
    "kind",
    "state",
    "attempt",
    "iteration",
    "started_at",
    "ended_at",
)
_TASK_PLAIN: Final = (
    "id",
    "run_id",
    "key",
    "path",
    "flow",
    "team",
    "data_class",
    "state",
    "assignee",
    "outcome",
    "approvals_needed",
    "created_at",
    "due_at",
    "completed_at",
    "completed_by",
)
_ERROR: Final = ("error_type", "error_status", "error_instance")

RUN_COLUMNS: Final[Sequence[ColumnElement[Any]]] = tuple(
    RUNS.c[name] for name in (*_RUN_PLAIN, *_ERROR, "fence")
)
STEP_COLUMNS: Final[Sequence[ColumnElement[Any]]] = tuple(
    STEPS.c[name] for name in (*_STEP_PLAIN, *_ERROR, "changed_at", "waited_seconds")
)
TASK_COLUMNS: Final[Sequence[ColumnElement[Any]]] = tuple(
    TASKS.c[name]
    for name in (
        *_TASK_PLAIN,
        "candidate_roles",
        "outcomes",
        "title_sealed",
        "instructions_sealed",
        "form_sealed",
    )
)


def run_row(row: Row[Any]) -> RunRow:
    """A run from `RUN_COLUMNS`; its error without what it says."""
    plain = {name: getattr(row, name) for name in _RUN_PLAIN}
    return RunRow(**plain, error=_error(row), attempt=row.fence)


def step_row(row: Row[Any], now: datetime) -> StepRow:
    """A step from `STEP_COLUMNS`, its times counted up to now if it has not ended."""
    waited = timedelta(seconds=row.waited_seconds)
    if row.state == StepState.WAITING:
        waited += now - row.changed_at
    whole = (row.ended_at or now) - row.started_at if row.started_at else None
    return StepRow(
        **{name: getattr(row, name) for name in _STEP_PLAIN},
        error=_error(row),
        waited_for=waited if whole is not None else None,
        worked_for=max(whole - waited, timedelta()) if whole is not None else None,
    )


async def task_row(keyring: Keyring, row: Row[Any]) -> TaskRow:
    """A task from `TASK_COLUMNS`, with its title, instructions and form opened."""
    sealer = Sealer(keyring, row.team)
    return TaskRow(
        **{name: getattr(row, name) for name in _TASK_PLAIN},
        candidate_roles=tuple(row.candidate_roles),
        outcomes=tuple(row.outcomes),
        title=await sealer.open(TASKS, row.id, "title", row.title_sealed),
        instructions=await sealer.open(TASKS, row.id, "instructions", row.instructions_sealed),
        form=await sealer.open(TASKS, row.id, "form", row.form_sealed),
    )


def _error(row: Row[Any]) -> ErrorRow | None:
    if row.error_type is None:
        return None
    return ErrorRow(row.error_type, row.error_status or 0, instance=row.error_instance)
