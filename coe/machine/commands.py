"""The commands of the machine to its caller, and its reports on steps.

A command is pending until a fact with its key answers it, or `Cancel` with its key withdraws it;
`Machine.pending()` gives all pending ones. The same key is the same piece of work in every process
and after every crash: carry it out once, and store the answer. For facts see `coe.machine.facts`.

| command         | do                                                | answered by                |
|-----------------|---------------------------------------------------|----------------------------|
| `RunLeaf`       | carry out a call (`coe.leaves.leaf.run_leaf`)     | LEAF_COMPLETED, …_FAULTED  |
| `ArmTimer`      | fire at `due`                                     | (TIMER_ARMED,) TIMER_FIRED |
| `OpenHumanTask` | open the task, unless one with this key is open   | TASK_ANSWERED, …_EXPIRED   |
| `AwaitEvent`    | deliver events whose type is among `types`        | EVENT_CONSUMED (no key)    |
| `EmitEvent`     | publish the event                                 | EVENT_EMITTED              |
| `StartChild`    | start a run of `flow`, once for the key           | CHILD_…                    |
| `Cancel`        | stop the work of the key; ignore late answers     | -                          |
| `Finish`        | close the run                                     | -                          |

Arguments, inputs and outputs may hold personal data. `RunLeaf.authentication` holds credentials and
must not be stored anywhere. Neither is in the `repr` of a command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from coe.json_types import JSON
from coe.language.functions import excluded_by


@dataclass(frozen=True, slots=True)
class RunLeaf:
    """Carry out a call, with `key` as `Idempotency-Key`.

    `kind` is the function: "http", "openapi", "decision" or "notify". `arguments` are the call's
    `with`, evaluated, URI templates included, without authentication. `authentication` is the
    evaluated policy, such as `{"basic": {"username", "password"}}`; it comes from secrets and is
    never journaled. `document_authentication` is the policy for fetching an OpenAPI document.
    `secrets` are texts to redact from the answer. `traceparent` is the W3C trace context to pass
    on, with the step as the parent; None for a run without a trace. `team` owns the flow and `run`
    is the id of the run: they decide what the call may reach, and who is notified of a refusal.
    """

    key: str
    path: str
    name: str
    kind: str
    arguments: JSON = field(repr=False)
    attempt: int = 1
    authentication: JSON = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    traceparent: str | None = None
    team: str = ""
    run: str = ""
    document_authentication: JSON = field(default=None, repr=False)


class TimerReason(StrEnum):
    """The purpose of a timer."""

    RETRY = "RETRY"
    TIMEOUT = "TIMEOUT"
    WAIT = "WAIT"


@dataclass(frozen=True, slots=True)
class ArmTimer:
    """Record TIMER_FIRED at `due`, or at once if `due` has passed.

    Where a jitter leaves a choice, `due` is None: choose a time from `earliest` to `latest`
    (inclusive) and journal it as TIMER_ARMED; applying that issues the command again, with `due`.
    A retry of the run issues its timers again; the newest `due` of a key counts.
    """

    key: str
    path: str
    name: str
    reason: TimerReason
    due: datetime | None
    earliest: datetime
    latest: datetime


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of an escalation: from `at` on the task asks `to` too, unless it is answered."""

    at: datetime
    to: str


