"""The pending commands of a run, and the states of its steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from coe.json_types import JSON
from coe.language.model.task import Task
from coe.machine.clock import EARLIEST, later
from coe.machine.commands import (
    ArmTimer,
    Cancel,
    Command,
    Finish,
    OpenHumanTask,
    PendingCommand,
    Phase,
    StepState,
    StepUpdate,
    TimerReason,
)
from coe.machine.facts import Fact
from coe.machine.fibers import Fiber, Mailbox, Scheduler
from coe.machine.scope import Frame
from coe.machine.step_times import TimedStep


@dataclass(slots=True)
class _Entry:
    """A pending command; `timed` has the times of the step that waits for its answer, if any."""

    command: PendingCommand
    box: Mailbox
    fiber: Fiber
    timed: TimedStep | None


class PendingCommands:
    """The pending commands, each with the mailbox and the fiber that wait for its answer."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._pending: dict[str, _Entry] = {}
        self._issued: dict[str, Command] = {}

    def issue(self, command: PendingCommand, box: Mailbox, timed: TimedStep | None = None) -> None:
        """Issue a command whose answer goes to the mailbox; `timed` waits for nothing else."""
        fiber = self._scheduler.current
        fiber.keys[command.key] = None
        self._pending[command.key] = _Entry(command, box, fiber, timed)
        self._issued[command.key] = command

    def get(self, key: str) -> PendingCommand | None:
        """The pending command with this key, or None."""
        entry = self._pending.get(key)
        return entry.command if entry else None

    def waiting_for(self, key: str) -> TimedStep | None:
        """The times of the step that waits for the answer to a command, if any."""
        entry = self._pending.get(key)
        return entry.timed if entry else None

    def replace(self, command: PendingCommand) -> None:
        """Replace a pending command by a more exact one with the same key."""
        self._pending[command.key].command = command
        self._issued[command.key] = command

    def answer(self, fact: Fact) -> None:
        """Post a fact to the fiber that waits for it, if any."""
        entry = self._pending.pop(fact.key, None)
        if entry is not None:
            entry.fiber.keys.pop(fact.key, None)
            self._scheduler.post(entry.box, fact)

    def cancel(self, key: str) -> None:
        """Withdraw a command, if it is still pending."""
        entry = self._pending.pop(key, None)
        if entry is None:
            return
        entry.fiber.keys.pop(key, None)
        if self._issued.pop(key, None) is None:
            self._issued[key] = Cancel(key)

    def suspend(self) -> None:
        """Cancel all pending commands, and remember them for `resume`."""
        for key in self._pending:
            if self._issued.pop(key, None) is None:
                self._issued[key] = Cancel(key)

    def resume(self, pause: timedelta) -> None:
        """Issue all pending commands again, with deadlines moved by the pause."""
        for key, entry in self._pending.items():
            entry.command = _delayed(entry.command, pause)
            self._issued[key] = entry.command

    def finish(self, command: Finish) -> None:
        """Close the run, after the commands to cancel."""
        self._issued[""] = command

    def pending(self) -> list[PendingCommand]:
        """The pending commands, in the order of their issue."""
        return [entry.command for entry in self._pending.values()]

    def issued(self) -> list[Command]:
        """The commands issued or withdrawn since the last call."""
        commands = list(self._issued.values())
        self._issued = {}
        return commands


def _delayed(command: PendingCommand, pause: timedelta) -> PendingCommand:
    if isinstance(command, OpenHumanTask):
        return replace(
            command,
            due=None if command.due is None else later(command.due, pause),
            stages=tuple(replace(each, at=later(each.at, pause)) for each in command.stages),
            reminders=tuple(later(at, pause) for at in command.reminders),
        )
    if isinstance(command, ArmTimer) and command.reason is TimerReason.TIMEOUT:
        due = later(command.earliest, pause)  # no jitter remains
        return replace(command, due=due, earliest=due, latest=due)
    return command


# The states of an open step by what it does; in all other phases it waits.
_STATES: Final = {Phase.WORK: StepState.RUNNING, Phase.RETRY: StepState.RETRYING}


@dataclass(slots=True)
class _Step:
    frame: Frame
    kind: str
    state: StepState
    live: StepState
    ended_at: datetime | None = None
    error: dict[str, JSON] | None = None
    unmatched: int = 0
    unmatched_at: str | None = None
    timed: TimedStep = field(init=False)

    def update(self) -> StepUpdate:
        frame = self.frame
        return StepUpdate(
            key=frame.key,
            path=frame.pointer,
            name=frame.task.name,
            kind=self.kind,
            state=self.state,
            attempt=frame.attempt,
            iteration=frame.iteration,
            started_at=frame.started_at,
            ended_at=self.ended_at,
            error=self.error,
            unmatched=self.unmatched,
            unmatched_at=self.unmatched_at,
            parent_key=_parent_key(frame),
            times=self.timed.times(),
        )


