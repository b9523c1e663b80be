"""When a worker of a team was last seen, and why a run that nobody carries out waits."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.actor import DataClass
from coe.access.permissions import Permission
from coe.runs.models import ENDED
from coe.runs.tables import NOW, RUNS, TEAM_WORKERS
from coe.runs.visibility import readable_runs
from coe.work import Read

USUAL: Final = timedelta(seconds=3)
"""In which a run is usually taken; until then it does not count as waiting."""
PRESENT: Final = timedelta(seconds=20)
"""A worker that was seen more recently is there: it asks for runs every two seconds."""


async def note_worker(session: AsyncSession, team: str) -> None:
    """Note that a worker of the team asks for runs now."""
    row = insert(TEAM_WORKERS).values(team=team, seen_at=NOW)
    await session.execute(
        row.on_conflict_do_update(
            index_elements=[TEAM_WORKERS.c.team], set_={"seen_at": row.excluded.seen_at}
        ),
    )


async def workers_of_teams(read: Read, teams: Collection[str]) -> dict[str, datetime]:
    """For each of the teams when a worker of it was last seen.

    A team without one is left out, and so is one whose internals the actor may not read.
    """
    internal = [
        team
        for team in teams
        if read.decide(Permission.ENTRY_READ, team=team, data_class=DataClass.INTERNAL).allowed
    ]
    rows = await read.session.execute(
        select(TEAM_WORKERS.c.team, TEAM_WORKERS.c.seen_at).where(
            TEAM_WORKERS.c.team.in_(internal)
        ),
    )
    return {row.team: row.seen_at for row in rows}


async def waits_of_runs(read: Read, ids: Collection[UUID]) -> dict[UUID, str]:
    """For each run that waits for a worker to take it a sentence that says so."""
    rows = await read.session.execute(
        select(
            RUNS.c.id,
            RUNS.c.local,
            RUNS.c.team,
            RUNS.c.requested_at,
            RUNS.c.started_at,
            RUNS.c.waits_since,
            TEAM_WORKERS.c.seen_at,
            NOW.label("now"),
        )
        .select_from(RUNS.outerjoin(TEAM_WORKERS, TEAM_WORKERS.c.team == RUNS.c.team))
        .where(
            RUNS.c.id.in_(ids),
            readable_runs(read),
            RUNS.c.state.not_in(ENDED),
            RUNS.c.holder.is_(None),
            RUNS.c.local | RUNS.c.started_at.is_(None),
        ),
    )
    sentences = {row.id: _sentence(row) for row in rows}
    return {run_id: sentence for run_id, sentence in sentences.items() if sentence is not None}


def _sentence(run: Any) -> str | None:
    waited = run.now - (run.waits_since or run.requested_at)
    if waited < USUAL:
        return None
    if not run.local:
        return f"no central worker has taken it for {_length(waited)}"
    if run.started_at is None:
        first = f"no worker of {run.team} has taken it for {_length(waited)}"
    else:
        first = f"it waits to go on: no worker of {run.team} has taken it for {_length(waited)}"
    if run.seen_at is None:
        return f"{first}; none was ever seen"
    if run.now - run.seen_at < PRESENT:
        return f"{first}; one is there, last seen {_moment(run.seen_at, run.now)}"
    return f"{first}; last seen {_moment(run.seen_at, run.now)}"


def _length(time: timedelta) -> str:
    """A length of time in its two largest units."""
    seconds = int(time.total_seconds())
    parts = []
    for name, unit in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, seconds = divmod(seconds, unit)
        if number:
            parts.append(f"{number} {name}")
    return " ".join(parts[:2]) or "0 s"


def _moment(moment: datetime, now: datetime) -> str:
    """A time in UTC; with its date, unless it is today."""
    here, today = moment.astimezone(UTC), now.astimezone(UTC).date()
    return here.strftime("%H:%M UTC" if here.date() == today else "%Y-%m-%d %H:%M UTC")
