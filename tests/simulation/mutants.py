"""Seeded bugs: each removes one guarantee that runs rely on, and the simulation must find it.

A mutant is a function that changes the platform in the present process; run each in its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import delete, false

import coe.execution.advance
import coe.execution.dispatch
import coe.execution.due_timers
import coe.execution.loops
import coe.execution.replay
import coe.human_tasks.actions
import coe.machine.machine
import coe.runs.completion
import coe.runs.inbox
import coe.runs.leases
import coe.runs.step_projection
import coe.runs.visibility
from coe.errors import Unavailable
from coe.execution.advance import _Execution
from coe.execution.runtime import Runtime
from coe.machine.commands import ArmTimer
from coe.machine.facts import Fact, FactKind
from coe.outbox import OUTBOX
from coe.runs.journal import Journal
from coe.runs.models import TimerKind
from coe.runs.tables import INBOX, TIMERS
from coe.runs.timers import TimerQueue
from tests.simulation import raw

Mutant = Callable[[], None]
MUTANTS: Final[dict[str, Mutant]] = {}


def mutant(change: Mutant) -> Mutant:
    """Add a mutant to the list."""
    MUTANTS[change.__name__] = change
    return change


async def _nothing(*_: Any, **__: Any) -> Any:
    return None


# ---------------------------------------------------------------------- leases and the journal


@mutant
def append_without_fence() -> None:
    """A former holder of a run may still write."""
    raw.Bugs.matches_fence = False


@mutant
def lease_without_a_new_fence() -> None:
    """The next holder gets the fence of the last."""
    raw.Bugs.next_fence = 0


@mutant
def lease_of_a_living_holder() -> None:
    """A lease is taken though it has not expired."""
    raw.Bugs.leases_last = False


@mutant
def no_heartbeat() -> None:
    """Leases are not renewed."""
    Runtime.beat = _nothing  # type: ignore[method-assign]


@mutant
def leaf_before_commit() -> None:
    """The effects of a turn start before the turn is committed."""
    append = Journal.append

    async def soon(self: Journal, batch: Any) -> None:
        writing = asyncio.create_task(append(self, batch))
        writing.add_done_callback(lambda done: done.cancelled() or done.exception())

    Journal.append = soon  # type: ignore[method-assign]


@mutant
def failed_append_goes_on() -> None:
    """A failed commit is taken for a good one."""
    append = Journal.append

    async def hopeful(self: Journal, batch: Any) -> None:
        try:
            await append(self, batch)
        except Unavailable:
            return

    Journal.append = hopeful  # type: ignore[method-assign]


# ---------------------------------------------------------------------- the inbox


@mutant
def inbox_emptied_when_read() -> None:
    """Rows are deleted when they are read, not when their facts are journaled."""
    take = coe.runs.inbox.take

    async def empty(direct: Any, database: Any, keyring: Any, run_id: Any, team: str) -> Any:
        arrived = await take(direct, database, keyring, run_id, team)
        async with database.session() as session:
            ids = [each.id for each in arrived]
            await session.execute(delete(INBOX).where(INBOX.c.id.in_(ids)))
            await session.commit()
        return arrived

    coe.runs.inbox.take = empty


@mutant
def inbox_never_emptied() -> None:
    """Rows stay when their facts are journaled."""
    raw.Bugs.consumes = False


@mutant
def no_wake_after_sending() -> None:
    """Sending a fact enqueues no wake-up and notifies nobody."""
    coe.runs.inbox.enqueue = _nothing  # type: ignore[attr-defined]
    coe.runs.inbox.notify = _nothing


@mutant
def park_without_reading_the_inbox() -> None:
    """A run parks without a look at its inbox."""

    async def never(*_: Any, **__: Any) -> bool:
        return False

    coe.runs.leases.something_to_do = never
    coe.execution.dispatch.something_to_do = never  # type: ignore[attr-defined]


@mutant
def answer_not_sent() -> None:
    """A person's answer closes the task, but one in three does not reach the run."""
    send = coe.runs.inbox.send
    count = [0]

    async def forgetful(session: Any, keyring: Any, run_id: Any, fact: Any, **more: Any) -> bool:
        if fact.kind is FactKind.TASK_ANSWERED:
            count[0] += 1
            if count[0] % 3 == 0:
                return True
        return await send(session, keyring, run_id, fact, **more)

    coe.runs.inbox.send = forgetful


# ---------------------------------------------------------------------- timers


@mutant
def timer_gone_before_its_fact() -> None:
    """A timer is deleted in one transaction, and its effect written in another."""

    async def fire(platform: Any, session: Any, timer: Any) -> int:
        await session.execute(delete(TIMERS).where(TIMERS.c.id == timer.id))
        await session.commit()
        now = platform.clock()
        if timer.kind is TimerKind.TASK:
            await coe.execution.due_timers.opening.escalate_or_expire(
                session, platform.keyring, timer.run_id, timer.key, now
            )
        else:
            fact = Fact(FactKind.TIMER_FIRED, now, timer.key)
            await coe.execution.due_timers.inbox.send(session, platform.keyring, timer.run_id, fact)
        return 1

    coe.execution.due_timers._fire = fire


