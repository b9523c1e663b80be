"""What the tasks of a run share: pending commands, steps, data, faults and the outcome."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from coe.json_types import JSON
from coe.language.model.definition import Definition
from coe.language.model.task import Task
from coe.machine.clock import EARLIEST, later
from coe.machine.commands import (
    ArmTimer,
    Completed,
    Faulted,
    Finish,
    PendingCommand,
    Phase,
    RunOutcome,
    StepState,
    TimerReason,
)
from coe.machine.data import DataFlow, RunDescriptor
from coe.machine.errors import ErrorHandler, TaskFault
from coe.machine.event_buffer import EventBuffer
from coe.machine.expression_limits import ExpressionLimits
from coe.machine.facts import Fact
from coe.machine.fibers import EvaluateJq, Fiber, Mailbox, Scheduler, Start
from coe.machine.pending import PendingCommands, StepTracker
from coe.machine.redaction import redacted, secret_texts
from coe.machine.scope import Frame


class EndRun(Exception):
    """Ends the run with an output, from any depth."""

    def __init__(self, output: JSON) -> None:
        super().__init__("end")
        self.output = output


BranchObserver = Callable[[str, str], None]
"""Receives a task's pointer and the branch outcome (`coe.language.branches.outcomes`) taken."""


@dataclass(frozen=True, slots=True)
class StepData:
    """The data of one execution of a task, without the texts of secrets.

    `raw` is its raw input and `input` its transformed one, `output` its transformed output; all
    null as far as the task did not get there. `context` is the exported context at its end.
    """

    key: str
    raw: JSON
    input: JSON
    output: JSON
    context: JSON


DataObserver = Callable[[StepData], None]
"""Receives the data of each step at its end."""


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a task: its output, and its flow directive (None: the next task)."""

    output: JSON
    then: str | None = None


class Interpreter:
    """One run in one process. `now` is the latest time of the facts, and never goes back."""

    def __init__(
        self,
        definition: Definition,
        data: RunDescriptor,
        evaluate: EvaluateJq,
        *,
        bodies: Mapping[type[Task], TaskBody],
        event_types: frozenset[str] | None,
        max_visits: int,
        observer: BranchObserver | None = None,
        data_observer: DataObserver | None = None,
    ) -> None:
        self.definition = definition
        self.descriptor = data
        self.bodies = bodies
        self.max_visits = max_visits
        self.observer = observer
        self._data_observer = data_observer
        self.limits = ExpressionLimits(evaluate)
        self.scheduler = Scheduler(self.limits.evaluate)
        self.commands = PendingCommands(self.scheduler)
        self.steps = StepTracker(self.scheduler, self._on_end if data_observer else None)
        self.data = DataFlow(data)
        self.events = EventBuffer(self.scheduler, event_types)
        self.secrets = secret_texts(data.secrets)
        self.outcome: RunOutcome | None = None
        self.now = EARLIEST
        self._halted: Mailbox | None = None
        self._halted_at: datetime

    # ------------------------------------------------------------ commands
    async def perform(
        self, frame: Frame, command: PendingCommand, phase: Phase = Phase.WORK
    ) -> Fact:
        """Issue a command, and wait for its answer, in a phase."""
        box = Mailbox()
        self.commands.issue(command, box, self.steps.timed(frame))
        self.steps.move(frame, phase, self.now)
        fact: Fact = await box.receive()
        self.steps.move(frame, Phase.WORK, self.now)
        return fact

    def spawn(self, start: Start, box: Mailbox) -> Fiber:
        """Start a child of the current fiber."""
        return self.scheduler.spawn(start, box)

    def discard(self, fiber: Fiber) -> None:
        """Cancel a fiber with its pending commands and open steps."""
        for member in fiber.family():
            for key in list(member.keys):
                self.commands.cancel(key)
            for key in list(member.steps):
                self.steps.close(key, StepState.CANCELLED, self.now)
        self.scheduler.discard(fiber)

    def timer(
        self, frame: Frame, key: str, reason: TimerReason, after: timedelta, spread: timedelta
    ) -> ArmTimer:
        """A timer due `after` from now, or up to `spread` later where a jitter leaves a choice."""
        earliest = later(self.now, after)
        return ArmTimer(
            key=key,
            path=frame.pointer,
            name=frame.task.name,
            reason=reason,
            due=None if spread else earliest,
            earliest=earliest,
            latest=later(earliest, spread),
        )

    def scrub(self, value: JSON) -> JSON:
        """The value without the texts of secrets, for what is stored outside the journal."""
        return redacted(value, self.secrets)

    def on_branch(self, frame: Frame, outcome: str) -> None:
        """Report the branch outcome that the run takes at a task."""
        if self.observer is not None:
            self.observer(frame.pointer, outcome)

    def step_data(self, frame: Frame) -> StepData:
        """The data of a step as it is now."""
        scrub = self.scrub
        return StepData(
            key=frame.key,
            raw=scrub(frame.raw),
            input=scrub(frame.input),
            output=scrub(frame.transformed),
            context=scrub(frame.scope.context.value),
        )

    def _on_end(self, frame: Frame) -> None:
        if self._data_observer is not None:
            self._data_observer(self.step_data(frame))

    # ------------------------------------------------------------ faults and the outcome
    async def raise_or_halt(
        self, fault: TaskFault, frame: Frame, handler: ErrorHandler | None = None
    ) -> None:
        """Find the handler of a fault of this frame before anything around it is cancelled.

        The search starts at `handler`, by default at the nearest around the frame. If no handler
        accepts the fault, the run faults where it stands; the method returns when it is retried.

        Raises:
            TaskFault: with the handler as its target.
        """
        handler = handler or frame.scope.handler
        while handler is not None:
            if await handler.accepts(fault.error):
                raise TaskFault(fault.error, handler)
            handler = handler.outer
        await self.halt(fault.error, frame)

    async def halt(self, error: dict[str, JSON], frame: Frame | None) -> None:
        """Mark the run as faulted and keep its state; return when it is retried."""
        clean = self.scrub(error)
        assert isinstance(clean, dict)  # noqa: S101 - scrubbing keeps the shape
        self.outcome = Faulted(clean)
        self.commands.suspend()
        self.commands.finish(Finish(self.outcome))
        self.steps.halt(frame, clean, self.now)
        self.scheduler.halted = True
        self._halted, self._halted_at = Mailbox(), self.now
        await self._halted.receive()

    def resume(self, stopped_at: datetime) -> None:
        """Continue a faulted run where it stopped.

        Where the platform stopped it, `stopped_at`, the machine knows of no fault.
        """
        box = self._halted
        if box is None:
            self.steps.stood_still(stopped_at, self.now)
            return
        self._halted, self.outcome = None, None
        self.scheduler.halted = False
        self.commands.resume(self.now - self._halted_at)
        self.steps.resume(self._halted_at, self.now)
        self.scheduler.post(box, None, first=True)

    def complete(self, output: JSON) -> None:
        """Complete the run with its output."""
        self.outcome = Completed(self.scrub(output))
        self.commands.finish(Finish(self.outcome))


TaskBody = Callable[[Interpreter, Frame], Coroutine[Any, Any, Done]]
"""Carries out a task: gives the raw output, and the directive of a `switch` case or `catch`."""
