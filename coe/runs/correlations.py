"""Correlation ids: whose they are. The log and the lists of runs find a case by its id.

A run has its own id, that of the run that called it, or that of the run whose event started it.
Whoever chooses one cannot take that of another team's run, or their events would stand in its case.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import func, not_, select
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.actor import Actor
from coe.runs.tables import RUNS
from coe.runs.visibility import readable_runs
from coe.work import Platform, RequestInfo


async def is_of_another_team(session: AsyncSession, correlation_id: str, team: str) -> bool:
    """Whether a run of another team has the id; who asks at the same time for it waits."""
    key = func.hashtextextended(f"coe:correlation:{correlation_id}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(key)))
    found = await session.scalar(
        select(RUNS.c.id)
        .where(RUNS.c.correlation_id == correlation_id, RUNS.c.team != team)
        .limit(1)
    )
    return found is not None


async def with_correlation(
    platform: Platform, actor: Actor, about: RequestInfo, correlation_id: str | None
) -> RequestInfo:
    """The request with the correlation id that its actor sent.

    It is left out if a run has it that the actor may not read.
    """
    if correlation_id is None:
        return about
    async with platform.read(actor, about) as read:
        hidden = await read.session.scalar(
            select(RUNS.c.id)
            .where(RUNS.c.correlation_id == correlation_id, not_(readable_runs(read)))
            .limit(1)
        )
    return about if hidden is not None else replace(about, correlation_id=correlation_id)
