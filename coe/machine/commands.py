"""What the machine asks of whoever carries out a run, and what it tells about steps.

A command is wanted until a fact with its key answers it, or `Cancel` with its key takes it back;
`Machine.pending()` gives all that are wanted. The same key is the same piece of work in every
process and after every crash: do it once, keep the answer. Facts are in `coe.machine.facts`.

| command         | do                                                | answered by                |
|-----------------|---------------------------------------------------|----------------------------|
| `RunLeaf`       | carry out a call (`coe.leaves.leaf.run_leaf`)     | LEAF_COMPLETED, …_FAULTED  |
| `ArmTimer`      | have it fired at `due`                            | (TIMER_ARMED,) TIMER_FIRED |
| `OpenHumanTask` | open the task, unless one with this key is open   | TASK_ANSWERED, …_EXPIRED   |
| `AwaitEvent`    | hand on events whose type is among `types`        | EVENT_CONSUMED (no key)    |
| `EmitEvent`     | publish the event                                 | EVENT_EMITTED              |
| `StartChild`    | start a run of `flow`, once a key                 | CHILD_…                    |
| `Cancel`        | stop what the key names; late answers are ignored | -                          |
| `Finish`        | close the run                                     | -                          |

Arguments, inputs and outputs may hold personal data; `RunLeaf.authentication` holds credentials
and must not be stored anywhere. Neither is in a command's `repr`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from coe.json_types import JSON


@dataclass(frozen=True, slots=True)
class RunLeaf:
    """Carry out a call. `key` goes along as `Idempotency-Key`.

    `kind` is the function: "http", "openapi", "decision" or "notify". `arguments` are the call's
    `with`, evaluated, URI templates included, without authentication. `authentication` is the
    evaluated policy, such as `{"basic": {"username", "password"}}`: it comes from secrets, so it is
    never journaled.
    `secrets` are texts to blot out of whatever the call gives back. `traceparent` is the W3C trace
    context to hand on, the step being the parent; None for a run without a trace. `team` owns the
    flow and `run` is the run's id: what the call may reach, and who is told of a refusal, follow
    from them. `document_authentication` is the policy of an OpenAPI document's own address.
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
    """What a timer is for."""

    RETRY = "RETRY"
    TIMEOUT = "TIMEOUT"
    WAIT = "WAIT"


@dataclass(frozen=True, slots=True)
class ArmTimer:
    """Have TIMER_FIRED recorded when `due` has come, at once if it is past.

    Where a jitter leaves a choice, `due` is None: pick a time from `earliest` to `latest`
    (inclusive) and journal it as TIMER_ARMED; applying that issues the command again, with `due`.
    A run that is retried issues its timers again too: the newest `due` of a key counts.
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
    """What follows when a human task is not answered in time: it goes to `to`, for `after` more."""

    after: timedelta
    to: str


@dataclass(frozen=True, slots=True)
class OpenHumanTask:
    """Ask people.

    `arguments` are those of `humanTask:1@default`, evaluated: `{title, instructions?, context?,
    candidates: {roles}, exclude?, form?, outcomes?, approvals?}`. When `due` passes, the task goes
    on to the first of `stages`, and is due again `after` later; when `due` passes and no stage is
    left, TASK_EXPIRED is recorded. Without `due` it waits for ever. `reminders` are times at which
    to remind those who may answer. `approvals` answers of different persons make one
    TASK_ANSWERED; whoever opens the task counts them.
    """

    key: str
    path: str
    name: str
    arguments: JSON = field(repr=False)
    approvals: int = 1
    due: datetime | None = None
    stages: tuple[Stage, ...] = ()
    reminders: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class AwaitEvent:
    """Hand on events as EVENT_CONSUMED facts; the machine itself matches and correlates them.

    `types` are the only CloudEvent types that can match, or None where any may. Events that
    arrived since the start of the run are handed on too (`Machine.event_types` says which types a
    run can ever want), in the order of their buffered. `Cancel` follows when the task has enough.
    """

    key: str
    path: str
    name: str
    types: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class EmitEvent:
    """Publish a CloudEvent (structured form, complete: `specversion`, `id`, `time` are set)."""

    key: str
    path: str
    name: str
    event: dict[str, JSON] = field(repr=False)


@dataclass(frozen=True, slots=True)
class StartChild:
    """Start a run of another flow, once a key: the key is handed on as idempotency key.

    `flow` is "namespace/name@version" as RUN_STARTED resolved it (as written, if it did not).
    `local`: a team's registered flow (`localFlow`), else a catalogued process (`run: workflow`).
    With `wait` the command is answered by CHILD_COMPLETED or CHILD_FAULTED (CHILD_STARTED before it
    only tells), without by CHILD_STARTED. A timeout of the call is a timer of the machine's own.
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
    """Stop the work that `key` names, if it is under way; nothing needs to be answered."""

    key: str


@dataclass(frozen=True, slots=True)
class Completed:
    """The run came to its end."""

    output: JSON = field(repr=False)


@dataclass(frozen=True, slots=True)
class Faulted:
    """An error (RFC 7807 object) that nothing caught; a retry goes on from the faulted step."""

    error: dict[str, JSON] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The run was cancelled."""

    reason: str | None = field(default=None, repr=False)


RunOutcome = Completed | Faulted | Cancelled


@dataclass(frozen=True, slots=True)
class Finish:
    """Close the run with its outcome. A faulted run may be opened again by RUN_RETRIED."""

    outcome: RunOutcome
    key: str = ""


Command = RunLeaf | ArmTimer | OpenHumanTask | AwaitEvent | EmitEvent | StartChild | Cancel | Finish
PendingCommand = RunLeaf | ArmTimer | OpenHumanTask | AwaitEvent | EmitEvent | StartChild


class StepState(StrEnum):
    """Where one execution of a task stands."""

    RUNNING = "RUNNING"
    WAITING = "WAITING"
    COMPLETED = "COMPLETED"
    FAULTED = "FAULTED"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"
    RETRYING = "RETRYING"


@dataclass(frozen=True, slots=True)
class StepUpdate:
    """The present state of one execution of a task; a later change of the same key replaces it.

    `key` is that of the execution, and of its command if it has one (`RunLeaf`, `OpenHumanTask`,
    `StartChild`, …). `path` is the JSON pointer of the task in the definition. `kind` is its type:
    "do", "switch", "set", …, for calls the function: "http", "humanTask", "localFlow", … .
    `attempt` counts from 1: executions by the retries of the nearest `try` and of the run.
    `iteration` holds the indexes of the enclosing loops, outermost first, such as "0" or "2.1".
    """

    key: str
    path: str
    name: str
    kind: str
    state: StepState
    attempt: int
    iteration: str | None
    started_at: datetime
    ended_at: datetime | None = None
    error: dict[str, JSON] | None = field(default=None, repr=False)
