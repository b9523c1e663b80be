"""End what an engine was left with: its runs of runs that have ended, or that run elsewhere since.

A worker that dies, or that loses its engine, reports no end. The run goes on in another engine run
or ends, and the first one would stay "running" in the engine for ever.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import select

from coe.execution.engine import Engine, StartedRun
from coe.runs.models import RunState
from coe.runs.tables import NOW, RUNS
from coe.work import Platform

GRACE: Final = timedelta(seconds=60)
"""How long a worker may take to report the end of a run that has ended, through an outage."""


async def sweep_once(platform: Platform, engine: Engine) -> int:
    """End the engine's runs that nobody carries out any more; returns how many.

    One whose run is not known is left alone: another installation may use the engine.

    Raises:
        Unavailable: The engine does not answer.
    """
    swept = 0
    for started in await engine.started_runs(older_than=GRACE):
        over, state = await _over(platform, started)
        if over:
            await engine.settle(started, state)
            swept += 1
    return swept


async def _over(platform: Platform, started: StartedRun) -> tuple[bool, RunState | None]:
    """Whether nobody carries it out, and how its run ended; None if that goes on elsewhere."""
    async with platform.database.session() as session:
        found = await session.execute(
            select(
                RUNS.c.state,
                RUNS.c.engine_run_id,
                RUNS.c.local,
                (RUNS.c.ended_at < NOW - GRACE).label("ended"),
            ).where(RUNS.c.id == started.run_id),
        )
        run: Any = found.one_or_none()
    if run is None:
        return False, None
    if run.ended and run.state.ended:
        return True, run.state
    superseded = run.local and run.engine_run_id not in {None, started.id}
    return superseded, None
