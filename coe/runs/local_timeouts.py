"""The timeouts of local runs: they count from the request, and end a run that no worker took.

The `timeout` of a manifest is armed with the request of a run, and armed anew when the run is
retried. Any process with the loops fires it, so it needs no worker.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from coe.crypto.keys import Keyring
from coe.json_types import JSON
from coe.language.durations import iso
from coe.language.error_types import STATUSES
from coe.machine.commands import Faulted
from coe.machine.errors import type_of
from coe.outbox import OutboxKind, enqueue
from coe.runs import completion
from coe.runs.models import ENDED, TimerKind
from coe.runs.records import IDENTITY_COLUMNS
from coe.runs.tables import NOW, RUNS, TIMERS
from coe.runs.timers import store_timer


async def arm_timeout(session: AsyncSession, run_id: UUID, seconds: float | None) -> None:
    """Have a local run fault so many seconds from now, unless it has ended by then."""
    if seconds is None:
        return
    due = NOW + timedelta(seconds=seconds)
    await store_timer(session, run_id, TimerKind.LOCAL_RUN, "", due)


async def expire(session: AsyncSession, keyring: Keyring, timer: Any, now: datetime) -> bool:
    """Fault the run of a timer that is due; its worker can report nothing more.

    The run is locked before its timer, as where it ends otherwise. False if the timer was moved or
    deleted meanwhile.
    """
    found = await session.execute(
        select(
            *IDENTITY_COLUMNS,
            RUNS.c.state,
            RUNS.c.started_at,
            RUNS.c.holder,
            RUNS.c.timeout_seconds,
        )
        .where(RUNS.c.id == timer.run_id)
        .with_for_update(key_share=True),
    )
    run = found.one()
    gone = await session.execute(
        delete(TIMERS)
        .where(TIMERS.c.id == timer.id, TIMERS.c.due_at == timer.due_at)
        .returning(TIMERS.c.id),
    )
    if gone.one_or_none() is None:
        return False
    if run.state in ENDED:
        return True
    outcome = Faulted(_error(run))
    end = await completion.prepare(keyring, IDENTITY_COLUMNS.record(run), outcome, now)
    end.columns["fence"] = RUNS.c.fence + 1
    await completion.close(session, keyring, end)
    await enqueue(session, OutboxKind.CANCEL, run.id)
    return True


def _error(run: Any) -> dict[str, JSON]:
    limit = iso(int((run.timeout_seconds or 0) * 1000))
    if run.holder is not None:
        state = "its worker was still carrying it out"
    elif run.started_at is not None:
        state = f"the worker of {run.team} that had it is gone, and no other has taken it"
    else:
        state = f"no worker of {run.team} has taken it"
    return {
        "type": type_of("timeout"),
        "status": STATUSES["timeout"],
        "title": "The local flow did not end within its timeout",
        "detail": f"The timeout of {run.flow}@{run.version} is {limit} from the request; {state}.",
    }
