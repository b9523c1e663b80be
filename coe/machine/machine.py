"""The machine: a definition and a journal in, commands out. It does no I/O.

It has no clock and no randomness: times come with the facts, and a chosen delay is a fact. Facts
are applied one at a time in journal order, each until the run waits again, so the same facts give
the same commands in every process. The cost of a fact does not depend on the length of the journal.

The semantics are those of the Open Workflow DSL 1.0.3 as docs/semantics.md narrows it:

- `task_bodies` maps each task type to the function that carries it out.
- `tasks` has the order of the data flow; `control`, `try_catch`, `calls`, `functions`, `listen` and
  `simple_tasks` have the task types.
- `fibers` makes concurrency deterministic.

The handler of a fault is found before anything is cancelled (`Interpreter.raise_or_halt`). A fault
without a handler therefore leaves the run as it stands, and RUN_RETRIED continues from the faulted
step: a leaf runs again under a new key, cancelled neighbours continue under their keys, and
completed steps stay completed. Timeouts and human tasks do not age while the run stands still.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final

from coe.formats import instants
from coe.json_types import JSON
from coe.language.model.definition import Definition
from coe.language.model.task import Task
from coe.machine.commands import (
    ArmTimer,
    Cancelled,
    Command,
    Finish,
    PendingCommand,
    Phase,
    RunOutcome,
    StartChild,
    StepTimes,
    StepUpdate,
)
from coe.machine.data import RunDescriptor
from coe.machine.event_buffer import EventUse
from coe.machine.event_filters import event_types
from coe.machine.facts import Fact, FactKind
from coe.machine.fibers import EvaluateJq, Fiber
from coe.machine.flow import run_definition
from coe.machine.functions import is_of_other_team
from coe.machine.interpreter import BranchObserver, DataObserver, Interpreter, StepData
from coe.machine.step_times import parts_of
from coe.machine.task_bodies import TASK_BODIES

__all__ = ["BranchObserver", "DataObserver", "EvaluateJq", "Machine", "RunContext", "StepData"]


@dataclass(frozen=True, slots=True)
class RunContext:
    """The constants of a run.

    `id` is the run's, `trace_id` its W3C trace id if it has one. `secrets` are read again in every
    process and never journaled; a definition sees those that it declares. `max_visits` limits how
    often a task may be entered, where RUN_STARTED has no limit.
    """

    id: str
    secrets: Mapping[str, JSON] = field(default_factory=dict, repr=False)
    max_visits: int = 10_000
    trace_id: str | None = None


class Machine:
    """One run, after the facts applied so far."""

    def __init__(
        self,
        definition: Definition,
        run: RunContext,
        evaluate: EvaluateJq,
        *,
        observer: BranchObserver | None = None,
        data_observer: DataObserver | None = None,
    ) -> None:
        """Prepare for RUN_STARTED.

        `evaluate(program, variables, input)` runs a jq program and raises `ExpressionError`; the
        same arguments must give the same result in every process. `observer` receives the branch
        outcomes of the run, for the coverage of tests; `data_observer` the data of each step that
        ends, for trials.
        """
        self.event_types: Final = event_types(definition)
        data = RunDescriptor(
            id=run.id,
            trace_id=run.trace_id,
            definition=definition.source.data,
            secrets=run.secrets,
            declared_secrets=definition.use.secrets,
        )
        self._run = Interpreter(
            definition,
            data,
            evaluate,
            bodies=TASK_BODIES,
            event_types=self.event_types,
            max_visits=run.max_visits,
            observer=observer,
            data_observer=data_observer,
        )
        self._root: Fiber | None = None

    @property
    def outcome(self) -> RunOutcome | None:
        """The outcome of the run; None while it is open. A retry reopens a `Faulted` run."""
        return self._run.outcome

    async def apply(self, fact: Fact) -> list[Command]:
        """Apply one fact, and give the commands that follow from it, withdrawals included.

        A fact that answers no pending command changes nothing. `Finish` is the last command of a
        run. Read `exceeded` after each fact. A fact that is earlier than one before it happens at
        the time of that one (`now`).

        Raises:
            ValueError: the journal cannot contain the fact at this place.
        """
        run = self._run
        run.now = max(run.now, fact.at)
        run.limits.begin()
        if fact.kind is FactKind.EXPRESSION_LIMITED:
            run.limits.foresee(fact.data)
            return []
        match fact.kind:
            case FactKind.RUN_STARTED:
                self._start(fact)
            case FactKind.RUN_CANCELLED:
                self._cancel(fact)
            case FactKind.RUN_RETRIED:
                run.resume(_time(fact.data, "since", run.now))
            case FactKind.EVENT_CONSUMED:
                run.events.receive(_member(fact.data, "event"))
            case FactKind.RUN_TAKEN_UP | FactKind.TASK_HELD | FactKind.TASK_ESCALATED:
                self._inform(fact)
            case FactKind.TIMER_ARMED:
                self._arm(fact)
            case FactKind.CHILD_STARTED if self._awaits_child(fact.key):
                pass
            case _:
                self._count(fact)
                run.commands.answer(fact)
        await run.scheduler.run()
        run.limits.end()
        return run.commands.issued()

    def exceeded(self) -> list[Fact]:
        """The facts that the journal needs before the fact that was applied last.

        In a replay they must be empty. If not, this process is slower than the one that wrote the
        journal, the state differs from the journal, and the replay must be repeated.
        """
        return self._run.limits.facts(self._run.now)

    @property
    def now(self) -> datetime:
        """The time of the run: the latest of its facts."""
        return self._run.now

    def times(self) -> StepTimes | None:
        """How long the run as a whole has waited, and for what, since its request; None before."""
        return self._run.steps.whole.times() if self._root is not None else None

    def pending(self) -> list[PendingCommand]:
        """The pending commands, in the order of their issue."""
        return [] if self.outcome is not None else self._run.commands.pending()

    def changed_steps(self) -> list[StepUpdate]:
        """The steps that changed since the last call, each once, in its current state."""
        return self._run.steps.changed()

    def open_data(self) -> list[StepData]:
        """The data of the open steps, in the order of their start."""
        return [self._run.step_data(frame) for frame in self._run.steps.open_frames()]

    def enclosing_tasks(self, key: str) -> list[Task]:
        """The tasks around the step that issued the command `key`, innermost first."""
        return self._run.steps.enclosing_tasks(key)

    def event_uses(self) -> list[EventUse]:
        """What listening tasks made of events since the last call."""
        uses, self._run.events.uses = self._run.events.uses, []
        return uses

    @property
    def flows(self) -> Mapping[str, str]:
        """The exact refs by the refs as written, as they were when the run started."""
        return self._run.descriptor.flows

    def consumed(self, event: JSON) -> bool:
        """Whether a listening task consumed an applied event (this very object)."""
        return any(each.event is event and each.taken for each in self._run.events.kept)

    def _start(self, fact: Fact) -> None:
        run = self._run
        if run.descriptor.started_at is not None:
            raise ValueError("a run starts once")
        data = fact.data if isinstance(fact.data, dict) else {}
        run.descriptor.started_at = run.now
        run.steps.start(min(_time(data, "requested", run.now), run.now), run.now)
        run.descriptor.input = data.get("input")
        flows, runtime = data.get("flows"), data.get("runtime")
        if isinstance(flows, dict):
            run.descriptor.flows = {ref: str(exact) for ref, exact in flows.items()}
        if runtime is not None:
            run.descriptor.runtime = runtime
        if isinstance(most := data.get("max_visits"), int):
            run.max_visits = most
        if run.outcome is None:
            self._root = run.scheduler.spawn(partial(run_definition, run))

    def _cancel(self, fact: Fact) -> None:
        run = self._run
        if run.outcome is not None:
            return
        if self._root is not None:
            run.discard(self._root)
        reason = _member(fact.data, "reason")
        run.outcome = Cancelled(None if reason is None else str(reason))
        run.commands.finish(Finish(run.outcome))

    def _inform(self, fact: Fact) -> None:
        """Take note of a fact that changes nothing but how time is counted."""
        run = self._run
        if run.outcome is not None:
            return
        if fact.kind is FactKind.RUN_TAKEN_UP:
            run.steps.lacked_a_process(_time(fact.data, "since", run.now), run.now)
        elif fact.kind is FactKind.TASK_HELD:
            held = _member(fact.data, "by") is not None
            timed = run.commands.waiting_for(fact.key)
            if timed is not None:
                timed.be(Phase.HELD if held else Phase.PEOPLE_QUEUE, run.now)

    def _count(self, fact: Fact) -> None:
        """Count the time of the step that a fact answers, as far as the answer says more of it."""
        run = self._run
        timed, command = run.commands.waiting_for(fact.key), run.commands.get(fact.key)
        if timed is None or run.outcome is not None:
            return
        if isinstance(command, ArmTimer) and command.due is not None:
            timed.was_late(command.due, run.now)
        elif isinstance(command, StartChild):
            other = is_of_other_team(run.definition, command)
            timed.divide(parts_of(_member(fact.data, "times"), of_other_team=other), run.now)

    def _arm(self, fact: Fact) -> None:
        """Issue a timer again with the time that was chosen for it."""
        command = self._run.commands.get(fact.key)
        if isinstance(command, ArmTimer) and command.due is None:
            due = instants.read(str(_member(fact.data, "due")))
            self._run.commands.replace(replace(command, due=due))

    def _awaits_child(self, key: str) -> bool:
        command = self._run.commands.get(key)
        return isinstance(command, StartChild) and command.wait


def _time(data: JSON, name: str, default: datetime) -> datetime:
    """A time in the data of a fact; facts of earlier releases do not have it."""
    found = _member(data, name)
    return default if found is None else instants.read(str(found))


def _member(data: JSON, name: str) -> JSON:
    return data.get(name) if isinstance(data, dict) else None