@mutant
def timers_of_the_dead_not_stored() -> None:
    """A run parks with only the timers that its present holder set."""
    inherit, store = TimerQueue.inherit, TimerQueue.store

    def inherits(self: TimerQueue, pending: Any) -> None:
        pending = list(pending)
        inherit(self, pending)
        self.inherited = {each.key for each in pending if isinstance(each, ArmTimer)}  # type: ignore[attr-defined]

    async def stores(self: TimerQueue, session: Any, run_id: Any) -> None:
        due = self._due
        inherited = getattr(self, "inherited", set())
        self._due = {key: at for key, at in due.items() if key not in inherited}
        await store(self, session, run_id)
        self._due = due

    TimerQueue.inherit, TimerQueue.store = inherits, stores  # type: ignore[method-assign]


@mutant
def no_timers() -> None:
    """Nobody fires the timers of runs that nobody holds."""

    async def none(_: Any) -> int:
        return 0

    coe.execution.loops.fire_due = none  # type: ignore[attr-defined]


# ---------------------------------------------------------------------- dispatch and the reaper


@mutant
def acknowledged_before_done() -> None:
    """A message is deleted first and handled then."""
    handle = coe.execution.dispatch._handle

    async def hasty(platform: Any, engine: Any, message: Any) -> None:
        async with platform.database.session() as session:
            await session.execute(delete(OUTBOX).where(OUTBOX.c.id == message.id))
            await session.commit()
        await handle(platform, engine, message)

    coe.execution.dispatch._handle = hasty
    coe.execution.dispatch._expect_start = _nothing


@mutant
def no_reaper() -> None:
    """Runs of the dead are left alone."""

    async def none(_: Any) -> int:
        return 0

    coe.execution.loops.reap_once = none  # type: ignore[attr-defined]


# ---------------------------------------------------------------------- ends


@mutant
def open_tasks_of_ended_runs() -> None:
    """A run that ends leaves its tasks open."""
    coe.runs.completion.withdraw_tasks = _nothing


@mutant
def approvers_not_excluded() -> None:
    """Whoever answered a task answers another of the process that excludes them."""
    coe.runs.visibility._has_answered_another = lambda _: false()


@mutant
def parent_not_notified() -> None:
    """A run that ends does not notify the run that called it."""
    coe.runs.completion._notify_parent = _nothing


@mutant
def spins_before_a_timer() -> None:
    """A run that lingered already does not sleep until its next timer, but asks all the time."""
    from datetime import timedelta  # noqa: PLC0415  # of this mutant alone

    wait = _Execution._wait

    async def impatient(self: Any, run: Any) -> None:
        linger = timedelta(seconds=self._platform.settings.linger_seconds)
        over = self._platform.clock() - self._quiet_since >= linger
        if over and not self._leaves and not self._held.news:
            await asyncio.sleep(0)
            return
        await wait(self, run)

    _Execution._wait = impatient  # type: ignore[method-assign]


@mutant
def no_tidying() -> None:
    """Facts that arrive too late for a run stay in its inbox."""
    coe.execution.loops.tidy_once = _nothing  # type: ignore[attr-defined]


@mutant
def no_sweep() -> None:
    """What a dead worker left running in the engine stays so."""
    coe.execution.loops.sweep_once = _nothing  # type: ignore[attr-defined]


# ---------------------------------------------------------------------- what people see


@mutant
def steps_of_a_dead_holder_not_written() -> None:
    """Whoever takes a run over assumes that all its steps are written."""
    replay = coe.execution.replay.replay

    async def replayed(*given: Any) -> Any:
        active = await replay(*given)
        active.projection.clear()
        return active

    coe.execution.advance.replay = replayed  # type: ignore[attr-defined]  # the seam


@mutant
def last_steps_not_written() -> None:
    """The steps held back are dropped when the run ends or parks."""

    def nothing(*_: Any) -> list[Any]:
        return []

    coe.runs.step_projection.StepProjection.held = nothing  # type: ignore[method-assign]


@mutant
def clock_of_a_run_goes_back() -> None:
    """Each fact happens at the time that the clock of its witness showed."""
    coe.machine.machine.max = lambda _, at: at  # type: ignore[attr-defined]


@mutant
def waits_not_written() -> None:
    """The rows of steps do not say for what they waited."""
    project = coe.runs.step_projection.time_columns

    def columns(times: Any, *, ended: bool) -> dict[str, Any]:
        return project(times, ended=ended) | {"waits": None}

    coe.runs.step_projection.time_columns = columns  # type: ignore[attr-defined]
