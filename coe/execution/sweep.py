"""End what an engine was left with: its runs of runs that have ended, or that run elsewhere since.

A worker that dies, or that loses its engine, reports no end. The run goes on in another engine run
or ends, and the first one would stay "running" in the engine for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from coe.execution.engine import Engine, StartedRun
from coe.runs.models import RunState
from coe.runs.tables import NOW, RUNS
from coe.work import Platform

GRACE: Final = timedelta(seconds=60)
"""How long a worker may take to report the end of a run that has ended, through an outage."""
BATCH: Final = 500


async def sweep_once(platform: Platform, engine: Engine) -> int:
    """End the engine's runs that nobody carries out any more; returns how many.

    One whose run is not known is left alone: another installation may use the engine.

    Raises:
        Unavailable: The engine does not answer.
    """
    started = await engine.started_runs(older_than=GRACE)
    swept = 0
    for some in _batches(started):
        runs = await _runs(platform, some)
        for each in some:
            over, state = _over(each, runs.get(each.run_id))
            if over:
                await engine.settle(each, state)
                swept += 1
    return swept


def _batches(started: Sequence[StartedRun]) -> Iterator[Sequence[StartedRun]]:
    for first in range(0, len(started), BATCH):
        yield started[first : first + BATCH]


async def _runs(platform: Platform, started: Sequence[StartedRun]) -> dict[UUID, Any]:
    """The runs of these that are known, by their ids."""
    async with platform.database.session() as session:
        found = await session.execute(
            select(
                RUNS.c.id,
                RUNS.c.state,
                RUNS.c.engine_run_id,
                RUNS.c.local,
                (RUNS.c.ended_at < NOW - GRACE).label("ended"),
            ).where(RUNS.c.id.in_([each.run_id for each in started])),
        )
        return {row.id: row for row in found}


def _over(started: StartedRun, run: Any) -> tuple[bool, RunState | None]:
    """Whether nobody carries it out, and how its run ended; None if that goes on elsewhere."""
    if run is None:
        return False, None
    if run.ended and run.state.ended:
        return True, run.state
    superseded = run.local and run.engine_run_id not in {None, started.id}
    return superseded, None