@dataclass(frozen=True, slots=True)
class OpenHumanTask:
    """Open a human task.

    `arguments` are those of `humanTask:1@default`, evaluated: `{title, instructions?, context?,
    candidates: {roles}, exclude?, form?, outcomes?, approvals?}`. TASK_ESCALATED is
    recorded at each of `stages`, which are in the order of their times, and TASK_EXPIRED when `due`
    has passed and no stage is left, or TASK_FAULTED if it cannot be opened. Without `due` the task
    waits forever. `reminders` are the times at which its candidates are reminded. `approvals` equal
    answers of different persons make one TASK_ANSWERED; the caller counts them
    (`coe.machine.approvals`). `place` are the pointers of
    the calls of functions around the task, and its own.
    """

    key: str
    path: str
    name: str
    arguments: JSON = field(repr=False)
    approvals: int = 1
    due: datetime | None = None
    stages: tuple[Stage, ...] = ()
    reminders: tuple[datetime, ...] = ()
    place: tuple[str, ...] = ()

    @property
    def expires(self) -> datetime | None:
        """When the task expires: at `due`, or with a later stage; None if it never does."""
        if self.due is None:
            return None
        return max([self.due, *(stage.at for stage in self.stages)])

    @property
    def exclude(self) -> tuple[str, ...]:
        """Who may not answer, with the default of a task that has `approvals`."""
        return excluded_by(self.arguments if isinstance(self.arguments, dict) else {})

    @property
    def roles(self) -> tuple[str, ...]:
        """Who is asked first, as the definition has it: `role`, `team/role` or `*/role`."""
        arguments = self.arguments if isinstance(self.arguments, dict) else {}
        candidates = arguments.get("candidates")
        roles = candidates.get("roles") if isinstance(candidates, dict) else None
        return tuple(map(str, roles)) if isinstance(roles, list) else ()

    @property
    def every_role(self) -> tuple[str, ...]:
        """Who is asked, first or by the escalation, as `roles` has them."""
        return (*self.roles, *(stage.to for stage in self.stages))

    @property
    def question(self) -> str:
        """What tells this task from the other tasks of its definition.

        It is the same for a task that is asked again, on a further visit, iteration or attempt; a
        loop that asks other roles asks another question.
        """
        return "\n".join((*self.place, *sorted(self.roles)))


@dataclass(frozen=True, slots=True)
class AwaitEvent:
    """Deliver events as EVENT_CONSUMED facts; the machine matches and correlates them.

    `types` are the only CloudEvent types that can match, or None if any can. Events that arrived
    since the start of the run are delivered too, in the order of their arrival. A run can only
    consume the types in `Machine.event_types`. `Cancel` follows when the task has its events.
    """

    key: str
    path: str
    name: str
    types: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class EmitEvent:
    """Publish a CloudEvent in structured form, with `specversion`, `id` and `time` set."""

    key: str
    path: str
    name: str
    event: dict[str, JSON] = field(repr=False)


@dataclass(frozen=True, slots=True)
class StartChild:
    """Start a run of another flow, once for the key, which is also its idempotency key.

    `flow` is "namespace/name@version" as RUN_STARTED resolved it (as written, if it did not).
    `local` means a registered flow of a team (`localFlow`), else a catalogued process
    (`run: workflow`). With `wait`, CHILD_COMPLETED or CHILD_FAULTED answers the command
    (CHILD_STARTED before it only informs); without, CHILD_STARTED does. The machine itself limits
    the time of the call, with a timer.
    """

    key: str
    path: str
    name: str
    flow: str
    input: JSON = field(repr=False)
    local: bool
    wait: bool = True


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop the work of the key, if it is under way; there is no answer."""

    key: str


@dataclass(frozen=True, slots=True)
class Completed:
    """The run completed."""

    output: JSON = field(repr=False)


@dataclass(frozen=True, slots=True)
class Faulted:
    """The run faulted with an error (RFC 7807 object) that nothing caught."""

    error: dict[str, JSON] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The run was cancelled."""

    reason: str | None = field(default=None, repr=False)


RunOutcome = Completed | Faulted | Cancelled


@dataclass(frozen=True, slots=True)
class Finish:
    """Close the run with its outcome. RUN_RETRIED may reopen a faulted run."""

    outcome: RunOutcome
    key: str = ""


Command = RunLeaf | ArmTimer | OpenHumanTask | AwaitEvent | EmitEvent | StartChild | Cancel | Finish
PendingCommand = RunLeaf | ArmTimer | OpenHumanTask | AwaitEvent | EmitEvent | StartChild


