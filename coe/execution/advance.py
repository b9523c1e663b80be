"""Carrying out a central run: fold its journal, then turn after turn, until it parks or ends.

An engine calls `advance` in one of its workers. Whoever calls it, and however often at once: the
lease lets one go on, and the journal lets only that one write.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from coe.errors import Unavailable
from coe.events.delivery import catch_up
from coe.execution.leaf_tasks import Carry, InFlight, StepFailedError, internal_fault, straight
from coe.execution.replay import replay, started
from coe.execution.runtime import Held, Runtime
from coe.execution.turn import ActiveRun, Turn, keep_turn, prepare_turn, take_turn, tell, tell_all
from coe.machine.commands import Cancelled, Completed, Faulted, RunLeaf, RunOutcome, StartChild
from coe.machine.facts import Fact, FactKind
from coe.outbox import OutboxKind, enqueue
from coe.runs import completion, inbox, leases
from coe.runs.inbox import Arrived
from coe.runs.journal import Append, LeaseLostError, Taking
from coe.runs.leases import Lease, Parking
from coe.runs.models import RunState

__all__ = ["Carry", "Finished", "LostLease", "Parked", "StepFailedError", "advance", "straight"]

BEGINS_WITHIN: Final = 2.0
"""Seconds for the first turn of a run that nobody holds yet: long before anybody asks again."""
PATIENCE: Final = 5.0
"""Seconds that a commit gets when the run is stopped meanwhile."""
PAUSE: Final = timedelta(seconds=2)
"""How long a run rests whose holder failed, before another holder tries."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parked:
    """Nothing is in flight: the run waits, at most until then (None: until something arrives)."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class Finished:
    """The run has ended."""

    state: RunState


@dataclass(frozen=True, slots=True)
class LostLease:
    """Another holds the run: leave it alone."""


Advanced = Parked | Finished | LostLease


async def advance(runtime: Runtime, run_id: UUID, *, carry: Carry = straight) -> Advanced:
    """Carry a central run on, as far as it goes now.

    Raises:
        NotFound: There is no such central run.
        Unavailable: The database failed. The run goes on, here or elsewhere, after a pause.
    """
    lease = await _acquire(runtime, run_id)
    if not isinstance(lease, Lease):
        return lease
    execution = _Execution(runtime, lease, carry)
    try:
        if not lease.taken:
            broken = await execution.begin()
            if broken is not None:
                return broken
        async with runtime.hold(execution.lease) as held:
            return await execution.go(held)
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

    def __init__(self, runtime: Runtime, lease: Lease, carry: Carry) -> None:
        self._runtime = runtime
        self._platform = runtime.platform
        self.lease = lease
        self._held = Held(lease)
        self._active: ActiveRun | None = None
        self._leaves = InFlight(runtime, carry, self._tell)
        self._alarm: asyncio.TimerHandle | None = None
        self._quiet_since = self._platform.clock()

    async def begin(self) -> Advanced | None:
        """Begin a run that has no journal: its first facts take it. Gives its end if that breaks.

        Nothing was done in the world when this fails; who lost it to another has written nothing. A
        first turn that takes long is left, and taken again by who holds the run.
        """
        try:
            async with asyncio.timeout(BEGINS_WITHIN):
                active = await self._open()
                turn = await prepare_turn(active, [await self._first(active)])
        except TimeoutError:
            await self._take()
            return None
        except (LeaseLostError, Unavailable, SQLAlchemyError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  # as in `go`
            return await self._break(error)
        turn.append.taking = self._taking()
        return await self._begun(active, turn)

    async def _begun(self, active: ActiveRun, turn: Turn) -> Advanced | None:
        """Write the first turn. Who stops this meanwhile learns first what came of it."""
        keeping = asyncio.ensure_future(keep_turn(active, turn))
        keeping.add_done_callback(_look_at)
        try:
            await asyncio.shield(keeping)
        except asyncio.CancelledError:
            await asyncio.wait({keeping}, timeout=PATIENCE)
            if keeping.done() and keeping.exception() is None:
                self._took(active)
            raise
        except (LeaseLostError, Unavailable, SQLAlchemyError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  # as in `go`
            return await self._break(error)
        self._took(active)
        return None

    def _took(self, active: ActiveRun) -> None:
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

    async def go(self, held: Held) -> Advanced:
        """Go on with a run that is held, until it parks or ends."""
        self._held = held
        try:
            active = self._active or await self._open()
            self._active = active
            if active.position == 0:
                await take_turn(active, [await self._first(active)])
            if active.finished is None and active.machine.event_types != frozenset():
                await catch_up(self._platform, active.run.id)
            self._leaves.begin(each for each in active.wanted.values() if isinstance(each, RunLeaf))
            return await self._until_it_rests(active)
        except (LeaseLostError, Unavailable, SQLAlchemyError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  # ours to mend: the run shows it, and can be retried
            return await self._break(error)
        finally:
            if self._alarm is not None:
                self._alarm.cancel()
            await self._leaves.close()

    async def _first(self, active: ActiveRun) -> Fact:
        definition = await self._runtime.definition(active.run.version_id)
        return await started(self._platform, active.lease, definition)

    async def _open(self) -> ActiveRun:
        definition = await self._runtime.definition(self.lease.run.version_id)
        return await replay(self._runtime, self.lease, definition)

    def _taking(self) -> Taking | None:
        """What an append says that takes the run, if it is not yet taken."""
        if self.lease.taken:
            return None
        return Taking(self.lease.holder, self._platform.settings.lease_seconds)

    def _tell(self) -> None:
        self._held.changed.set()

    async def _until_it_rests(self, active: ActiveRun) -> Advanced:
        while active.finished is None:
            if self._held.lost:
                raise LeaseLostError(str(active.run.id))
            arrived = await self._news(active)
            facts = [*self._leaves.finished(), *self._due_timers(active)]
            if arrived or facts:
                await self._turn(active, facts, arrived)
            elif active.machine.outcome is not None:
                return await self._close(active.machine.outcome)
            elif self._may_park(active) and await self._park(active):
                return Parked(await self._next_timer(active))
            elif self._overdue(active):
                await tell(active)
            else:
                await self._wait(active)
        return Finished(_state_of(active.finished))

    async def _news(self, active: ActiveRun) -> list[Arrived]:
        if not self._held.news:
            return []
        self._held.news = False
        keyring, run = self._platform.keyring, active.run
        direct, database = self._runtime.direct, self._platform.database
        return await inbox.take(direct, database, keyring, run.id, run.team)

    def _due_timers(self, active: ActiveRun) -> list[Fact]:
        now = self._platform.clock()
        return [Fact(FactKind.TIMER_FIRED, now, key) for key in active.timers.take_due(now)]

    async def _turn(
        self,
        active: ActiveRun,
        facts: list[Fact],
        arrived: list[Arrived] | None = None,
    ) -> None:
        followed = await take_turn(active, facts, arrived=arrived or ())
        await self._leaves.stop(followed.stopped)
        self._leaves.begin(followed.leaves)
        self._quiet_since = self._platform.clock()

    def _overdue(self, active: ActiveRun) -> bool:
        """Whether what was held back of the steps is to be told."""
        due = active.telling.due()
        return due is not None and due <= asyncio.get_running_loop().time()

    # ------------------------------------------------------------------ rest

    def _may_park(self, active: ActiveRun) -> bool:
        """Whether nothing is in flight, and nothing is expected within a few seconds."""
        if self._leaves:
            return False
        linger = timedelta(seconds=self._platform.settings.linger_seconds)
        now = self._platform.clock()
        due = active.timers.next_due()
        if due is not None and due - now <= linger:
            return False
        awaits_child = any(isinstance(each, StartChild) for each in active.wanted.values())
        return not awaits_child or now - self._quiet_since >= linger

    async def _park(self, active: ActiveRun) -> bool:
        if active.telling:
            await tell(active)
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
        """Until a leaf is done, something arrives, a timer is due, or it is time to park."""
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
        if (due := active.telling.due()) is not None:
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
        self._tell()

    # ------------------------------------------------------------------ ends without a turn

    async def _break(self, error: Exception) -> Advanced:
        """Fault the run because of an error of ours; it can be retried."""
        return await self._close(Faulted(internal_fault(error, f"run {self.lease.run_id}")))

    async def _close(self, outcome: RunOutcome) -> Advanced:
        """End the run with no new fact: also where it was opened for a retry that did not come."""
        run = self.lease.run
        keyring = self._platform.keyring
        ending = await completion.prepare(keyring, run, outcome, self._platform.clock())

        async def close(session: AsyncSession) -> None:
            await completion.close(session, keyring, ending)

        position = self._active.position if self._active else self.lease.position
        append = Append(run.id, self.lease.fence, position, changes=[close], taking=self._taking())
        if self._active is not None:
            await tell_all(self._active, append, self._active.telling.all())
        await self._runtime.journal.append(append)
        return Finished(_state_of(outcome))


def _look_at(done: asyncio.Future[Any]) -> None:
    """What a commit came to that nobody waits for any more is no news: the lease runs out."""
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
    """Take a run, or prepare to take it with its first facts, in which case one commit is saved."""
    holder, seconds = runtime.holder, runtime.platform.settings.lease_seconds
    try:
        lease = await leases.prepare(runtime.direct, run_id, holder=holder)
        if isinstance(lease, Lease) and lease.position > 0:
            lease = await leases.acquire(runtime.direct, run_id, holder=holder, seconds=seconds)
    except (SQLAlchemyError, OSError):
        raise Unavailable from None
    if isinstance(lease, RunState):
        return Finished(lease)
    return lease or LostLease()


async def _release(runtime: Runtime, lease: Lease, *, at_once: bool) -> None:
    """Give the run up; if the database does not answer, the lease runs out by itself."""
    platform = runtime.platform
    try:
        async with platform.database.session() as session:
            after = timedelta() if at_once else PAUSE
            if await leases.release(session, lease, after=after) and at_once:
                await enqueue(session, OutboxKind.WAKE, lease.run_id)
            await session.commit()
    except (SQLAlchemyError, OSError) as error:
        _log.warning("run %s was not released: %s", lease.run_id, type(error).__name__)
