"""The simulation of a run: stubs answer, and the clock jumps to the next fact that is due."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

from coe.formats import instants
from coe.json_types import JSON
from coe.language.branches import outcomes
from coe.language.event_attributes import event_problems, without_nulls
from coe.language.model.definition import Definition
from coe.leaves.asked_roles import unknown_role
from coe.leaves.declared import Declared, Refusal, may_mean, used_ref
from coe.leaves.leaf import LeafFault
from coe.machine.commands import (
    ArmTimer,
    Cancel,
    Cancelled,
    Command,
    Completed,
    EmitEvent,
    Finish,
    OpenHumanTask,
    RunLeaf,
    StartChild,
    StepUpdate,
    TimerReason,
)
from coe.machine.errors import standard_error
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import EvaluateJq, Machine, RunContext, StepData
from coe.testing.agenda import Agenda, delayed
from coe.testing.cases import SimulationCase, Trace
from coe.testing.missing_stubs import NoAnswerError, missing_stub
from coe.testing.people import TESTER, approvers, exclusions, human_answers
from coe.testing.stubs import fault_of

# Facts with a key whose command stays pending.
_INFORMING: Final = {
    *(FactKind.CHILD_STARTED, FactKind.TIMER_ARMED),
    *(FactKind.TASK_ESCALATED, FactKind.TASK_HELD),
}
# The pointer of the task of a declared function, which runs as one more step below its call.
_FUNCTION: Final = re.compile(r"/use/functions/[^/]+")

LeafRunner = Callable[[RunLeaf], Awaitable[JSON]]
"""Carries out a call that has no stub; raises `LeafFault`, or `NoAnswerError` if it does not."""


class Simulation:
    """One simulated run: its machine, a clock, and the agenda of facts to come."""

    def __init__(
        self,
        definition: Definition,
        case: SimulationCase,
        evaluate: EvaluateJq,
        runner: LeafRunner | None,
        exact: Mapping[str, str],
    ) -> None:
        self._case = case
        self._runner = runner
        self._declared = Declared.of(definition)
        self._team = definition.document.namespace
        self._exact = {**exact, **case.flows}
        context = RunContext(case.run_id, secrets=case.secrets, max_visits=case.max_visits)
        self._branch_outcomes: set[tuple[str, str]] = set()
        self._machine = Machine(
            definition,
            context,
            evaluate,
            observer=self._observe,
            data_observer=self._keep_data if case.traced else None,
        )
        self._now = case.now
        self._agenda = Agenda()
        self._calls: dict[str, int] = {}
        self._unanswered: dict[str, datetime] = {}
        self._steps: dict[str, StepUpdate] = {}
        self._events: list[JSON] = []
        self._journal: list[Fact] = []
        self._commands: list[Command] = []
        self._issued_at: list[datetime] = []
        self._ended_at: datetime | None = None
        self._escalations: dict[str, list[str]] = {}
        self._mistakes: dict[str, None] = {}
        self._unreached: dict[str, str | None] = {}
        self._event_mistakes: list[str] = []
        self._stopped = False
        self._data: dict[str, StepData] = {}
        self._unmatched: list[tuple[str, str]] = []
        self._asked: dict[str, OpenHumanTask] = {}
        self._answered: list[tuple[str, str]] = []

    async def go(self) -> None:
        """Run until nothing more can happen."""
        data: JSON = {"input": self._case.input, "flows": dict(self._case.flows)}
        self._agenda.add(Fact(FactKind.RUN_STARTED, self._now, data=data))
        for number, event in enumerate(self._case.events, start=1):
            at, bare = delayed(event, self._now)
            named = {"specversion": "1.0", "id": f"event-{number}", "source": "/tests"} | bare
            for problem in event_problems(without_nulls(named)):
                self._event_mistakes.append(f"event {number}: {problem.path}: {problem.message}")
            self._agenda.add(Fact(FactKind.EVENT_CONSUMED, at, data={"event": named}))
        for fact in self._case.facts:
            self._agenda.add(fact)
        while not self._stopped and not isinstance(self._machine.outcome, Completed | Cancelled):
            upcoming = self._agenda.next(self._patience_ends())
            if upcoming is None:
                return
            self._now = upcoming.at
            await self._apply(upcoming)

    def trace(self) -> Trace:
        """The result of the run."""
        return Trace(
            outcome=self._machine.outcome,
            ended_at=self._ended_at or self._now,
            steps=list(self._steps.values()),
            events=self._events,
            journal=self._journal,
            commands=self._commands,
            waiting=self._machine.pending(),
            issued_at=self._issued_at,
            branch_outcomes=frozenset(self._branch_outcomes),
            mistakes=list(self._mistakes),
            event_mistakes=self._event_mistakes,
            missing=[
                missing
                for command in self._machine.pending()
                if command.key in self._unanswered
                and (missing := missing_stub(command, self._unreached.get(command.key)))
            ],
            data=self._data | {each.key: each for each in self._open_data()},
            unmatched=self._unmatched,
            unused=dict(self._unused_stubs()),
        )

    def _unused_stubs(self) -> Iterator[tuple[str, int]]:
        for place, answers in self._case.stubs.items():
            calls = self._calls.get(place, 0)
            if calls < (len(answers) if isinstance(answers, list) else 1):
                yield place, calls

    def _open_data(self) -> list[StepData]:
        return self._machine.open_data() if self._case.traced else []

    def _keep_data(self, data: StepData) -> None:
        self._data[data.key] = data

    def _observe(self, pointer: str, outcome: str) -> None:
        self._branch_outcomes.add((pointer, outcome))

    def _patience_ends(self) -> datetime | None:
        """The time after which deadlines do not expire; None without limit."""
        if self._case.patience is None or not self._unanswered:
            return None
        return min(self._unanswered.values()) + self._case.patience

    async def _apply(self, fact: Fact) -> None:
        if fact.kind not in _INFORMING:
            self._unanswered.pop(fact.key, None)
            self._agenda.drop(fact.key)
        if fact.kind is FactKind.TASK_ESCALATED and fact.key in self._escalations:
            stages = self._escalations[fact.key]
            stages.append(outcomes.escalates(len(stages)))
            self._branch_outcomes.add((stages[0], stages[-1]))
        if fact.kind is FactKind.TASK_ANSWERED and fact.key in self._asked:
            self._judge(self._asked.pop(fact.key), fact.data)
        commands = await self._machine.apply(fact)
        self._journal.extend([*self._machine.exceeded(), fact])
        self._unmatched += [
            (str(use.event.get("id")), use.pointer)
            for use in self._machine.event_uses()
            if not use.taken
        ]
        for change in self._machine.changed_steps():
            self._steps[change.key] = change
        self._commands.extend(commands)
        self._issued_at.extend([self._now] * len(commands))
        for command in commands:
            await self._carry_out(command)
        if self._machine.outcome is None:
            self._ended_at = None
            pending = {command.key for command in self._machine.pending()}
            self._unanswered = {k: at for k, at in self._unanswered.items() if k in pending}

    # ------------------------------------------------------------ commands
    async def _carry_out(self, command: Command) -> None:
        match command:
            case RunLeaf() | StartChild() if (refusal := self._refusal(command)) is not None:
                self._refuse(command, refusal)
            case RunLeaf():
                await self._call(command)
            case ArmTimer():
                self._arm(command)
            case OpenHumanTask():
                self._ask(command)
            case StartChild():
                self._start(command)
            case EmitEvent():
                self._emit(command)
            case Cancel():
                self._agenda.drop(command.key)
                self._unanswered.pop(command.key, None)
            case Finish():
                self._ended_at = self._now
            case _:
                self._unanswered[command.key] = self._now

    def _refusal(self, command: RunLeaf | StartChild) -> Refusal | None:
        """As in a run; a ref that nothing here resolves may be any version that it may mean."""
        ref = used_ref(command)
        if ref is None:
            return self._declared.refusal(command, {})
        written = (self._declared.flows | self._declared.decisions) - self._exact.keys()
        meant = {each: ref for each in written if may_mean(each, ref)}
        return self._declared.refusal(command, self._exact | meant)

    def _refuse(self, command: RunLeaf | StartChild, refusal: Refusal) -> None:
        kind = FactKind.LEAF_FAULTED if isinstance(command, RunLeaf) else FactKind.CHILD_FAULTED
        error = standard_error("authorization", title=refusal.title, instance=command.path)
        self._answer(kind, command.key, {"error": error})

    def _emit(self, command: EmitEvent) -> None:
        """Send an event; it reaches every run that matches, and so this one too."""
        self._events.append(command.event)
        self._answer(FactKind.EVENT_EMITTED, command.key, {"event": command.event})
        wanted = self._machine.event_types
        if wanted is None or command.event.get("type") in wanted:
            self._answer(FactKind.EVENT_CONSUMED, "", {"event": command.event})

    async def _call(self, command: RunLeaf) -> None:
        stub = self._stub(command)
        if stub is not None:
            self._reply(command.key, stub, FactKind.LEAF_COMPLETED, FactKind.LEAF_FAULTED)
            return
        try:
            output = await self._run_leaf(command)
        except NoAnswerError as missing:
            self._lack(command, missing.host)
        except LeafFault as fault:
            self._answer(FactKind.LEAF_FAULTED, command.key, {"error": fault.error})
        else:
            self._answer(FactKind.LEAF_COMPLETED, command.key, {"output": output})

    async def _run_leaf(self, command: RunLeaf) -> JSON:
        if self._runner is None:
            raise NoAnswerError
        return await self._runner(command)

    def _lack(self, command: RunLeaf, host: str | None) -> None:
        """Note that nothing answers a call, which is never made then: the run stops there."""
        self._unanswered[command.key] = self._now
        self._unreached[command.key] = host
        missing = missing_stub(command, host)
        if self._case.patience is None and missing is not None:
            self._mistakes[str(missing)] = None
            self._stopped = True

    def _start(self, command: StartChild) -> None:
        stub = self._stub(command)
        if not command.wait:
            self._answer(FactKind.CHILD_STARTED, command.key, {"run": command.key[:32]})
        elif stub is None:
            self._unanswered[command.key] = self._now
        else:
            self._reply(command.key, stub, FactKind.CHILD_COMPLETED, FactKind.CHILD_FAULTED)

    def _arm(self, command: ArmTimer) -> None:
        if command.due is None:
            due = command.earliest + (command.latest - command.earliest) / 2
            self._answer(FactKind.TIMER_ARMED, command.key, {"due": instants.write(due)})
            return
        self._agenda.drop(command.key)
        fact = Fact(FactKind.TIMER_FIRED, max(command.due, self._now), command.key)
        self._agenda.add(fact, deadline=command.reason is TimerReason.TIMEOUT)

    def _ask(self, command: OpenHumanTask) -> None:
        error = unknown_role(command, self._team, self._case.names)
        if error is not None:
            self._answer(FactKind.TASK_FAULTED, command.key, {"error": error})
            return
        self._asked[command.key] = command
        stub = self._stub(command)
        if stub is None or stub.get("silent"):
            if stub is None:
                self._unanswered[command.key] = self._now
            self._expire(command)
            return
        answered, mistakes = human_answers(command, stub, self._now)
        self._mistakes |= dict.fromkeys(mistakes)
        self._expire(command)
        if answered is None:  # too few people agree on one answer
            self._unanswered[command.key] = self._now
        else:
            self._agenda.add(answered)

    def _judge(self, command: OpenHumanTask, answer: JSON) -> None:
        """Note a mistake if a person who answers is excluded; the tester stands for anybody."""
        for by in approvers(answer):
            if by != TESTER:
                self._mistakes |= dict.fromkeys(exclusions(command, by, self._answered))
        self._answered += [(by, command.question) for by in approvers(answer) if by != TESTER]

    def _expire(self, command: OpenHumanTask) -> None:
        """Add the escalations of a task to the agenda, and its expiry after them."""
        self._escalations[command.key] = [command.path]
        for stage in command.stages:
            escalated = Fact(FactKind.TASK_ESCALATED, stage.at, command.key, {"to": stage.to})
            self._agenda.add(escalated, deadline=True)
        if command.expires is not None:
            expired = Fact(FactKind.TASK_EXPIRED, command.expires, command.key)
            self._agenda.add(expired, deadline=True)

    # ------------------------------------------------------------ stubs
    def _stub(self, command: RunLeaf | OpenHumanTask | StartChild) -> Mapping[str, JSON] | None:
        """The answer to this call of a task: of a list, the n-th answer to the n-th call."""
        stubs = self._case.stubs
        place = next((each for each in self._places(command) if each in stubs), None)
        if place is None:
            return None
        number = self._calls[place] = self._calls.get(place, 0) + 1
        answers = stubs[place]
        if isinstance(answers, list):
            answers = answers[min(number, len(answers)) - 1]
        if not isinstance(answers, dict):
            raise TypeError(f"the stub of {place} is not an object")
        return answers

    def _places(self, command: RunLeaf | OpenHumanTask | StartChild) -> Iterator[str]:
        """The keys that stubs may use for a step: pointer or name, its own or of its call."""
        yield from (command.path, command.name)
        if _FUNCTION.fullmatch(command.path):
            for task in self._machine.enclosing_tasks(command.key):
                yield from (task.pointer, task.name)
                if not _FUNCTION.fullmatch(task.pointer):
                    return

    def _reply(
        self, key: str, stub: Mapping[str, JSON], completed: FactKind, faulted: FactKind
    ) -> None:
        at, answer = delayed(stub, self._now)
        if answer.get("silent"):
            return
        if "error" in answer or "fault" in answer:
            error = answer["error"] if "error" in answer else fault_of(answer["fault"])
            self._agenda.add(Fact(faulted, at, key, {"error": error}))
        else:
            self._agenda.add(Fact(completed, at, key, {"output": answer.get("output")}))

    def _answer(self, kind: FactKind, key: str, data: JSON) -> None:
        self._agenda.add(Fact(kind, self._now, key, data))
