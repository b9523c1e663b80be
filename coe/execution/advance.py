"""Advance a central run: replay its journal, then turn after turn, until it parks or ends.

An engine calls `advance` in one of its workers. It may be called by anyone and many times at once:
the lease lets one of them go on, and the journal lets only that one write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from coe.errors import Unavailable
from coe.events.delivery import catch_up
from coe.execution.leaf_tasks import LeafTasks, TaskRunner, internal_fault, run_inline
from coe.execution.replay import first_fact, replay
from coe.execution.runtime import HeldRun, Runtime
from coe.execution.turn import (
    ActiveRun,
    Turn,
    add_steps,
    prepare_turn,
    run_turn,
    write_steps,
    write_turn,
)
from coe.machine.commands import Cancelled, Completed, Faulted, RunLeaf, RunOutcome, StartChild
from coe.machine.facts import Fact, FactKind
from coe.outbox import OutboxKind, enqueue
from coe.runs import completion, inbox, leases
from coe.runs.inbox import Arrived
from coe.runs.journal import Append, LeaseLostError, Taking
from coe.runs.leases import Lease, Parking
from coe.runs.models import RunState

FIRST_TURN_SECONDS: Final = 2.0
"""For the first turn of a run that nobody holds yet: well before the engine is asked again."""
COMMIT_SECONDS: Final = 5.0
"""For a commit that is under way when the run is stopped."""
RETRY_PAUSE: Final = timedelta(seconds=2)
"""How long a run rests whose holder failed, before another holder tries."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parked:
    """No leaf is running: the run waits, at most until then (None: until something arrives)."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class Finished:
    """The run has ended."""

    state: RunState


@dataclass(frozen=True, slots=True)
class LostLease:
    """Another holder has the run: leave it alone."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """This process is to end: have the run carried on by another one."""


Advanced = Parked | Finished | LostLease | HandedOver


async def advance(runtime: Runtime, run_id: UUID, *, run_task: TaskRunner = run_inline) -> Advanced:
    """Carry a central run on, as far as it goes now; `run_task` runs its leaves.

    Raises:
        NotFound: There is no such central run.
        Unavailable: The database failed. The run goes on, here or elsewhere, after a pause.
    """
    if runtime.draining:
        return HandedOver()
    lease = await _acquire(runtime, run_id)
    if not isinstance(lease, Lease):
        return lease
    execution = _Execution(runtime, lease, run_task)
    try:
        if not lease.taken:
            failed = await execution.start()
            if failed is not None:
                return failed
        async with runtime.hold(execution.lease) as held:
            return await execution.carry_on(held)
    except LeaseLostError:
        return LostLease()
    except asyncio.CancelledError:
        await asyncio.shield(_release(runtime, execution.lease, at_once=True))
        raise
    except (SQLAlchemyError, OSError, Unavailable) as error:
        _log.warning("run %s was interrupted: %s", run_id, type(error).__name__)
        await _release(runtime, execution.lease, at_once=False)
        raise Unavailable from None


class _Execution:
    """One holder's work on one run."""

    def __init__(self, runtime: Runtime, lease: Lease, run_task: TaskRunner) -> None:
        self._runtime = runtime
        self._platform = runtime.platform
        self.lease = lease
        self._held = HeldRun(lease)
        self._active: ActiveRun | None = None
        self._leaves = LeafTasks(runtime, run_task, self._wake)
        self._alarm: asyncio.TimerHandle | None = None
        self._quiet_since = self._platform.clock()

    async def start(self) -> Advanced | None:
        """Start a run that has no journal: its first turn takes it. Returns its end if that faults.

        Nothing happened outside when this fails, and a holder who loses the run to another has
        written nothing. A first turn that takes long is dropped; the holder takes the run, then
        tries again.
        """
        try:
            async with asyncio.timeout(FIRST_TURN_SECONDS):
                active = await self._open()
                turn = await prepare_turn(active, [await self._first_fact(active)])
        except TimeoutError:
            await self._take()
            return None
        except (LeaseLostError, Unavailable, SQLAlchemyError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  # as in `carry_on`
            return await self._fault(error)
        turn.append.taking = self._taking()
        return await self._write_first(active, turn)

    async def _write_first(self, active: ActiveRun, turn: Turn) -> Advanced | None:
        """Write the first turn. If this is stopped meanwhile, find out first whether it was."""
        writing = asyncio.ensure_future(write_turn(active, turn))
        writing.add_done_callback(_retrieve)
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing}, timeout=COMMIT_SECONDS)
            if writing.done() and writing.exception() is None:
                self._has_taken(active)
            raise
        except (LeaseLostError, Unavailable, SQLAlchemyError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  # as in `carry_on`
            return await self._fault(error)
        self._has_taken(active)
        return None

    def _has_taken(self, active: ActiveRun) -> None:
        self.lease = active.lease = replace(self.lease, taken=True)
        self._active = active

    async def _take(self) -> None:
        """Take a run without its first facts."""
        seconds = self._platform.settings.lease_seconds
        direct, holder = self._runtime.direct, self.lease.holder
        lease = await leases.acquire(direct, self.lease.run_id, holder=holder, seconds=seconds)
        if lease is None:
            raise LeaseLostError(str(self.lease.run_id))
        self.lease = lease

    async def carry_on(self, held: HeldRun) -> Advanced:
        """Carry on a run that is held, until it parks or ends."""
        self._held = held
        try:
            active = self._active or await self._open()
            self._active = active
            if active.position == 0:
                await run_turn(active, [await self._first_fact(active)])
            if active.finished is None and active.machine.event_types != frozenset():
                await catch_up(self._platform, active.run.id)
            self._start(each for each in active.pending.values() if isinstance(each, RunLeaf))
            return await self._turn_until_rest(active)
        except (LeaseLostError, Unavailable, SQLAlchemyError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  # the platform's own: the run faults, and can be retried
            return await self._fault(error)
        finally:
            if self._alarm is not None:
                self._alarm.cancel()
            await self._leaves.close()

    async def _first_fact(self, active: ActiveRun) -> Fact:
        definition = await self._runtime.definition(active.run.version_id)
        return await first_fact(self._platform, active.lease, definition)

    async def _open(self) -> ActiveRun:
        definition = await self._runtime.definition(self.lease.run.version_id)
        return await replay(self._runtime, self.lease, definition)

    def _taking(self) -> Taking | None:
        """What makes an append take the run, if the run is not yet taken."""
        if self.lease.taken:
            return None
        return Taking(self.lease.holder, self._platform.settings.lease_seconds)

    def _wake(self) -> None:
        self._held.changed.set()

    async def _turn_until_rest(self, active: ActiveRun) -> Advanced:
        while active.finished is None:
            if self._held.lost:
                raise LeaseLostError(str(active.run.id))
            arrived = await self._arrived(active)
            facts = [*self._leaves.finished(), *self._due_timers(active)]
            if arrived or facts:
                await self._turn(active, facts, arrived)
            elif active.machine.outcome is not None:
                return await self._close(active.machine.outcome)
            elif self._runtime.draining and not self._leaves:
                return await self._hand_over(active)
            elif self._may_park(active) and await self._park(active):
                return Parked(await self._next_timer(active))
            elif self._steps_due(active):
                await write_steps(active)
            else:
                await self._wait(active)
        return Finished(_state_of(active.finished))

    async def _arrived(self, active: ActiveRun) -> list[Arrived]:
        if not self._held.news:
            return []
        self._held.news = False
        keyring, run = self._platform.keyring, active.run
        direct, database = self._runtime.direct, self._platform.database
        return await inbox.take(direct, database, keyring, run.id, run.team)

    def _due_timers(self, active: ActiveRun) -> list[Fact]:
        now = self._platform.clock()
        return [Fact(FactKind.TIMER_FIRED, now, key) for key in active.timers.take_due(now)]

    async def _turn(self, active: ActiveRun, facts: list[Fact], arrived: list[Arrived]) -> None:
        effects = await run_turn(active, facts, arrived=arrived)
        await self._leaves.stop(effects.stopped)
        self._start(effects.leaves)
        self._quiet_since = self._platform.clock()

    def _start(self, leaves: Iterable[RunLeaf]) -> None:
        """Start leaves, unless this process is to end: then whoever carries on the run does."""
        if not self._runtime.draining:
            self._leaves.start(leaves)

    async def _hand_over(self, active: ActiveRun) -> Advanced:
        if active.projection:
            await write_steps(active)
        await _release(self._runtime, active.lease, at_once=True)
        return HandedOver()

    def _steps_due(self, active: ActiveRun) -> bool:
        """Whether it is time to write the steps that were held back."""
        due = active.projection.due()
        return due is not None and due <= asyncio.get_running_loop().time()

    # ------------------------------------------------------------------ rest

    def _may_park(self, active: ActiveRun) -> bool:
        """Whether no leaf is running, and nothing is expected within a few seconds."""
        if self._leaves:
            return False
        linger = timedelta(seconds=self._platform.settings.linger_seconds)
        now = self._platform.clock()
        due = active.timers.next_due()
        if due is not None and due - now <= linger:
            return False
        awaits_child = any(isinstance(each, StartChild) for each in active.pending.values())
        return not awaits_child or now - self._quiet_since >= linger

    async def _park(self, active: ActiveRun) -> bool:
        if active.projection:
            await write_steps(active)
        async with self._platform.database.session() as session:
            parked = await leases.park(session, active.lease)
            if parked is Parking.PARKED:
                await active.timers.store(session, active.run.id)
            await session.commit()
        if parked is Parking.LOST:
            raise LeaseLostError(str(active.run.id))
        self._held.news = True
        return parked is Parking.PARKED

    async def _next_timer(self, active: ActiveRun) -> datetime | None:
        async with self._platform.database.session() as session:
            return await leases.next_timer(session, active.run.id)

    async def _wait(self, active: ActiveRun) -> None:
        """Wait until a leaf ends, something arrives, a timer is due, or it is time to park."""
        now = self._platform.clock()
        linger = timedelta(seconds=self._platform.settings.linger_seconds)
        ends = [each for each in (active.timers.next_due(),) if each is not None]
        if not self._leaves and self._quiet_since + linger > now:
            ends.append(self._quiet_since + linger)
        if self._held.news or self._leaves.any_done:
            return
        loop_now = asyncio.get_running_loop().time()
        if ends:
            self._wake_at(loop_now + max((min(ends) - now).total_seconds(), 0.0))
        if (due := active.projection.due()) is not None:
            self._wake_at(due)
        await self._held.changed.wait()
        self._held.changed.clear()

    def _wake_at(self, when: float) -> None:
        """Wake the loop then; an alarm that is set for an earlier time stays, and is harmless."""
        if self._alarm is not None:
            if self._alarm.when() <= when:
                return
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_at(when, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._wake()

    # ------------------------------------------------------------------ ends without a turn

    async def _fault(self, error: Exception) -> Advanced:
        """Fault the run because of an error of the platform; it can be retried."""
        return await self._close(Faulted(internal_fault(error, f"run {self.lease.run_id}")))

    async def _close(self, outcome: RunOutcome) -> Advanced:
        """End the run with no new fact: also one that was opened for a retry that did not come."""
        run, keyring = self.lease.run, self._platform.keyring
        at, times = self._platform.clock(), None
        if self._active is not None:
            at, times = self._active.times_until(at)
        end = await completion.prepare(keyring, run, outcome, at, times)

        async def close(session: AsyncSession) -> None:
            await completion.close(session, keyring, end)

        position = self._active.position if self._active else self.lease.position
        append = Append(run.id, self.lease.fence, position, changes=[close], taking=self._taking())
        if self._active is not None:
            await add_steps(self._active, append, self._active.projection.held())
        await self._runtime.journal.append(append)
        return Finished(_state_of(outcome))


def _retrieve(done: asyncio.Future[Any]) -> None:
    """Take the error of a commit that nobody waits for any more: the lease will expire."""
    if not done.cancelled():
        done.exception()


def _state_of(outcome: RunOutcome) -> RunState:
    match outcome:
        case Completed():
            return RunState.COMPLETED
        case Faulted():
            return RunState.FAULTED
        case Cancelled():
            return RunState.CANCELLED


async def _acquire(runtime: Runtime, run_id: UUID) -> Lease | Advanced:
    """Take a run; or prepare to take it with its first facts, which saves a commit."""
    holder, seconds = runtime.holder, runtime.platform.settings.lease_seconds
    try:
        lease = await leases.next_lease(runtime.direct, run_id, holder=holder)
        if isinstance(lease, Lease) and lease.position > 0:
            lease = await leases.acquire(runtime.direct, run_id, holder=holder, seconds=seconds)
    except (SQLAlchemyError, OSError):
        raise Unavailable from None
    if isinstance(lease, RunState):
        return Finished(lease)
    return lease or LostLease()


async def _release(runtime: Runtime, lease: Lease, *, at_once: bool) -> None:
    """Give the run up; if the database does not answer, the lease expires by itself."""
    platform = runtime.platform
    try:
        async with platform.database.session() as session:
            after = timedelta() if at_once else RETRY_PAUSE
            if await leases.release(session, lease, after=after) and at_once:
                await enqueue(session, OutboxKind.WAKE, lease.run_id)
            await session.commit()
    except (SQLAlchemyError, OSError) as error:
        _log.warning("run %s was not released: %s", lease.run_id, type(error).__name__)
