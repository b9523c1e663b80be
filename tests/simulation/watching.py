"""What must be true of one commit: its fence, what leaves inboxes, timers, tasks of the ended."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from coe.runs.models import TimerKind
from tests.simulation.storage import Data, Transaction

if TYPE_CHECKING:
    from tests.simulation.world import World

OPEN = frozenset({"OPEN", "CLAIMED", "ESCALATED"})
OVERDUE = 45.0
"""Seconds after which a timer must have fired, or a run whose holder fell silent must have been
taken from it, if no fault happened for as long."""


def look(world: World, transaction: Transaction) -> None:
    """Judge a transaction that is about to be committed."""
    for run_id, given, fence in transaction.appended:
        if given != fence:
            world.fault(f"run {run_id} was written with fence {given}, its holder has {fence}")
    for row, relation in transaction.written.items():
        if row.data is None:
            continue
        if relation.name == "runs" and row.new is not None:
            if row.new["state"].ended and not row.data["state"].ended:
                _no_open_task(world, row.new["id"], transaction)
        elif row.new is None and relation.name == "run_inbox":
            _taken(world, row.data, transaction)
        elif row.new is None and relation.name == "timers":
            _fired(world, row.data, transaction)


def stored_timers(world: World, run_id: UUID, transaction: Transaction) -> frozenset[str]:
    """The timers of its machine that a run has in the database, at the end of a transaction."""
    timers = _rows(world, "timers", run_id, transaction)
    return frozenset(each["key"] for each in timers if each["kind"] is TimerKind.MACHINE)


def overdue(world: World) -> None:
    """Somebody fires what is due, and takes runs from the dead, once all has been well for a while.

    An engine that hands a run out twice may bring it to life too; nothing may rely on that.
    """
    if world.loop.time() - world.faults.disturbed_at < OVERDUE:
        return
    latest = world.clock() - timedelta(seconds=OVERDUE)
    for timer in world.rows("timers"):
        if timer["due_at"] < latest:
            world.fault(f"a timer of run {timer['run_id']} has been due since {timer['due_at']}")
    for run in world.rows("runs"):
        until = run["lease_until"]
        if until is not None and until < latest and not run["state"].ended:
            world.fault(f"run {run['id']} is left to {run['holder']}, silent since {until}")


def _no_open_task(world: World, run_id: UUID, transaction: Transaction) -> None:
    for task in _rows(world, "human_tasks", run_id, transaction):
        if task["state"].value in OPEN:
            world.fault(f"run {run_id} ends, and its task {task['id']} is open")


def _taken(world: World, row: Data, transaction: Transaction) -> None:
    """What leaves the inbox of a run that goes on, goes with an append of that run."""
    run_id = row["run_id"]
    if not _settled(world, run_id, transaction):
        world.fault(f"{row['kind']} leaves the inbox of run {run_id} and is not journaled")


def _fired(world: World, row: Data, transaction: Transaction) -> None:
    """The row of a timer goes in the transaction of what the timer causes."""
    run_id, key = row["run_id"], row["key"]
    if _settled(world, run_id, transaction) or row["kind"] is TimerKind.REMINDER:
        return
    if row["kind"] is TimerKind.MACHINE:
        inbox = _rows(world, "run_inbox", run_id, transaction)
        if not any(each["key"] == key for each in inbox):
            world.fault(f"a timer of run {run_id} was deleted without an effect")
        return
    left = [each["key"] for each in _rows(world, "timers", run_id, transaction)]
    for task in _rows(world, "human_tasks", run_id, transaction):
        if task["key"] == key and task["state"].value in OPEN and key not in left:
            world.fault(f"the timer of the open task {task['id']} is gone")


def _settled(world: World, run_id: UUID, transaction: Transaction) -> bool:
    """Whether this transaction is an append of the run, or the run has ended."""
    if any(run_id == appended for appended, *_ in transaction.appended):
        return True
    runs = world.server.store.relations["runs"].candidates("id", run_id)
    newest = [row.newest(transaction) for row in runs]
    return not any(run is not None and not run["state"].ended for run in newest)


def _rows(world: World, table: str, run_id: UUID, transaction: Transaction) -> list[Data]:
    rows = world.server.store.relations[table].candidates("run_id", run_id)
    newest = [row.newest(transaction) for row in rows]
    return [each for each in newest if each is not None and each["run_id"] == run_id]
