"""One turn of a run: facts in, and all that follows from them written in one transaction.

The machine is pure, so it may see a fact before the fact is committed: if the commit fails, the
machine is thrown away with the lease. A command that changes the database (open a human task, start
a child, finish) is written with the facts. A command that acts outside (run a leaf) starts after
the commit only. So the journal accounts for everything that happens outside.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.events import AuditOutcome, Tag
from coe.audit.log import NewEvent, append
from coe.crypto.keys import Keyring
from coe.events import delivery, emit
from coe.execution import children
from coe.formats import instants
from coe.human_tasks import opening as task_opening
from coe.json_types import JSON
from coe.leaves.declared import Declared, Refusal
from coe.machine.commands import (
    ArmTimer,
    Cancel,
    Command,
    EmitEvent,
    Finish,
    OpenHumanTask,
    PendingCommand,
    Phase,
    RunLeaf,
    RunOutcome,
    StartChild,
    StepUpdate,
)
from coe.machine.errors import standard_error
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import Machine
from coe.outbox import OutboxKind, enqueue
from coe.runs import completion, counting
from coe.runs.audit import run_event
from coe.runs.decisions import decision_cases
from coe.runs.inbox import Arrived
from coe.runs.journal import Append, Change, Journal
from coe.runs.leases import Lease
from coe.runs.models import ENDED, RunState, TimerKind
from coe.runs.records import RunIdentity
from coe.runs.sealing import TeamSealer
from coe.runs.step_projection import ProjectedStep, StepProjection, step_row
from coe.runs.step_times import RunTimes
from coe.runs.tables import JOURNAL, RUNS
from coe.runs.timers import TimerQueue, delete_timers, store_timers, timer_row
from coe.work import Platform


@dataclass(slots=True)
class ActiveRun:
    """A run as its holder has it: the lease, the machine, and the commands that it still waits for.

    The next fact of the journal goes to `position`. `finished` is set once the end is written.
    `resumed` is whether its journal was replayed and has no fact of this holder yet.
    """

    platform: Platform
    journal: Journal
    lease: Lease
    machine: Machine
    position: int
    declared: Declared
    pending: dict[str, PendingCommand] = field(default_factory=dict)
    timers: TimerQueue = field(default_factory=TimerQueue)
    projection: StepProjection = field(default_factory=StepProjection)
    finished: RunOutcome | None = None
    resumed: bool = False

    @property
    def run(self) -> RunIdentity:
        """What never changes of the run."""
        return self.lease.run

    def times_until(self, now: datetime) -> tuple[datetime, RunTimes | None]:
        """When the run ends, and its times until then.

        Between its last fact and this turn nobody carried it on.
        """
        at, times = max(now, self.machine.now), self.machine.times()
        if times is None:
            return at, None
        times = times.until(self.machine.now).until(at, Phase.DISPATCH)
        return at, RunTimes(times, began=min(self.lease.requested_at, at))


@dataclass(slots=True)
class Effects:
    """What to do outside after the commit of a turn: leaves to start, keys of leaves to stop."""

    leaves: list[RunLeaf] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)


async def run_turn(
    active: ActiveRun,
    facts: Iterable[Fact],
    *,
    arrived: Sequence[Arrived] = (),
) -> Effects:
    """Journal the facts (those of the inbox with their rows), and write what follows from them.

    It is all committed when this returns; the leaves may start then.

    Raises:
        LeaseLostError: Another holder has the run; nothing was written.
        Unavailable: The database failed.
    """
    return await write_turn(active, await prepare_turn(active, facts, arrived=arrived))


async def prepare_turn(
    active: ActiveRun, facts: Iterable[Fact], *, arrived: Sequence[Arrived] = ()
) -> Turn:
    """Apply the facts to the machine and collect what follows; nothing is written yet."""
    turn = Turn(active)
    turn.append.consumed.extend(each.id for each in arrived)
    given = [each.fact for each in arrived]
    if active.resumed and given:
        since = min(fact.at for fact in given)
        given += [Fact(FactKind.RUN_TAKEN_UP, turn.now, data={"since": instants.write(since)})]
    active.resumed = False
    await turn.apply([*given, *facts])
    return turn


async def write_turn(active: ActiveRun, turn: Turn) -> Effects:
    """Write a turn.

    Raises:
        LeaseLostError: Another holder has the run; nothing was written.
        Unavailable: The database failed.
    """
    await active.journal.append(turn.append)
    counting.count_steps(turn.changes)
    if turn.plain_end is not None:
        end = turn.plain_end
        counting.count_end(end.run, RunState.COMPLETED, end.at)
    if turn.append.projected is not None:
        active.projection.clear()
    else:
        active.projection.hold(turn.changes, active.position, seconds=turn.seconds)
    active.position += len(turn.append.entries)
    active.finished = turn.finished
    return turn.effects


async def write_steps(active: ActiveRun) -> None:
    """Write the steps that were held back.

    Raises:
        LeaseLostError, Unavailable: As in `write_turn`.
    """
    append = Append(active.run.id, active.lease.fence, active.position)
    await add_steps(active, append, active.projection.held())
    await active.journal.append(append)
    active.projection.clear()


async def add_steps(active: ActiveRun, append: Append, steps: Iterable[ProjectedStep]) -> None:
    """Add these steps to an append; they are all that the journal has up to its end."""
    sealer = TeamSealer(active.platform.keyring, active.run.team)
    for each in steps:
        append.steps.append(await step_row(sealer, active.run.id, each))
    append.projected = active.position + len(append.entries)


class Turn:
    """Facts and what follows from them: `append` is to be written, then `effects` happen."""

    def __init__(self, active: ActiveRun) -> None:
        self._active = active
        self._run = active.run
        self._keyring = active.platform.keyring
        self._sealer = TeamSealer(self._keyring, self._run.team)
        self._facts: deque[Fact] = deque()
        self.now: Final = active.platform.clock()
        self.seconds: Final = asyncio.get_running_loop().time()
        self.changes: list[StepUpdate] = []
        self.append = Append(self._run.id, active.lease.fence, active.position)
        self.effects = Effects()
        self.finished: RunOutcome | None = None
        self.plain_end: completion.Completion | None = None

    async def apply(self, facts: Iterable[Fact]) -> None:
        """Apply the facts one after the other, and those that follow from them."""
        self._facts.extend(facts)
        while self._facts:
            fact = self._facts.popleft()
            if self._has_fired(fact):
                continue
            commands = await self._commands_of(fact)
            for limited in self._active.machine.exceeded():
                self.append.entries.append(await self._entry(limited))
            self.append.entries.append(await self._entry(fact))
            await self._keep_decision(fact)
            self._settle(fact)
            for command in commands:
                await self._follow(command)
        self._note_events()
        await self._project_steps()

    # ---------------------------------------------------------------- a fact

    def _has_fired(self, fact: Fact) -> bool:
        """Whether this timer fired before: its holder and the timers' loop may both fire it."""
        if fact.kind is not FactKind.TIMER_FIRED or self._active.machine.outcome is not None:
            return False
        return fact.key not in self._active.pending

    async def _commands_of(self, fact: Fact) -> Sequence[Command]:
        """The commands that follow from a fact.

        After a fault of the platform, which the machine does not know of, a retry gets all that are
        pending: that fault withdrew timers and tasks, and answers of children were not received.
        """
        machine = self._active.machine
        platform_fault = fact.kind is FactKind.RUN_RETRIED and machine.outcome is None
        commands = await machine.apply(fact)
        return machine.pending() if platform_fault else commands

    async def _entry(self, fact: Fact) -> dict[str, Any]:
        position = self._active.position + len(self.append.entries)
        place = f"{self._run.id}:{position}"
        return {
            "run_id": self._run.id,
            "position": position,
            "fence": self._active.lease.fence,
            "kind": fact.kind.value,
            "key": fact.key,
            "at": self._active.machine.now,
            "payload_sealed": await self._sealer.seal(JOURNAL, place, "payload", fact.data),
        }

    async def _keep_decision(self, fact: Fact) -> None:
        """Keep the case of a decision that this fact ends, in the same transaction."""
        command = self._active.pending.get(fact.key)
        row = await decision_cases.row_of(self._keyring, self._run, command, fact)
        if row is not None:
            self._change(lambda session: decision_cases.keep(row, session))

    def _settle(self, fact: Fact) -> None:
        """Forget the pending command that this fact answers."""
        command = self._active.pending.get(fact.key)
        unawaited = isinstance(command, StartChild) and not command.wait
        if fact.kind in _ANSWERS or (fact.kind is FactKind.CHILD_STARTED and unawaited):
            self._active.pending.pop(fact.key, None)
            if isinstance(command, ArmTimer):
                self._drop_timer(fact.key)

    # ---------------------------------------------------------------- a command

    async def _follow(self, command: Command) -> None:
        match command:
            case Cancel():
                self._cancel(command.key)
            case Finish():
                await self._finish(command)
            case _:
                self._active.pending[command.key] = command
                await self._start(command)

    async def _start(self, command: PendingCommand) -> None:
        match command:
            case RunLeaf() | StartChild() if (refusal := self._refusal(command)) is not None:
                self._refuse(command, refusal)
            case RunLeaf():
                self.effects.leaves.append(command)
            case ArmTimer(due=None):
                self._choose_time(command)
            case ArmTimer(key=key, due=due) if due is not None:
                if self._active.timers.arm(key, due):
                    rows = [timer_row(self._run.id, TimerKind.MACHINE, key, due)]
                    self._change(lambda session: store_timers(session, rows))
            case OpenHumanTask():
                await self._open_task(command)
            case StartChild():
                await self._start_child(command)
            case EmitEvent():
                await self._emit(command)

    def _refusal(self, command: PendingCommand) -> Refusal | None:
        return self._active.declared.refusal(command, self._active.machine.flows)

    def _refuse(self, command: RunLeaf | StartChild, refusal: Refusal) -> None:
        """Fault a step that wants to use what the definition does not name; it is recorded."""
        child = isinstance(command, StartChild)
        error = standard_error("authorization", title=refusal.title, instance=command.path)
        kind = FactKind.CHILD_FAULTED if child else FactKind.LEAF_FAULTED
        self._facts.append(Fact(kind, self.now, command.key, {"error": error}))
        event = run_event(
            self._run,
            Tag.RUNS_RUN_START if child else Tag.ACCESS_PERMISSION_REFUSE,
            self.now,
            resource=refusal.resource,
            outcome=AuditOutcome.DENIED,
            reason=refusal.title,
        )
        self._change(lambda session: _record(session, self._keyring, event))

    def _choose_time(self, command: ArmTimer) -> None:
        """Choose a time within the jitter; the fact that journals the choice arms the timer."""
        spread = int((command.latest - command.earliest).total_seconds() * 1000)
        chosen = command.earliest + timedelta(milliseconds=secrets.randbelow(spread + 1))
        data: JSON = {"due": instants.write(chosen)}
        self._facts.append(Fact(FactKind.TIMER_ARMED, self.now, command.key, data))

    async def _open_task(self, command: OpenHumanTask) -> None:
        error = await task_opening.role_error(self._active.platform, self._run, command)
        if error is not None:
            fact = Fact(FactKind.TASK_FAULTED, self.now, command.key, {"error": error})
            self._facts.append(fact)
            return
        task = await task_opening.prepare_task(self._keyring, self._run, command, self.now)
        self._change(lambda session: task_opening.open_task(session, self._keyring, task))

    async def _start_child(self, command: StartChild) -> None:
        child = await children.start(self._active.platform, self._run, command, self.now)
        if child.replaces_cancelled:
            self._facts = deque(fact for fact in self._facts if fact.key != command.key)
        self._facts.append(child.fact)
        self.append.changes.extend(child.changes)

    async def _emit(self, command: EmitEvent) -> None:
        platform = self._active.platform
        named = command.event.get("type") in self._active.declared.event_types
        emission = await emit.prepare_emission(
            platform, self._run, command.event, self.now, own_team_only=not named
        )
        data: JSON = {"event": command.event}
        self._facts.append(Fact(FactKind.EVENT_EMITTED, self.now, command.key, data))
        self._change(lambda session: emit.emit(session, self._keyring, emission))

    def _cancel(self, key: str) -> None:
        match self._active.pending.pop(key, None):
            case RunLeaf():
                self.effects.stopped.append(key)
            case ArmTimer():
                self._drop_timer(key)
            case OpenHumanTask():
                self._change(lambda session: self._withdraw_task(session, key))
            case StartChild():
                self._change(lambda session: _cancel_child(session, self._run.id, key))

    async def _finish(self, command: Finish) -> None:
        at, times = self._active.times_until(self.now)
        end = await completion.prepare(self._keyring, self._run, command.outcome, at, times)
        if not self._leaves_rows():
            self.append.end = completion.plain_end(self._keyring.macs, end)
        if self.append.end is not None:
            self.plain_end = end
        else:
            self._change(lambda session: completion.close(session, self._keyring, end))
        self.finished = command.outcome

    def _leaves_rows(self) -> bool:
        """Whether the run may have open tasks, or subscriptions to events."""
        pending = self._active.pending.values()
        asks = any(isinstance(each, OpenHumanTask) for each in pending)
        return asks or self._active.machine.event_types != frozenset()

    # ---------------------------------------------------------------- what is written

    async def _withdraw_task(self, session: AsyncSession, key: str) -> None:
        await completion.withdraw_tasks(session, self._keyring, self._run, self.now, key=key)
        await task_opening.delete_task_timers(session, self._run.id, key)

    def _drop_timer(self, key: str) -> None:
        if self._active.timers.drop(key):
            self._change(
                lambda session: delete_timers(session, self._run.id, key, TimerKind.MACHINE)
            )

    def _change(self, change: Change) -> None:
        self.append.changes.append(change)

    def _note_events(self) -> None:
        """Note which events were taken, and on which an expression failed."""
        uses = self._active.machine.event_uses()
        if uses:
            self._change(lambda session: delivery.note_uses(session, self._run.id, uses))

    async def _project_steps(self) -> None:
        """Write the steps with this turn, if any of them cannot wait."""
        projection = self._active.projection
        self.changes = self._active.machine.changed_steps()
        due = projection.is_due(self.changes, seconds=self.seconds)
        if due or self.finished is not None:
            steps = projection.held(self.changes, self._active.position)
            await add_steps(self._active, self.append, steps)


_ANSWERS = frozenset(
    {
        FactKind.LEAF_COMPLETED,
        FactKind.LEAF_FAULTED,
        FactKind.TIMER_FIRED,
        FactKind.TASK_ANSWERED,
        FactKind.TASK_EXPIRED,
        FactKind.TASK_FAULTED,
        FactKind.EVENT_EMITTED,
        FactKind.CHILD_COMPLETED,
        FactKind.CHILD_FAULTED,
    },
)


async def _record(session: AsyncSession, keyring: Keyring, event: NewEvent) -> None:
    await append(session, keyring, event)


async def _cancel_child(session: AsyncSession, run_id: UUID, key: str) -> None:
    """Have dispatch cancel the child: to lock its row from here would be the wrong order."""
    child = await session.scalar(
        select(RUNS.c.id).where(
            RUNS.c.parent_id == run_id,
            RUNS.c.parent_key == key,
            RUNS.c.state.not_in(ENDED),
        ),
    )
    if child is not None:
        await enqueue(session, OutboxKind.CANCEL, child)
