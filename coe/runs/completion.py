"""Complete a run: write its state and output, delete what it no longer needs, notify its caller.

A central run is completed by its machine, a local run by the report of its team, and any run by a
cancellation. The caller makes sure that it alone may complete the run: by the fence, or by a lock
on its row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.events import AuditOutcome, Tag
from coe.audit.log import NewEvent, append, clear_columns, with_code
from coe.crypto.keys import Keyring
from coe.crypto.mac import MacKeys
from coe.json_types import JSON
from coe.machine.commands import (
    Cancelled,
    Completed,
    Faulted,
    Phase,
    RunOutcome,
    StepState,
    StepTimes,
)
from coe.machine.errors import type_of
from coe.machine.facts import Fact, FactKind
from coe.runs import inbox
from coe.runs.audit import run_event
from coe.runs.counting import count_end_at_commit
from coe.runs.event_subscriptions import unsubscribe
from coe.runs.journal import End
from coe.runs.models import RunState
from coe.runs.records import RunIdentity
from coe.runs.sealing import TeamSealer, error_columns
from coe.runs.step_times import LOCAL_TIMES, RunTimes, local_waits, waits_of
from coe.runs.tables import INBOX, RUNS, STEPS, TASKS, TIMERS
from coe.runs.task_holders import end_holding
from coe.runs.task_models import OPEN_TASK_STATES, HumanTaskState


@dataclass(frozen=True, slots=True)
class Completion:
    """How a run ends, with the columns of its row: sealed before the transaction."""

    run: RunIdentity
    outcome: RunOutcome
    at: datetime
    columns: dict[str, Any]
    times: dict[str, JSON] | None = None


async def prepare(
    keyring: Keyring,
    run: RunIdentity,
    outcome: RunOutcome,
    at: datetime,
    times: RunTimes | None = None,
) -> Completion:
    """Seal the output or the error, for `close` or `plain_end`.

    `times` are those of a central run, if they are known.
    """
    sealer = TeamSealer(keyring, run.team)
    columns: dict[str, Any] = {"ended_at": at, "holder": None, "lease_until": None}
    if times is not None:
        columns |= times.columns()
    match outcome:
        case Completed(output):
            columns |= error_columns(None) | {
                "state": RunState.COMPLETED,
                "output_sealed": await sealer.seal(RUNS, run.id, "output", output),
                "error_sealed": None,
            }
        case Faulted(error):
            columns |= error_columns(error) | {
                "state": RunState.FAULTED,
                "error_sealed": await sealer.seal(RUNS, run.id, "error", dict(error)),
            }
        case Cancelled():
            columns |= {"state": RunState.CANCELLED}
    return Completion(run, outcome, at, columns, times.json() if times else None)


def plain_end(keys: MacKeys, end: Completion) -> End | None:
    """The end as part of an append, for a run that completed and that no other run waits for.

    The caller knows that the run has no open task and no subscription.
    """
    run = end.run
    if not isinstance(end.outcome, Completed) or run.parent_id is not None:
        return None
    waits = end.columns.get("waits")
    given = {
        "waits": None if waits is None else orjson.dumps(waits).decode(),
        "held_seconds": end.columns.get("held_seconds"),
    }
    return End(end.columns | given, with_code(keys, clear_columns(_event(end))))


async def close(session: AsyncSession, keyring: Keyring, end: Completion) -> None:
    """Write the end: the row, timers, inbox, open tasks, the fact for the caller, the event."""
    run = end.run
    if run.local:
        end = await _with_local_times(session, end)
    await session.execute(update(RUNS).where(RUNS.c.id == run.id).values(end.columns))
    await withdraw_tasks(session, keyring, run, end.at)
    await session.execute(delete(TIMERS).where(TIMERS.c.run_id == run.id))
    await session.execute(delete(INBOX).where(INBOX.c.run_id == run.id, *_obsolete(end)))
    if run.local:
        await _end_steps(session, run.id, end.at)
    else:
        faulted = isinstance(end.outcome, Faulted)
        await unsubscribe(session, run.id, for_good=not faulted)
    await _notify_parent(session, keyring, end)
    await append(session, keyring, _event(end))
    count_end_at_commit(session, run, end.columns["state"], end.at)


async def close_cancelled(
    session: AsyncSession, keyring: Keyring, run: RunIdentity, reason: str | None, at: datetime
) -> None:
    """Cancel a run that no machine cancels: a local one, or one that has not started.

    Reports of its worker are refused from now on.
    """
    end = await prepare(keyring, run, Cancelled(reason), at)
    end.columns["fence"] = RUNS.c.fence + 1
    await close(session, keyring, end)


def _obsolete(end: Completion) -> list[ColumnElement[bool]]:
    """Which facts of the inbox go: all; of a faulted run, which may be retried, cancellations."""
    faulted = isinstance(end.outcome, Faulted)
    return [INBOX.c.kind == FactKind.RUN_CANCELLED.value] if faulted else []


async def _with_local_times(session: AsyncSession, end: Completion) -> Completion:
    """The end of a local run with its times: it waits while it has no holder, else it works.

    It does not end before it began, whatever the clocks of two processes show.
    """
    found = await session.execute(select(*LOCAL_TIMES).where(RUNS.c.id == end.run.id))
    row = found.one()
    waits = local_waits(row, end.at)
    waited = timedelta(seconds=sum(waits.values()))
    at = max(end.at, row.requested_at + waited, row.started_at or row.requested_at)
    times = RunTimes(
        StepTimes(timedelta(), waits_of(waits), Phase.WORK, at), began=row.requested_at
    )
    columns = end.columns | times.columns() | {"ended_at": at}
    return replace(end, at=at, columns=columns, times=times.json())


async def _end_steps(session: AsyncSession, run_id: UUID, at: datetime) -> None:
    """Cancel the running steps of a local run; a central run projects its own steps."""
    ended = func.greatest(STEPS.c.changed_at, at)
    await session.execute(
        update(STEPS)
        .where(STEPS.c.run_id == run_id, STEPS.c.state == StepState.RUNNING)
        .values(state=StepState.CANCELLED, ended_at=ended, changed_at=ended, phase=None),
    )


async def withdraw_tasks(
    session: AsyncSession,
    keyring: Keyring,
    run: RunIdentity,
    at: datetime,
    *,
    key: str | None = None,
) -> None:
    """Cancel the open human tasks of a run, or the one with this key.

    A task is changed before its timer, everywhere: so no two transactions wait for each other.
    """
    mine = (
        TASKS.c.run_id == run.id
        if key is None
        else (TASKS.c.run_id == run.id) & (TASKS.c.key == key)
    )
    withdrawn = await session.execute(
        update(TASKS)
        .where(mine, TASKS.c.state.in_(OPEN_TASK_STATES))
        .values(state=HumanTaskState.CANCELLED, completed_at=at)
        .returning(TASKS.c.id),
    )
    tasks = withdrawn.scalars().all()
    if tasks:
        await end_holding(session, tasks, at)
    for task_id in tasks:
        resource = f"human_task:{task_id}"
        event = run_event(run, Tag.RUNS_HUMAN_TASK_CANCEL, at, resource=resource)
        await append(session, keyring, event)


async def _notify_parent(session: AsyncSession, keyring: Keyring, end: Completion) -> None:
    run = end.run
    if run.parent_id is None or run.parent_key is None:
        return
    kind, data = _answer(end.outcome)
    if end.times is not None:
        data["times"] = end.times
    await inbox.send(session, keyring, run.parent_id, Fact(kind, end.at, run.parent_key, data))


def _answer(outcome: RunOutcome) -> tuple[FactKind, dict[str, JSON]]:
    match outcome:
        case Completed(output):
            return FactKind.CHILD_COMPLETED, {"output": output}
        case Faulted(error):
            return FactKind.CHILD_FAULTED, {"error": dict(error)}
        case Cancelled():
            return FactKind.CHILD_FAULTED, {"error": CANCELLED_ERROR, "cancelled": True}


CANCELLED_ERROR: dict[str, JSON] = {
    "type": type_of("runtime"),
    "status": 500,
    "title": "The called run was cancelled",
}


def _event(end: Completion) -> NewEvent:
    match end.outcome:
        case Completed():
            return run_event(end.run, Tag.RUNS_RUN_COMPLETE, end.at)
        case Faulted(error):
            return run_event(
                end.run,
                Tag.RUNS_RUN_FAULT,
                end.at,
                outcome=AuditOutcome.FAILED,
                detail={"error": dict(error)},
            )
        case Cancelled(reason):
            return run_event(end.run, Tag.RUNS_RUN_CANCEL, end.at, reason=reason)
