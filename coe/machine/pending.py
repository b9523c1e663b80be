"""The pending commands of a run, and the states of its steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from coe.json_types import JSON
from coe.language.model.task import Task
from coe.machine.clock import later
from coe.machine.commands import (
    ArmTimer,
    Cancel,
    Command,
    Finish,
    OpenHumanTask,
    PendingCommand,
    StepState,
    StepUpdate,
    TimerReason,
)
from coe.machine.facts import Fact
from coe.machine.fibers import Fiber, Mailbox, Scheduler
from coe.machine.scope import Frame


class PendingCommands:
    """The pending commands, each with the mailbox and the fiber that wait for its answer."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._pending: dict[str, tuple[PendingCommand, Mailbox, Fiber]] = {}
        self._issued: dict[str, Command] = {}

    def issue(self, command: PendingCommand, box: Mailbox) -> None:
        """Issue a command whose answer goes to the mailbox."""
        fiber = self._scheduler.current
        fiber.keys[command.key] = None
        self._pending[command.key] = (command, box, fiber)
        self._issued[command.key] = command

    def get(self, key: str) -> PendingCommand | None:
        """The pending command with this key, or None."""
        entry = self._pending.get(key)
        return entry[0] if entry else None

    def replace(self, command: PendingCommand) -> None:
        """Replace a pending command by a more exact one with the same key."""
        _, box, fiber = self._pending[command.key]
        self._pending[command.key] = (command, box, fiber)
        self._issued[command.key] = command

    def answer(self, fact: Fact) -> None:
        """Post a fact to the fiber that waits for it, if any."""
        entry = self._pending.pop(fact.key, None)
        if entry is not None:
            _, box, fiber = entry
            fiber.keys.pop(fact.key, None)
            self._scheduler.post(box, fact)

    def cancel(self, key: str) -> None:
        """Withdraw a command, if it is still pending."""
        entry = self._pending.pop(key, None)
        if entry is None:
            return
        entry[2].keys.pop(key, None)
        if self._issued.pop(key, None) is None:
            self._issued[key] = Cancel(key)

    def suspend(self) -> None:
        """Cancel all pending commands, and remember them for `resume`."""
        for key in self._pending:
            if self._issued.pop(key, None) is None:
                self._issued[key] = Cancel(key)

    def resume(self, pause: timedelta) -> None:
        """Issue all pending commands again, with deadlines moved by the pause."""
        for key, (command, box, fiber) in self._pending.items():
            moved = _delayed(command, pause)
            self._pending[key] = (moved, box, fiber)
            self._issued[key] = moved

    def finish(self, command: Finish) -> None:
        """Close the run, after the commands to cancel."""
        self._issued[""] = command

    def pending(self) -> list[PendingCommand]:
        """The pending commands, in the order of their issue."""
        return [command for command, _, _ in self._pending.values()]

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
        )


StepWatcher = Callable[[Frame], None]
"""Receives the frame of each step at its end, with its data as it was then."""


class StepTracker:
    """The open steps of a run, and the steps that changed since the last report."""

    def __init__(self, scheduler: Scheduler, watch: StepWatcher | None = None) -> None:
        self._scheduler = scheduler
        self._watch = watch
        self._open: dict[str, tuple[_Step, Fiber]] = {}
        self._changed: dict[str, _Step] = {}

    def open(self, frame: Frame, kind: str) -> None:
        """Open the step of a task that starts."""
        step = _Step(frame, kind, StepState.RUNNING, StepState.RUNNING)
        fiber = self._scheduler.current
        fiber.steps[frame.key] = None
        self._open[frame.key] = (step, fiber)
        self._changed[frame.key] = step

    def move(self, frame: Frame, state: StepState) -> None:
        """Change the state of an open step."""
        entry = self._open.get(frame.key)
        if entry is not None:
            entry[0].state = entry[0].live = state
            self._changed[frame.key] = entry[0]

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

    def resume(self) -> None:
        """Give the open steps the states again that they had before `halt`."""
        for key, (step, _) in self._open.items():
            step.state, step.ended_at, step.error = step.live, None, None
            self._changed[key] = step

    def changed(self) -> list[StepUpdate]:
        """The steps that changed since the last call, each with its current state."""
        updates = [step.update() for step in self._changed.values()]
        self._changed = {}
        return updates
