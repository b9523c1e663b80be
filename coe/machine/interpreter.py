"""What the tasks of a run share: work, steps and data; faults and endings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from coe.json_types import JSON
from coe.language.model.definition import Definition
from coe.machine.commands import (
    ArmTimer,
    Completed,
    Faulted,
    Finish,
    Outcome,
    Pending,
    StepState,
    TimerReason,
)
from coe.machine.data import Data, RunData
from coe.machine.errors import Fault, Handler
from coe.machine.event_buffer import Events
from coe.machine.expression_limits import Limits
from coe.machine.facts import Fact
from coe.machine.fibers import Evaluate, Fiber, Mailbox, Scheduler, Start
from coe.machine.pending import Steps, Work
from coe.machine.redaction import redacted, texts_of
from coe.machine.scope import Frame


class End(Exception):
    """The run ends with this output, from whatever depth."""

    def __init__(self, output: JSON) -> None:
        """Carry the output to the top."""
        super().__init__("end")
        self.output = output


Witness = Callable[[str, str], None]
"""Receives the outcome (`coe.language.branches.outcomes`) that a run takes at a task's pointer."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a task leaves: its transformed output, and where to go next (None: on)."""

    output: JSON
    then: str | None = None


class Interpreter:
    """One run in one process. `now` is the time of the fact that is being applied."""

    def __init__(
        self,
        definition: Definition,
        data: RunData,
        evaluate: Evaluate,
        *,
        event_types: frozenset[str] | None,
        max_visits: int,
        witness: Witness | None = None,
    ) -> None:
        """Be ready for the first fact."""
        self.definition = definition
        self.run = data
        self.max_visits = max_visits
        self.witness = witness
        self.limits = Limits(evaluate)
        self.scheduler = Scheduler(self.limits.evaluate)
        self.work = Work(self.scheduler)
        self.steps = Steps(self.scheduler)
        self.data = Data(data)
        self.events = Events(self.scheduler, event_types)
        self.secrets = texts_of(data.secrets)
        self.outcome: Outcome | None = None
        self.now: datetime
        self._halted: Mailbox | None = None
        self._halted_at: datetime

    # ------------------------------------------------------------ work
    async def perform(self, frame: Frame, command: Pending, state: StepState) -> Fact:
        """Ask for something, and wait for its one answer."""
        box = Mailbox()
        self.work.ask(command, box)
        self.steps.move(frame, state)
        fact: Fact = await box.receive()
        self.steps.move(frame, StepState.RUNNING)
        return fact

    def spawn(self, start: Start, box: Mailbox) -> Fiber:
        """Start a fiber below the current one."""
        return self.scheduler.spawn(start, box)

    def discard(self, fiber: Fiber) -> None:
        """Cancel a fiber: its work is taken back, its steps are cancelled."""
        for member in fiber.family():
            for key in list(member.keys):
                self.work.cancel(key)
            for key in list(member.steps):
                self.steps.close(key, StepState.CANCELLED, self.now)
        self.scheduler.discard(fiber)

    def timer(
        self, frame: Frame, key: str, reason: TimerReason, after: timedelta, spread: timedelta
    ) -> ArmTimer:
        """A timer from now: due `after`, or up to `spread` later where a jitter leaves a choice."""
        earliest = self.now + after
        return ArmTimer(
            key=key,
            path=frame.pointer,
            name=frame.task.name,
            reason=reason,
            due=None if spread else earliest,
            earliest=earliest,
            latest=earliest + spread,
        )

    def scrub(self, value: JSON) -> JSON:
        """The value without any text of a secret: for all that is stored outside the journal."""
        return redacted(value, self.secrets)

    def went(self, frame: Frame, way: str) -> None:
        """Tell whoever looks on which way the run goes at a task."""
        if self.witness is not None:
            self.witness(frame.pointer, way)

    # ------------------------------------------------------------ faults and endings
    async def raise_or_halt(
        self, fault: Fault, frame: Frame, handler: Handler | None = None
    ) -> None:
        """Find who catches a fault of this frame before anything around it is given up.

        `handler` is asked first, by default the nearest around the frame.

        Returns when nobody did, the run faulted where it stands, and was retried.

        Raises:
            Fault: with its target.
        """
        handler = handler or frame.scope.handler
        while handler is not None:
            if await handler.accepts(fault.error):
                raise Fault(fault.error, handler)
            handler = handler.outer
        await self.halt(fault.error, frame)

    async def halt(self, error: dict[str, JSON], frame: Frame | None) -> None:
        """Fault the run, with everything kept as it stands; return when it is retried."""
        clean = self.scrub(error)
        assert isinstance(clean, dict)  # noqa: S101 - scrubbing keeps the shape
        self.outcome = Faulted(clean)
        self.work.suspend()
        self.work.finish(Finish(self.outcome))
        self.steps.halt(frame, clean, self.now)
        self.scheduler.halted = True
        self._halted, self._halted_at = Mailbox(), self.now
        await self._halted.receive()

    def resume(self) -> None:
        """Go on from where the run faulted."""
        box = self._halted
        if box is None:
            return
        self._halted, self.outcome = None, None
        self.scheduler.halted = False
        self.work.resume(self.now - self._halted_at)
        self.steps.resume()
        self.scheduler.post(box, None, first=True)

    def complete(self, output: JSON) -> None:
        """End the run with its output."""
        self.outcome = Completed(self.scrub(output))
        self.work.finish(Finish(self.outcome))
