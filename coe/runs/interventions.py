"""Who cancelled or retried a run, and why: kept with the run, for everyone who may read it.

The reason is written by people, so it is sealed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, false, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from coe.crypto.keys import Keyring
from coe.db import new_id
from coe.runs.models import InterventionKind
from coe.runs.records import INTERVENTION_COLUMNS, InterventionRecord
from coe.runs.sealing import TeamSealer
from coe.runs.tables import INTERVENTIONS, RUNS
from coe.runs.visibility import readable_runs
from coe.work import Read

NO_LONGER_NEEDED: Final = "the run that called it no longer needs it"


async def keep_intervention(
    session: AsyncSession,
    keyring: Keyring,
    run: Any,
    kind: InterventionKind,
    *,
    by: str,
    at: datetime,
    reason: str,
) -> None:
    """Keep that somebody cancelled or retried a run, in the transaction that does it.

    `run` has the `id` and the `team` of the run.
    """
    row_id = new_id()
    sealer = TeamSealer(keyring, run.team)
    await session.execute(
        insert(INTERVENTIONS).values(
            id=row_id,
            run_id=run.id,
            kind=kind,
            by=by,
            at=at,
            reason_sealed=await sealer.seal(INTERVENTIONS, row_id, "reason", reason),
        ),
    )


async def keep_cancellation_by_caller(
    session: AsyncSession, keyring: Keyring, run: Any, at: datetime
) -> None:
    """Keep, once, that the run that called this one cancelled it."""
    by = f"run:{run.parent_id}"
    mine = (INTERVENTIONS.c.run_id == run.id) & (INTERVENTIONS.c.by == by)
    if await session.scalar(select(INTERVENTIONS.c.id).where(mine).limit(1)) is None:
        cancel = InterventionKind.CANCEL
        await keep_intervention(
            session, keyring, run, cancel, by=by, at=at, reason=NO_LONGER_NEEDED
        )


def is_stopping() -> ColumnElement[bool]:
    """Open runs that were cancelled, of which the holder has not seen it yet.

    What was done to a run last counts: one that is retried goes on.
    """
    last = (
        select(INTERVENTIONS.c.kind)
        .where(INTERVENTIONS.c.run_id == RUNS.c.id)
        .order_by(INTERVENTIONS.c.at.desc(), INTERVENTIONS.c.id.desc())
        .limit(1)
        .correlate(RUNS)
        .scalar_subquery()
    )
    return func.coalesce(last == InterventionKind.CANCEL, false())


async def interventions_of_runs(
    read: Read, ids: Collection[UUID]
) -> dict[UUID, tuple[InterventionRecord, ...]]:
    """For each run that may be read what people did to it, the earliest first."""
    rows = await read.session.execute(
        select(*INTERVENTION_COLUMNS, RUNS.c.team)
        .join(RUNS, RUNS.c.id == INTERVENTIONS.c.run_id)
        .where(INTERVENTIONS.c.run_id.in_(ids), readable_runs(read))
        .order_by(INTERVENTIONS.c.at, INTERVENTIONS.c.id),
    )
    found: defaultdict[UUID, list[InterventionRecord]] = defaultdict(list)
    for row in rows.all():
        sealer = TeamSealer(read.keyring, row.team)
        reason = await sealer.open(INTERVENTIONS, row.id, "reason", row.reason_sealed)
        found[row.run_id].append(INTERVENTION_COLUMNS.record(row, reason=str(reason)))
    return {run_id: tuple(records) for run_id, records in found.items()}