def _parent_key(frame: Frame) -> str | None:
    outer = frame.scope.frame
    return None if outer is None else outer.key


StepWatcher = Callable[[Frame], None]
"""Receives the frame of each step at its end, with its data as it was then."""


class StepTracker:
    """The open steps of a run, and the steps that changed since the last report.

    `whole` has the times of the run as a whole.
    """

    def __init__(self, scheduler: Scheduler, watch: StepWatcher | None = None) -> None:
        self._scheduler = scheduler
        self._watch = watch
        self._open: dict[str, tuple[_Step, Fiber]] = {}
        self._changed: dict[str, _Step] = {}
        self.whole = TimedStep(EARLIEST)

    def start(self, requested: datetime, at: datetime) -> None:
        """Begin with the run as a whole, which a process takes now."""
        self.whole = TimedStep(requested, phase=Phase.DISPATCH)
        self.whole.be(Phase.WORK, at)

    def open(self, frame: Frame, kind: str, at: datetime) -> None:
        """Open the step of a task that starts."""
        step = _Step(frame, kind, StepState.RUNNING, StepState.RUNNING)
        outer = frame.scope.frame
        parent = self.whole if outer is None else self.timed(outer)
        step.timed = TimedStep(at, parent, changed=partial(self._note, step))
        fiber = self._scheduler.current
        fiber.steps[frame.key] = None
        self._open[frame.key] = (step, fiber)
        self._changed[frame.key] = step

    def _note(self, step: _Step) -> None:
        self._changed[step.frame.key] = step

    def move(self, frame: Frame, phase: Phase, at: datetime) -> None:
        """Change what an open step does, and so its state."""
        step, _ = self._open[frame.key]
        step.state = step.live = _STATES.get(phase, StepState.WAITING)
        step.timed.be(phase, at)

    def timed(self, frame: Frame) -> TimedStep:
        """The times of an open step."""
        step, _ = self._open[frame.key]
        return step.timed

    def lacked_a_process(self, since: datetime, at: datetime) -> None:
        """Note that no process carried the run on from `since` until now."""
        for timed in self._timed():
            timed.lacked_a_process(since, at)

    def stood_still(self, since: datetime, at: datetime) -> None:
        """Note that the run was faulted from `since` until now; nobody holds its tasks any more."""
        for timed in self._timed():
            timed.was(Phase.OPERATOR, since, at)
        for timed in self._timed():
            timed.give_back(at)

    def _timed(self) -> list[TimedStep]:
        return [self.whole, *(step.timed for step, _ in self._open.values())]

    def unmatched(self, frame: Frame, pointer: str) -> None:
        """Count an event on which the expression at `pointer` failed."""
        step, _ = self._open[frame.key]
        step.unmatched += 1
        step.unmatched_at = pointer
        self._changed[frame.key] = step

    def close(
        self, key: str, state: StepState, at: datetime, error: dict[str, JSON] | None = None
    ) -> None:
        """Close the step of a task that ends."""
        step, fiber = self._open.pop(key)
        fiber.steps.pop(key, None)
        step.timed.end(at)
        step.state, step.ended_at, step.error = state, at, error
        self._changed[key] = step
        if self._watch is not None:
            self._watch(step.frame)

    def open_frames(self) -> list[Frame]:
        """The frames of the open steps, in the order of their start."""
        return [step.frame for step, _ in self._open.values()]

    def enclosing_tasks(self, key: str) -> list[Task]:
        """The tasks around an open step, innermost first; empty for other steps."""
        entry = self._open.get(key)
        frame = None if entry is None else entry[0].frame.scope.frame
        found = []
        while frame is not None:
            found.append(frame.task)
            frame = frame.scope.frame
        return found

    def halt(self, frame: Frame | None, error: dict[str, JSON], at: datetime) -> None:
        """Mark the step of a frame and the steps around it as faulted, all others as cancelled."""
        faulted = set()
        while frame is not None:
            faulted.add(frame.key)
            frame = frame.scope.frame
        for key, (step, _) in self._open.items():
            step.state = StepState.FAULTED if key in faulted else StepState.CANCELLED
            step.error = error if key in faulted else None
            step.ended_at = at
            self._changed[key] = step
        for timed in self._timed():
            timed.spend(at)

    def resume(self, since: datetime, at: datetime) -> None:
        """Give the open steps the states again that they had before `halt`, at `since`."""
        self.stood_still(since, at)  # each step is told of
        for step, _ in self._open.values():
            step.state, step.ended_at, step.error = step.live, None, None

    def changed(self) -> list[StepUpdate]:
        """The steps that changed since the last call, each with its current state."""
        updates = [step.update() for step in self._changed.values()]
        self._changed = {}
        return updates
