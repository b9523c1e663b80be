"""The ways that a run can go at a task: the machine tells them, branch coverage counts them.

A way is text for people, told apart by the task at which it stands.
"""

from __future__ import annotations

from typing import Final

# `if`
RUNS: Final = "runs"
SKIPPED: Final = "is skipped"
# `switch` without a default, and no case that matches
NO_CASE: Final = "no case matches"
# `try`
SUCCEEDS: Final = "succeeds"
CAUGHT: Final = "catches an error"
UNCAUGHT: Final = "lets an error pass"
RETRIED: Final = "tries again"
UNRETRIED: Final = "does not try again"
SPENT: Final = "has no retries left"
# `for` and `parallelMap`
NO_ITEMS: Final = "has no items"
ITEMS: Final = "goes through all items"
STOPPED: Final = "is ended by `while`"
# `listen … until` events, the first of which comes before anything else
NO_EVENT: Final = "ends without an event"
# `humanTask`
ANSWERED: Final = "is answered"
EXPIRES: Final = "is never answered"
# `timeout`, and the argument `timeout` of `localFlow`
IN_TIME: Final = "ends in time"
TIMES_OUT: Final = "times out"
CALL_IN_TIME: Final = "the call ends in time"
CALL_TIMES_OUT: Final = "the call times out"
# `retry.limit.attempt.duration`
ATTEMPT_IN_TIME: Final = "a retry ends in time"
ATTEMPT_TIMES_OUT: Final = "a retry times out"


def case(name: str) -> str:
    """A `switch` goes where one of its cases says."""
    return f"case {name}"


def wins(branch: str) -> str:
    """A branch is the first of a competing `fork` to succeed."""
    return f"{branch} wins"


def takes(number: int) -> str:
    """A `listen` takes an event of one of its alternatives, which count from 1."""
    return f"takes event {number}"


def decides(outcome: str) -> str:
    """A human task is answered with one of its declared outcomes."""
    return f"is answered {outcome}"


def escalates(number: int) -> str:
    """A human task goes on to a stage of its escalation, which count from 1."""
    return f"escalates ({number})"


def limits(kind: str) -> tuple[str, str]:
    """What a limit of time can come to, by its kind: the end of the work, or of the time."""
    return _LIMITS[kind]


_LIMITS: Final = {
    "timeout": (IN_TIME, TIMES_OUT),
    "call": (CALL_IN_TIME, CALL_TIMES_OUT),
    "attempt": (ATTEMPT_IN_TIME, ATTEMPT_TIMES_OUT),
}
