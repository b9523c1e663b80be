"""Count runs and steps for the metrics of the process, once what happened is committed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from coe.db.after_commit import after_commit
from coe.machine.commands import StepUpdate
from coe.runs.models import RunState
from coe.runs.records import RunIdentity
from coe.telemetry import metrics
from coe.telemetry.labels import Bounded, flow_of

_KINDS: Final = Bounded(50)


def count_request(session: AsyncSession, row: dict[str, Any]) -> None:
    """Count a new run when its request commits; `row` is that of `runs`."""
    flow = flow_of(row["flow"], row["data_class"])
    after_commit(session, metrics.RUNS_STARTED.labels(flow).inc)


def count_end_at_commit(
    session: AsyncSession, run: RunIdentity, state: RunState, at: datetime
) -> None:
    """Count the end of a run when the session commits."""
    after_commit(session, lambda: count_end(run, state, at))


def count_end(run: RunIdentity, state: RunState, at: datetime) -> None:
    """Count the end of a run, and its duration since its request: its id has that time."""
    flow = flow_of(run.flow, run.data_class)
    seconds = max(at.timestamp() - _milliseconds(run.id) / 1000, 0.0)
    metrics.RUN_SECONDS.labels(flow, state.value).observe(seconds)


def count_steps(changes: Iterable[StepUpdate]) -> None:
    """Count the steps that have ended by these changes."""
    for change in changes:
        if change.ended_at is not None:
            metrics.STEPS.labels(_KINDS.of(change.kind), change.state.value).inc()


def _milliseconds(run_id: UUID) -> int:
    """The time of a UUID of version 7 (RFC 9562)."""
    return run_id.int >> 80
