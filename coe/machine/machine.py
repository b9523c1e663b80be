"""The machine: a definition and a journal in, commands out. It does no I/O.

It has no clock and no randomness: times come with the facts, a choice of delay is a fact. Facts are
applied one at a time in journal order, and each is carried to quiescence before the next, so the
same facts give the same commands in every process. Applying a fact costs what it causes, however
long the journal is.

The semantics are those of the Open Workflow DSL 1.0.3 as language.md narrows it. They live in the
modules beside this one: `machine_tasks` has the order of the data flow, `machine_control`,
`machine_try`, `machine_calls`, `machine_functions`, `machine_listen` and `machine_simple` the task
types, `machine_fibers` what makes concurrency deterministic.

When a fault is raised, who catches it is found before anything is given up (`raise_or_halt`). A
fault that nobody catches therefore leaves the run as it stands, and RUN_RETRIED goes on from the
faulted step: a leaf runs again under a new key, its cancelled neighbours go on under theirs, and
what was completed stays completed. The clocks of timeouts and human tasks stand while the run does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final

from coe.json_types import JSON
from coe.language.model.definition import Definition
from coe.language.model.task import Task
from coe.machine.commands import (
    ArmTimer,
    Cancelled,
    Command,
    Finish,
    PendingCommand,
    RunOutcome,
    StartChild,
    StepUpdate,
)
from coe.machine.data import RunDescriptor
from coe.machine.event_filters import event_types
from coe.machine.facts import Fact, FactKind
from coe.machine.fibers import EvaluateJq, Fiber
from coe.machine.flow import run_definition
from coe.machine.interpreter import BranchObserver, Interpreter
from coe.machine.task_bodies import TASK_BODIES

__all__ = ["BranchObserver", "EvaluateJq", "Machine", "RunContext"]


@dataclass(frozen=True, slots=True)
class RunContext:
    """What is the same for the whole run.

    `id` is the run's, `trace_id` its W3C trace id if it has one. `secrets` are read anew in every
    process and never journaled; of them a definition sees those that it declares. `max_visits` is
    how often a task may be entered before it faults, where RUN_STARTED does not say it.
    """

    id: str
    correlation_id: str = ""
    secrets: Mapping[str, JSON] = field(default_factory=dict, repr=False)
    max_visits: int = 10_000
    trace_id: str | None = None


class Machine:
    """One run, as far as its facts have come."""

    def __init__(
        self,
        definition: Definition,
        run: RunContext,
        evaluate: EvaluateJq,
        *,
        observer: BranchObserver | None = None,
    ) -> None:
        """Be ready for RUN_STARTED.

        `evaluate(program, variables, input)` runs a jq program and raises `ExpressionError`; the
        same arguments must give the same result in every process. `observer` looks on, for the
        coverage of tests, and changes nothing.
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
        )
        self._root: Fiber | None = None

    @property
    def outcome(self) -> RunOutcome | None:
        """How the run ended; None while it goes on. A retry makes `Faulted` None again."""
        return self._run.outcome

    async def apply(self, fact: Fact) -> list[Command]:
        """Take one fact, and give what follows from it: new commands, and those taken back.

        A fact that answers nothing that is wanted changes nothing. When the run ends, `Finish` is
        the last command. Look at `exceeded` then.

        Raises:
            ValueError: the fact is not one that a journal can hold at this site.
        """
        run = self._run
        run.now = fact.at
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
                run.resume()
            case FactKind.EVENT_CONSUMED:
                run.events.receive(_member(fact.data, "event"))
            case FactKind.TASK_ESCALATED:
                pass
            case FactKind.TIMER_ARMED:
                self._arm(fact)
            case FactKind.CHILD_STARTED if self._awaits_child(fact.key):
                pass
            case _:
                run.commands.answer(fact)
        await run.scheduler.run()
        run.limits.end()
        return run.commands.issued()

    def exceeded(self) -> list[Fact]:
        """What the journal must say before the fact that was applied last.

        Whoever folds a journal must find nothing here: else the fold is not what the journal says,
        because this process is slower than the one that wrote it, and it must be tried again.
        """
        return self._run.limits.facts(self._run.now)

    def pending(self) -> list[PendingCommand]:
        """All that is wanted and not yet answered, in the order in which it was asked for."""
        return [] if self.outcome is not None else self._run.commands.pending()

    def changed_steps(self) -> list[StepUpdate]:
        """The steps that changed since the last call, each once, in its present state."""
        return self._run.steps.changed()

    def enclosing_tasks(self, key: str) -> list[Task]:
        """The tasks around the step that issued the command `key`, from the inside."""
        return self._run.steps.enclosing_tasks(key)

    def consumed(self, event: JSON) -> bool:
        """Whether an event that was applied (this very object) was taken by a listening task."""
        return any(each.event is event and each.taken for each in self._run.events.kept)

    def _start(self, fact: Fact) -> None:
        run = self._run
        if run.descriptor.started_at is not None:
            raise ValueError("a run starts once")
        data = fact.data if isinstance(fact.data, dict) else {}
        run.descriptor.started_at = fact.at
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

    def _arm(self, fact: Fact) -> None:
        """Take the time that was chosen for a timer, and ask for the timer again with it."""
        command = self._run.commands.get(fact.key)
        if isinstance(command, ArmTimer) and command.due is None:
            due = datetime.fromisoformat(str(_member(fact.data, "due")))
            self._run.commands.replace(replace(command, due=due))

    def _awaits_child(self, key: str) -> bool:
        command = self._run.commands.get(key)
        return isinstance(command, StartChild) and command.wait


def _member(data: JSON, name: str) -> JSON:
    return data.get(name) if isinstance(data, dict) else None
