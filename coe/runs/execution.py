"""Carrying out a central run: fold its journal, then turn after turn, until it parks or ends.

An engine calls `advance` in one of its workers. Whoever calls it, and however often at once: the
lease lets one go on, and the journal lets only that one write.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from coe.errors import NotFound, Unavailable
from coe.outbox import enqueue
from coe.runs import endings, inbox, leases
from coe.runs.commands import Cancelled, Completed, Faulted, Outcome, RunLeaf, StartChild
from coe.runs.endings import head_of
from coe.runs.events_delivery import catch_up
from coe.runs.facts import Fact, FactKind
from coe.runs.folding import fold, started
from coe.runs.in_flight import Carry, InFlight, StepFailedError, internal_fault, straight
from coe.runs.inbox import Arrived
from coe.runs.journal import Append, LeaseLostError
from coe.runs.leases import ENDED, Lease, Parking
from coe.runs.models import RunState
from coe.runs.runtime import Held, Runtime
from coe.runs.tables import RUNS
from coe.runs.turns import RunInHand, take_turn

__all__ = ["Carry", "Finished", "LostLease", "Parked", "StepFailedError", "advance", "straight"]

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
    taken = await _acquire(runtime, run_id)
    if not isinstance(taken, Lease):
        return taken
    try:
        async with runtime.hold(taken) as held:
            return await _Execution(runtime, held, carry).go()
    except LeaseLostError:
        return LostLease()
    except asyncio.CancelledError:
        await asyncio.shield(_release(runtime, taken, at_once=True))
        raise
    except (SQLAlchemyError, OSError, Unavailable) as error:
        _log.warning("run %s was interrupted: %s", run_id, type(error).__name__)
        await _release(runtime, taken, at_once=False)
        raise Unavailable from None


class _Execution:
    """One holder's work on one run."""

    def __init__(self, runtime: Runtime, held: Held, carry: Carry) -> None:
        self._runtime = runtime
        self._platform = runtime.platform
        self._held = held
        self._run: RunInHand | None = None
        self._leaves = InFlight(runtime, carry, held.changed.set)
        self._quiet_since = self._platform.clock()

    async def go(self) -> Advanced:
        try:
            run = self._run = await self._open()
            if run.position == 0:
                definition = await self._runtime.definition(run.head.version_id)
                await self._turn(run, [await started(self._platform, run.lease, definition)])
            self._leaves.begin(each for each in run.wanted.values() if isinstance(each, RunLeaf))
            return await self._until_it_rests(run)
        except (LeaseLostError, Unavailable, SQLAlchemyError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  # ours to mend: the run shows it, and can be retried
            return await self._break(error)
        finally:
            await self._leaves.close()

    async def _open(self) -> RunInHand:
        run = head_of(self._held.lease.run)
        definition = await self._runtime.definition(run.version_id)
        hand = await fold(self._runtime, run, self._held.lease, definition)
        if hand.machine.event_types != frozenset():
            await catch_up(self._platform, run.id)
        return hand

    async def _until_it_rests(self, run: RunInHand) -> Advanced:
        while run.finished is None:
            if self._held.lost:
                raise LeaseLostError(str(run.head.id))
            arrived = await self._news(run)
            facts = [*self._leaves.finished(), *self._due_timers(run)]
            if arrived or facts:
                await self._turn(run, facts, arrived)
            elif run.machine.outcome is not None:
                return await self._close(run.machine.outcome)
            elif self._may_park(run) and await self._park(run):
                return Parked(await self._next_timer(run))
            else:
                await self._wait(run)
        return Finished(_state_of(run.finished))

    async def _news(self, run: RunInHand) -> list[Arrived]:
        if not self._held.news:
            return []
        self._held.news = False
        keyring, head = self._platform.keyring, run.head
        direct, database = self._runtime.direct, self._platform.database
        return await inbox.take(direct, database, keyring, head.id, head.team)

    def _due_timers(self, run: RunInHand) -> list[Fact]:
        now = self._platform.clock()
        return [Fact(FactKind.TIMER_FIRED, now, key) for key in run.timers.take_due(now)]

    async def _turn(
        self,
        run: RunInHand,
        facts: list[Fact],
        arrived: list[Arrived] | None = None,
    ) -> None:
        followed = await take_turn(run, facts, arrived=arrived or ())
        await self._leaves.stop(followed.stopped)
        self._leaves.begin(followed.leaves)
        self._quiet_since = self._platform.clock()

    # ------------------------------------------------------------------ rest

    def _may_park(self, run: RunInHand) -> bool:
        """Whether nothing is in flight, and nothing is expected within a few seconds."""
        if self._leaves:
            return False
        linger = timedelta(seconds=self._platform.settings.linger_seconds)
        now = self._platform.clock()
        due = run.timers.next_due()
        if due is not None and due - now <= linger:
            return False
        awaits_child = any(isinstance(each, StartChild) for each in run.wanted.values())
        return not awaits_child or now - self._quiet_since >= linger

    async def _park(self, run: RunInHand) -> bool:
        async with self._platform.database.session() as session:
            parked = await leases.park(session, run.lease)
            if parked is Parking.PARKED:
                await run.timers.store(session, run.head.id)
            await session.commit()
        if parked is Parking.LOST:
            raise LeaseLostError(str(run.head.id))
        self._held.news = True
        return parked is Parking.PARKED

    async def _next_timer(self, run: RunInHand) -> datetime | None:
        async with self._platform.database.session() as session:
            return await leases.next_timer(session, run.head.id)

    async def _wait(self, run: RunInHand) -> None:
        """Until a leaf is done, something arrives, a timer is due, or it is time to park."""
        now = self._platform.clock()
        linger = timedelta(seconds=self._platform.settings.linger_seconds)
        ends = [each for each in (run.timers.next_due(),) if each is not None]
        if not self._leaves and self._quiet_since + linger > now:
            ends.append(self._quiet_since + linger)
        wait = max((min(ends) - now).total_seconds(), 0.0) if ends else None
        if self._held.news or self._leaves.any_done:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):  # unlike `wait_for`, without a task of its own
                await self._held.changed.wait()
                self._held.changed.clear()

    # ------------------------------------------------------------------ ends without a turn

    async def _break(self, error: Exception) -> Advanced:
        """Fault the run because of an error of ours; it can be retried."""
        return await self._close(Faulted(internal_fault(error, f"run {self._held.lease.run_id}")))

    async def _close(self, outcome: Outcome) -> Advanced:
        """End the run with no new fact: also where it was opened for a retry that did not come."""
        run = head_of(self._held.lease.run)
        keyring = self._platform.keyring
        ending = await endings.prepare(keyring, run, outcome, self._platform.clock())

        async def close(session: AsyncSession) -> None:
            await endings.close(session, keyring, ending)

        position = self._run.position if self._run else self._held.lease.position
        append = Append(run.id, self._held.lease.fence, position, changes=[close])
        await self._runtime.journal.append(append)
        return Finished(_state_of(outcome))


