"""The facts of a run's journal: what happened, in the order in which it was decided.

The state of a run is the replay of its facts (`coe.machine.machine`). A fact has the time at which
it was recorded (`at`), the key of the command that it answers, or "" (`key`), and a payload
(`data`). The table gives the shape of `data` for each kind. `error` is always an RFC 7807 object
`{type, status, title?, detail?, instance?}`; times are ISO 8601 with an offset.

| kind             | key            | data                                                       |
|------------------|----------------|------------------------------------------------------------|
| RUN_STARTED      | ""             | `{input, flows?, runtime?, max_visits?, requested?}`       |
| LEAF_COMPLETED   | of RunLeaf     | `{output}`                                                 |
| LEAF_FAULTED     | of RunLeaf     | `{error}`                                                  |
| TIMER_ARMED      | of ArmTimer    | `{due}`; only for a timer whose command has no `due`       |
| TIMER_FIRED      | of ArmTimer    | null                                                       |
| TASK_ANSWERED    | of a task      | `{outcome, answer, reason, by, at, approvals?}`            |
| TASK_ESCALATED   | of a task      | `{to}`; informs only, causes nothing                       |
| TASK_HELD        | of a task      | `{by}`, null when nobody has it any more; informs only     |
| TASK_EXPIRED     | of a task      | null; nobody answered until the end of the escalation      |
| TASK_FAULTED     | of a task      | `{error}`; it could not be opened                          |
| EVENT_CONSUMED   | ""             | `{event}`, a CloudEvent in structured JSON form            |
| EVENT_EMITTED    | of EmitEvent   | `{event}`, the event as sent                               |
| CHILD_STARTED    | of StartChild  | `{run}`, the id of the child run                           |
| CHILD_COMPLETED  | of StartChild  | `{output, times?}`                                         |
| CHILD_FAULTED    | of StartChild  | `{error, times?}`; also `{error, cancelled: true, times?}` |
| EXPRESSION_LIMITED | ""           | `{evaluation, reason}`: n-th evaluation of the next fact   |
| RUN_CANCELLED    | ""             | `{reason?}`                                                |
| RUN_RETRIED      | ""             | `{since?}`; a faulted run continues from its faulted step  |
| RUN_TAKEN_UP     | ""             | `{since}`; informs only                                    |

The time of a run never goes back: a fact with an earlier time than one before it happened at that
time (`Machine.now`). What informs only changes how the time of steps is counted, nothing else:
`requested` is when the run was requested; a process took the run up for facts that nobody had
taken since `since`; a retried run stood still since `since`; the called run took its `times`,
`{worked, held?, waits?: {cause: …}}` in seconds.

`approvals` of an answered task are who gave this answer, `{by, at, digest}` each
(`coe.machine.approvals`).

A repeated fact has no effect: a fact whose key was answered or cancelled before, an event with a
known `source` and `id`, a cancellation of an ended run.

EXPRESSION_LIMITED (`coe.machine.expression_limits`) means that an evaluation caused by the next
fact, counted from 1, took too long (`TIME`) or too much memory (`DIED`) in every attempt.

RUN_STARTED comes first (the cancellation of a run that never started may stand alone). `flows` maps
each reference in the definition, as written there, to its exact version when the run started.
`max_visits` is the limit of visits of a task when the run started: a setting that changes later
must not change the meaning of a journal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from coe.formats import instants
from coe.json_types import JSON


class FactKind(StrEnum):
    """The kind of a fact; the table of the module gives the shape of its data."""

    CHILD_COMPLETED = "CHILD_COMPLETED"
    CHILD_FAULTED = "CHILD_FAULTED"
    CHILD_STARTED = "CHILD_STARTED"
    EVENT_CONSUMED = "EVENT_CONSUMED"
    EVENT_EMITTED = "EVENT_EMITTED"
    EXPRESSION_LIMITED = "EXPRESSION_LIMITED"
    LEAF_COMPLETED = "LEAF_COMPLETED"
    LEAF_FAULTED = "LEAF_FAULTED"
    RUN_CANCELLED = "RUN_CANCELLED"
    RUN_RETRIED = "RUN_RETRIED"
    RUN_STARTED = "RUN_STARTED"
    RUN_TAKEN_UP = "RUN_TAKEN_UP"
    TASK_ANSWERED = "TASK_ANSWERED"
    TASK_ESCALATED = "TASK_ESCALATED"
    TASK_EXPIRED = "TASK_EXPIRED"
    TASK_FAULTED = "TASK_FAULTED"
    TASK_HELD = "TASK_HELD"
    TIMER_ARMED = "TIMER_ARMED"
    TIMER_FIRED = "TIMER_FIRED"


@dataclass(frozen=True, slots=True)
class Fact:
    """One entry of the journal. `data` may hold personal data: store it sealed, never log it."""

    kind: FactKind
    at: datetime
    key: str = ""
    data: JSON = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse a time without an offset: its meaning would depend on the machine."""
        if self.at.tzinfo is None:
            raise ValueError("a fact's time needs an offset")

    def to_json(self) -> dict[str, JSON]:
        """The fact as JSON data, as `from_json` reads it."""
        return {
            "kind": self.kind.value,
            "at": instants.write(self.at),
            "key": self.key,
            "data": self.data,
        }

    @classmethod
    def from_json(cls, value: JSON) -> Fact:
        """The fact that `to_json` wrote.

        Raises:
            TypeError: the value is not an object.
            ValueError: its kind or its time is invalid.
        """
        if not isinstance(value, dict):
            raise TypeError("a fact is a JSON object")
        return cls(
            kind=FactKind(str(value["kind"])),
            at=instants.read(str(value["at"])),
            key=str(value.get("key", "")),
            data=value.get("data"),
        )
