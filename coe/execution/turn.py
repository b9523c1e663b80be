"""One turn of a run: facts in, what follows from them written in one transaction.

The machine is pure, so it may see a fact before the fact is committed: if the commit fails, the
machine is thrown away with the lease. What a command asks of the database (a human task, a child,
the end) is written with the facts; what it asks of the world (a leaf) is begun after the
commit only. So nothing happens outside that the journal does not account for.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from coe.events import emit
from coe.execution import children
from coe.human_tasks import opening as task_opening
from coe.json_types import JSON
from coe.machine.commands import (
    ArmTimer,
    Cancel,
    Command,
    EmitEvent,
    Finish,
    OpenHumanTask,
    PendingCommand,
    RunLeaf,
    RunOutcome,
    StartChild,
    StepUpdate,
)
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import Machine
from coe.outbox import OutboxKind, enqueue
from coe.runs import completion, decision_cases
from coe.runs.inbox import Arrived
from coe.runs.journal import Append, Journal
from coe.runs.leases import Lease
from coe.runs.models import ENDED
from coe.runs.records import RunIdentity
from coe.runs.sealing import Sealer
from coe.runs.step_projection import Telling, Told, row_of
from coe.runs.tables import JOURNAL, RUNS
from coe.runs.timers import Armed, erase, store, timer_row
from coe.work import Platform


@dataclass(slots=True)
class ActiveRun:
    """A run as its holder has it: the lease, the machine, and what the machine still wants.

    `finished` is set once the end is written.
    """

    platform: Platform
    journal: Journal
    lease: Lease
    machine: Machine
    position: int
    wanted: dict[str, PendingCommand] = field(default_factory=dict)
    timers: Armed = field(default_factory=Armed)
    telling: Telling = field(default_factory=Telling)
    finished: RunOutcome | None = None

    @property
    def run(self) -> RunIdentity:
        """What never changes of it."""
        return self.lease.run


@dataclass(slots=True)
class Followed:
    """What a turn leaves to be done in the world: leaves to begin, keys to stop."""

    leaves: list[RunLeaf] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)


async def tell(active: ActiveRun) -> None:
    """Write all that was held back of the steps.

    Raises:
        LeaseLostError, Unavailable: As in `keep_turn`.
    """
    append = Append(active.run.id, active.lease.fence, active.position)
    await tell_all(active, append, active.telling.all())
    await active.journal.append(append)
    active.telling.clear()


async def tell_all(active: ActiveRun, append: Append, told: Iterable[Told]) -> None:
    """Have an append tell of these steps, which are all up to its end."""
    sealer = Sealer(active.platform.keyring, active.run.team)
    for each in told:
        append.steps.append(await row_of(sealer, active.run.id, each))
    append.told = active.position + len(append.entries)


async def take_turn(
    active: ActiveRun,
    facts: Iterable[Fact],
    *,
    arrived: Sequence[Arrived] = (),
) -> Followed:
    """Journal the facts (those of the inbox with their rows), and write what follows from them.

    It is all committed when this returns; the leaves may begin then.

    Raises:
        LeaseLostError: Another holder has the run; nothing was written.
        Unavailable: The database failed.
    """
    return await keep_turn(active, await prepare_turn(active, facts, arrived=arrived))


async def prepare_turn(
    active: ActiveRun, facts: Iterable[Fact], *, arrived: Sequence[Arrived] = ()
) -> Turn:
    """Let the machine follow the facts; nothing is written yet."""
    turn = Turn(active)
    turn.append.consumed.extend(each.id for each in arrived)
    await turn.go([*(each.fact for each in arrived), *facts])
    return turn


async def keep_turn(active: ActiveRun, turn: Turn) -> Followed:
    """Write a turn.

    Raises:
        LeaseLostError: Another holder has the run; nothing was written.
        Unavailable: The database failed.
    """
    await active.journal.append(turn.append)
    if turn.append.told is not None:
        active.telling.clear()
    else:
        active.telling.hold(turn.changes, active.position, turn.now, seconds=turn.seconds)
    active.position += len(turn.append.entries)
    active.finished = turn.finished
    return turn.followed


class Turn:
    """Facts, and what follows from them: to be written, and to be done after that."""

    def __init__(self, active: ActiveRun) -> None:
        """Begin with nothing."""
        self._active = active
        self.now: Final = active.platform.clock()
        self.seconds: Final = asyncio.get_running_loop().time()
        self.changes: list[StepUpdate] = []
        self._sealer = Sealer(active.platform.keyring, active.run.team)
        self._facts: deque[Fact] = deque()
        self.append = Append(active.run.id, active.lease.fence, active.position)
        self.followed = Followed()
        self.finished: RunOutcome | None = None

    async def go(self, facts: Iterable[Fact]) -> None:
        """Apply the facts one after the other, with those that follow from them."""
        self._facts.extend(facts)
        while self._facts:
            fact = self._facts.popleft()
            if self._is_spent(fact):
                continue
            commands = await self._apply(fact)
            for limited in self._active.machine.exceeded():
                self.append.entries.append(await self._entry(limited))
            self.append.entries.append(await self._entry(fact))
            await self._keep_decision(fact)
            self._answered(fact)
            for command in commands:
                await self._follow(command)
        await self._tell()

    def _is_spent(self, fact: Fact) -> bool:
        """Whether a timer fires that fired before: the holder and the timers' loop both see it."""
        if fact.kind is not FactKind.TIMER_FIRED or self._active.machine.outcome is not None:
            return False
        return fact.key not in self._active.wanted

    async def _apply(self, fact: Fact) -> Sequence[Command]:
        """What follows from a fact; after a fault of ours, which the machine knows nothing of, all.

        Such a fault took back timers and tasks, and could not hear of children.
        """
        machine = self._active.machine
        broke = fact.kind is FactKind.RUN_RETRIED and machine.outcome is None
        commands = await machine.apply(fact)
        return machine.pending() if broke else commands

    def _answered(self, fact: Fact) -> None:
        wanted = self._active.wanted.get(fact.key)
        unawaited = isinstance(wanted, StartChild) and not wanted.wait
        if fact.kind in _ANSWERS or (fact.kind is FactKind.CHILD_STARTED and unawaited):
            answered = self._active.wanted.pop(fact.key, None)
            if isinstance(answered, ArmTimer):
                self._disarm(fact.key)

    async def _keep_decision(self, fact: Fact) -> None:
        """Keep the case of a decision that this fact ends, in the same transaction."""
        command = self._active.wanted.get(fact.key)
        keyring = self._active.platform.keyring
        row = await decision_cases.row_of(keyring, self._active.run, command, fact)
        if row is not None:
            self._change(partial(decision_cases.keep, row))

    async def _follow(self, command: Command) -> None:
        match command:
            case Cancel():
                self._cancel(command)
            case Finish():
                await self._finish(command)
            case _:
                self._active.wanted[command.key] = command
                await self._begin(command)

    async def _begin(self, command: PendingCommand) -> None:
        match command:
            case RunLeaf():
                self.followed.leaves.append(command)
            case ArmTimer(due=None):
                self._arm_between(command)
            case ArmTimer(key=key, due=due) if due is not None:
                if self._active.timers.arm(key, due):
                    self._change(partial(_move, [timer_row(self._active.run.id, key, due)]))
            case OpenHumanTask():
                await self._open_task(command)
            case StartChild():
                await self._start_child(command)
            case EmitEvent():
                await self._emit(command)

    def _arm_between(self, command: ArmTimer) -> None:
        """Choose a time within the jitter; the choice is journaled, and the timer armed by it."""
        spread = int((command.latest - command.earliest).total_seconds() * 1000)
        chosen = command.earliest + timedelta(milliseconds=secrets.randbelow(spread + 1))
        data: JSON = {"due": chosen.isoformat()}
        self._facts.append(Fact(FactKind.TIMER_ARMED, self.now, command.key, data))

    async def _open_task(self, command: OpenHumanTask) -> None:
        keyring = self._active.platform.keyring
        opening = await task_opening.prepare_task(keyring, self._active.run, command, self.now)
        self._change(partial(_open_task, keyring, opening))

    async def _start_child(self, command: StartChild) -> None:
        started = await children.start(self._active.platform, self._active.run, command, self.now)
        if started.anew:
            self._facts = deque(fact for fact in self._facts if fact.key != command.key)
        self._facts.append(started.fact)
        self.append.changes.extend(started.changes)

    async def _emit(self, command: EmitEvent) -> None:
        active = self._active
        emission = await emit.prepare_emission(active.platform, active.run, command.event, self.now)
        data: JSON = {"event": command.event}
        self._facts.append(Fact(FactKind.EVENT_EMITTED, self.now, command.key, data))
        self._change(partial(_emit, active.platform.keyring, emission))

    def _cancel(self, command: Cancel) -> None:
        wanted = self._active.wanted.pop(command.key, None)
        run = self._active.run
        match wanted:
            case RunLeaf():
                self.followed.stopped.append(command.key)
            case ArmTimer():
                self._disarm(command.key)
            case OpenHumanTask():
                self._change(partial(_withdraw, self._active, command.key, self.now))
            case StartChild():
                self._change(partial(_cancel_child, run.id, command.key))

    async def _finish(self, command: Finish) -> None:
        keyring = self._active.platform.keyring
        ending = await completion.prepare(keyring, self._active.run, command.outcome, self.now)
        if not self._leaves_something():
            self.append.end = completion.plain(ending)
        if self.append.end is None:
            self._change(partial(_close, keyring, ending))
        self.finished = command.outcome

    def _leaves_something(self) -> bool:
        """Whether the run may have open tasks, or wants events to this day."""
        wanted = self._active.wanted.values()
        asks = any(isinstance(each, OpenHumanTask) for each in wanted)
        return asks or self._active.machine.event_types != frozenset()

    def _disarm(self, key: str) -> None:
        if self._active.timers.drop(key):
            self._change(partial(_erase, self._active.run.id, key))

    def _change(self, change: Any) -> None:
        self.append.changes.append(change)

    async def _entry(self, fact: Fact) -> dict[str, Any]:
        run_id = self._active.run.id
        position = self._active.position + len(self.append.entries)
        place = f"{run_id}:{position}"
        return {
            "run_id": run_id,
            "position": position,
            "fence": self._active.lease.fence,
            "kind": fact.kind.value,
            "key": fact.key,
            "at": fact.at,
            "payload_sealed": await self._sealer.seal(JOURNAL, place, "payload", fact.data),
        }

    async def _tell(self) -> None:
        """Tell of the steps, if anything of it cannot wait."""
        active = self._active
        self.changes = active.machine.changed_steps()
        due = active.telling.cannot_wait(self.changes, seconds=self.seconds)
        if due or self.finished is not None:
            told = active.telling.all(self.changes, active.position, self.now)
            await tell_all(active, self.append, told)


