"""The end of a run: its state and output, what it leaves behind, and who is told.

Central runs end here by their machine, local runs by the report of their team, any run by being
cancelled. The caller has made sure that it alone may end the run: by the fence, or by a lock on its
row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.events import AuditOutcome as Told
from coe.audit.events import Tag
from coe.audit.log import NewEvent, append, clear_columns
from coe.crypto.keys import Keyring
from coe.json_types import JSON
from coe.machine.commands import Cancelled, Completed, Faulted, RunOutcome, StepState
from coe.machine.errors import type_of
from coe.machine.facts import Fact, FactKind
from coe.runs import inbox
from coe.runs.audit import run_event
from coe.runs.event_subscriptions import unsubscribe
from coe.runs.journal import End
from coe.runs.models import RunState
from coe.runs.records import RunIdentity
from coe.runs.sealing import Sealer, error_columns
from coe.runs.tables import INBOX, RUNS, STEPS, TASKS, TIMERS
from coe.runs.task_models import HumanTaskState

OPEN_TASKS = (HumanTaskState.OPEN, HumanTaskState.CLAIMED, HumanTaskState.ESCALATED)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends, with the row's columns ready: sealing is done before the transaction."""

    run: RunIdentity
    outcome: RunOutcome
    at: datetime
    columns: dict[str, Any]


async def prepare(keyring: Keyring, run: RunIdentity, outcome: RunOutcome, at: datetime) -> Ending:
    """Seal what an ending holds."""
    sealer = Sealer(keyring, run.team)
    columns: dict[str, Any] = {"ended_at": at, "holder": None, "lease_until": None}
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
    return Ending(run, outcome, at, columns)


def plain(ending: Ending) -> End | None:
    """The end as part of an append, for a run that completed and that no other run waits for.

    The caller knows that it leaves no open task and no subscription behind.
    """
    run = ending.run
    if not isinstance(ending.outcome, Completed) or run.parent_id is not None:
        return None
    return End(ending.columns, clear_columns(_event(ending)))


async def close(session: AsyncSession, keyring: Keyring, ending: Ending) -> None:
    """Write the end: the row, its timers, inbox and open tasks, the parent's fact, the event."""
    run = ending.run
    await session.execute(update(RUNS).where(RUNS.c.id == run.id).values(ending.columns))
    await withdraw_tasks(session, keyring, run, ending.at)
    await session.execute(delete(TIMERS).where(TIMERS.c.run_id == run.id))
    await session.execute(delete(INBOX).where(INBOX.c.run_id == run.id, *_of_no_use(ending)))
    if run.local:
        await _end_steps(session, run.id, ending.at)
    else:
        faulted = isinstance(ending.outcome, Faulted)
        await unsubscribe(session, run.id, for_good=not faulted)
    await _tell_parent(session, keyring, ending)
    await append(session, keyring, _event(ending))


def _of_no_use(ending: Ending) -> list[ColumnElement[bool]]:
    """What of the inbox goes: all, but of a faulted run (it may be retried) only cancellations."""
    faulted = isinstance(ending.outcome, Faulted)
    return [INBOX.c.kind == FactKind.RUN_CANCELLED.value] if faulted else []


async def _end_steps(session: AsyncSession, run_id: UUID, at: datetime) -> None:
    """Steps that a team's code had begun do not go on; a machine tells of its own steps itself."""
    await session.execute(
        update(STEPS)
        .where(STEPS.c.run_id == run_id, STEPS.c.state == StepState.RUNNING)
        .values(state=StepState.CANCELLED, ended_at=at, changed_at=at),
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

    Wherever both are changed, a task comes before its timer: so no two wait for each other.
    """
    mine = (
        TASKS.c.run_id == run.id
        if key is None
        else (TASKS.c.run_id == run.id) & (TASKS.c.key == key)
    )
    withdrawn = await session.execute(
        update(TASKS)
        .where(mine, TASKS.c.state.in_(OPEN_TASKS))
        .values(state=HumanTaskState.CANCELLED, completed_at=at)
        .returning(TASKS.c.id),
    )
    for task_id in withdrawn.scalars().all():
        resource = f"human_task:{task_id}"
        event = run_event(run, Tag.RUNS_HUMAN_TASK_CANCEL, at, resource=resource)
        await append(session, keyring, event)


async def _tell_parent(session: AsyncSession, keyring: Keyring, ending: Ending) -> None:
    run = ending.run
    if run.parent_id is None or run.parent_key is None:
        return
    kind, data = _answer(ending.outcome)
    await inbox.send(session, keyring, run.parent_id, Fact(kind, ending.at, run.parent_key, data))


def _answer(outcome: RunOutcome) -> tuple[FactKind, JSON]:
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


def _event(ending: Ending) -> NewEvent:
    match ending.outcome:
        case Completed():
            return run_event(ending.run, Tag.RUNS_RUN_COMPLETE, ending.at)
        case Faulted(error):
            return run_event(
                ending.run,
                Tag.RUNS_RUN_FAULT,
                ending.at,
                outcome=Told.FAILED,
                detail={"error": dict(error)},
            )
        case Cancelled(reason):
            return run_event(ending.run, Tag.RUNS_RUN_CANCEL, ending.at, reason=reason)