class StepState(StrEnum):
    """The state of one execution of a task."""

    RUNNING = "RUNNING"
    WAITING = "WAITING"
    COMPLETED = "COMPLETED"
    FAULTED = "FAULTED"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"
    RETRYING = "RETRYING"


class WaitCause(StrEnum):
    """For what a step waits."""

    OPERATOR = "OPERATOR"
    """The run has faulted, and somebody has to retry it."""
    MAINTENANCE = "MAINTENANCE"
    """The platform is stopped on purpose."""
    PEOPLE_QUEUE = "PEOPLE_QUEUE"
    """A human task that nobody has claimed."""
    OTHER_TEAM = "OTHER_TEAM"
    """A called run of another team that its worker has not taken, or that itself waits."""
    EVENT = "EVENT"
    """An event."""
    DISPATCH = "DISPATCH"
    """A process that carries it on: a worker of the platform, or of the own team."""
    RETRY = "RETRY"
    """The delay before a further attempt."""
    TIMER = "TIMER"
    """A time."""


class Phase(StrEnum):
    """What a step does at a moment. Of several steps that are open inside it the first counts."""

    WORK = "WORK"
    HELD = "HELD"
    """A person works: who has claimed the human task."""
    OPERATOR = "OPERATOR"
    MAINTENANCE = "MAINTENANCE"
    PEOPLE_QUEUE = "PEOPLE_QUEUE"
    OTHER_TEAM = "OTHER_TEAM"
    EVENT = "EVENT"
    DISPATCH = "DISPATCH"
    RETRY = "RETRY"
    TIMER = "TIMER"

    @property
    def waits(self) -> bool:
        """Whether the step waits in this phase."""
        return self not in {Phase.WORK, Phase.HELD}


@dataclass(frozen=True, slots=True)
class StepTimes:
    """How long people held a step, and how long it waited for what, until `since`.

    The rest is work. `phase` is what it does since then. At the end of a step `since` is its end.
    """

    held: timedelta
    waits: Mapping[WaitCause, timedelta]
    phase: Phase
    since: datetime

    def until(self, at: datetime, phase: Phase | None = None) -> StepTimes:
        """The times until `at`, if the phase lasts until then (or another one does)."""
        lasted, of = at - self.since, phase or self.phase
        if lasted <= timedelta():
            return self
        if of is Phase.HELD:
            return replace(self, held=self.held + lasted, since=at)
        if of is Phase.WORK:
            return replace(self, since=at)
        cause = WaitCause(of.value)
        waits = {**self.waits, cause: self.waits.get(cause, timedelta()) + lasted}
        return replace(self, waits=waits, since=at)

    @property
    def waited(self) -> timedelta:
        """How long it waited, for anything."""
        return sum(self.waits.values(), timedelta())


@dataclass(frozen=True, slots=True)
class StepUpdate:
    """The current state of one execution of a task; a later update of the same key replaces it.

    `key` is that of the execution, and of its command if it has one (`RunLeaf`, `OpenHumanTask`,
    `StartChild`, …). `path` is the JSON pointer of the task in the definition. `kind` is its type:
    "do", "switch", "set", …; for calls the function: "http", "humanTask", "localFlow", … .
    `attempt` counts from 1 the executions by the nearest `try` and by retries of the run.
    `iteration` has the indexes of the enclosing loops, outermost first, such as "0" or "2.1".
    `unmatched` counts the events on which an expression of a `listen` failed, and `unmatched_at` is
    the pointer of the expression that failed last. `parent_key` is the key of the step around it.
    """

    key: str
    path: str
    name: str
    kind: str
    state: StepState
    attempt: int
    iteration: str | None
    started_at: datetime
    times: StepTimes
    ended_at: datetime | None = None
    error: dict[str, JSON] | None = field(default=None, repr=False)
    unmatched: int = 0
    unmatched_at: str | None = None
    parent_key: str | None = None