_ANSWERS = frozenset(
    {
        FactKind.LEAF_COMPLETED,
        FactKind.LEAF_FAULTED,
        FactKind.TIMER_FIRED,
        FactKind.TASK_ANSWERED,
        FactKind.TASK_EXPIRED,
        FactKind.EVENT_EMITTED,
        FactKind.CHILD_COMPLETED,
        FactKind.CHILD_FAULTED,
    },
)


async def _move(rows: list[dict[str, Any]], session: AsyncSession) -> None:
    await store(session, rows)


async def _erase(run_id: UUID, key: str, session: AsyncSession) -> None:
    await erase(session, run_id, key)


async def _open_task(keyring: Any, opening: task_opening.NewTask, session: AsyncSession) -> None:
    await task_opening.open_task(session, keyring, opening)


async def _emit(keyring: Any, emission: emit.Emission, session: AsyncSession) -> None:
    await emit.emit(session, keyring, emission)


async def _withdraw(active: ActiveRun, key: str, at: datetime, session: AsyncSession) -> None:
    await completion.withdraw_tasks(session, active.platform.keyring, active.run, at, key=key)
    await task_opening.delete_timers(session, active.run.id, key)


async def _cancel_child(run_id: UUID, key: str, session: AsyncSession) -> None:
    """Have dispatch cancel it: to lock a child's row from here would be the wrong order."""
    child = await session.scalar(
        select(RUNS.c.id).where(
            RUNS.c.parent_id == run_id,
            RUNS.c.parent_key == key,
            RUNS.c.state.not_in(ENDED),
        ),
    )
    if child is not None:
        await enqueue(session, OutboxKind.CANCEL, child)


async def _close(keyring: Any, ending: completion.Ending, session: AsyncSession) -> None:
    await completion.close(session, keyring, ending)
