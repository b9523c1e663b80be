"""What a run has asked for and not yet got, and what it tells of its steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from coe.json_types import JSON
from coe.language.model.task import Task
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
    """The register of pending commands, each with the mailbox that waits for its answer."""

    def __init__(self, scheduler: Scheduler) -> None:
        """Start with nothing asked."""
        self._scheduler = scheduler
        self._pending: dict[str, tuple[PendingCommand, Mailbox, Fiber]] = {}
        self._issued: dict[str, Command] = {}

    def issue(self, command: PendingCommand, box: Mailbox) -> None:
        """Want something of the outside; its answer goes to the mailbox."""
        fiber = self._scheduler.current
        fiber.keys[command.key] = None
        self._pending[command.key] = (command, box, fiber)
        self._issued[command.key] = command

    def get(self, key: str) -> PendingCommand | None:
        """The pending command of this key, if any."""
        entry = self._pending.get(key)
        return entry[0] if entry else None

    def replace(self, command: PendingCommand) -> None:
        """Replace a pending command by one that says the same more exactly."""
        _, box, fiber = self._pending[command.key]
        self._pending[command.key] = (command, box, fiber)
        self._issued[command.key] = command

    def answer(self, fact: Fact) -> None:
        """Hand a fact to whoever waits for it; nothing, if nobody does."""
        entry = self._pending.pop(fact.key, None)
        if entry is not None:
            _, box, fiber = entry
            fiber.keys.pop(fact.key, None)
            self._scheduler.post(box, fact)

    def cancel(self, key: str) -> None:
        """Take a command back; nothing, if it is not wanted any more."""
        entry = self._pending.pop(key, None)
        if entry is None:
            return
        entry[2].keys.pop(key, None)
        if self._issued.pop(key, None) is None:
            self._issued[key] = Cancel(key)

    def suspend(self) -> None:
        """Have everything stopped, but stay able to ask for it again."""
        for key in self._pending:
            if self._issued.pop(key, None) is None:
                self._issued[key] = Cancel(key)

    def resume(self, pause: timedelta) -> None:
        """Ask again for all that was pending; deadlines moved by the time the run stood still."""
        for key, (command, box, fiber) in self._pending.items():
            moved = _delayed(command, pause)
            self._pending[key] = (moved, box, fiber)
            self._issued[key] = moved

    def finish(self, command: Finish) -> None:
        """Close the run, after what is being taken back."""
        self._issued[""] = command

    def pending(self) -> list[PendingCommand]:
        """All that is wanted, in the order in which it was asked for."""
        return [command for command, _, _ in self._pending.values()]

    def issued(self) -> list[Command]:
        """What was asked for or taken back since the last call."""
        commands = list(self._issued.values())
        self._issued = {}
        return commands


def _delayed(command: PendingCommand, pause: timedelta) -> PendingCommand:
    if isinstance(command, OpenHumanTask) and command.due is not None:
        return replace(
            command,
            due=command.due + pause,
            reminders=tuple(at + pause for at in command.reminders),
        )
    if isinstance(command, ArmTimer) and command.reason is TimerReason.TIMEOUT:
        due = command.earliest + pause  # nothing is left to choice
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

    def change(self) -> StepUpdate:
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
        )


class StepTracker:
    """The executions of tasks that people see. Closed ones are forgotten once they were told."""

    def __init__(self, scheduler: Scheduler) -> None:
        """Start without steps."""
        self._scheduler = scheduler
        self._open: dict[str, tuple[_Step, Fiber]] = {}
        self._changed: dict[str, _Step] = {}

    def open(self, frame: Frame, kind: str) -> None:
        """A task begins."""
        step = _Step(frame, kind, StepState.RUNNING, StepState.RUNNING)
        fiber = self._scheduler.current
        fiber.steps[frame.key] = None
        self._open[frame.key] = (step, fiber)
        self._changed[frame.key] = step

    def move(self, frame: Frame, state: StepState) -> None:
        """A task that goes on is in another state."""
        entry = self._open.get(frame.key)
        if entry is not None:
            entry[0].state = entry[0].live = state
            self._changed[frame.key] = entry[0]

    def close(
        self, key: str, state: StepState, at: datetime, error: dict[str, JSON] | None = None
    ) -> None:
        """A task ends."""
        step, fiber = self._open.pop(key)
        fiber.steps.pop(key, None)
        step.state, step.ended_at, step.error = state, at, error
        self._changed[key] = step

    def enclosing_tasks(self, key: str) -> list[Task]:
        """The tasks around an open step, from the inside; none of a step that is not open."""
        entry = self._open.get(key)
        frame = None if entry is None else entry[0].frame.scope.frame
        found = []
        while frame is not None:
            found.append(frame.task)
            frame = frame.scope.frame
        return found

    def halt(self, frame: Frame | None, error: dict[str, JSON], at: datetime) -> None:
        """The run faulted in this frame: it and those around it faulted, all others stop."""
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
        """The run goes on: what was open is as it was."""
        for key, (step, _) in self._open.items():
            step.state, step.ended_at, step.error = step.live, None, None
            self._changed[key] = step

    def changed(self) -> list[StepUpdate]:
        """The steps that changed since the last call, each with its present state."""
        changes = [step.change() for step in self._changed.values()]
        self._changed = {}
        return changes