def _state_of(outcome: Outcome) -> RunState:
    match outcome:
        case Completed():
            return RunState.COMPLETED
        case Faulted():
            return RunState.FAULTED
        case Cancelled():
            return RunState.CANCELLED


async def _acquire(runtime: Runtime, run_id: UUID) -> Lease | Advanced:
    platform = runtime.platform
    seconds = platform.settings.lease_seconds
    try:
        lease = await leases.acquire(runtime.direct, run_id, holder=runtime.holder, seconds=seconds)
        if lease is not None:
            return lease
        async with platform.database.session() as session:
            found = select(RUNS.c.state).where(RUNS.c.id == run_id, RUNS.c.local.is_(False))
            state = await session.scalar(found)
    except (SQLAlchemyError, OSError):
        raise Unavailable from None
    if state is None:
        raise NotFound
    return Finished(state) if state in ENDED else LostLease()


async def _release(runtime: Runtime, lease: Lease, *, at_once: bool) -> None:
    """Give the run up; if the database does not answer, the lease runs out by itself."""
    platform = runtime.platform
    try:
        async with platform.database.session() as session:
            after = timedelta() if at_once else PAUSE
            if await leases.release(session, lease, after=after) and at_once:
                await enqueue(session, "wake", lease.run_id)
            await session.commit()
    except (SQLAlchemyError, OSError) as error:
        _log.warning("run %s was not released: %s", lease.run_id, type(error).__name__)
