"""The outcomes that a task can have: the machine reports them, branch coverage counts them.

An outcome is text for people, unique within its task.
"""

from __future__ import annotations

from typing import Final

# `if`
NOT_SKIPPED: Final = "runs"
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
    """The outcome of a `switch` whose case of this name matches."""
    return f"case {name}"


def wins(branch: str) -> str:
    """The outcome of a competing `fork` whose branch of this name succeeds first."""
    return f"{branch} wins"


def takes(number: int) -> str:
    """The outcome of a `listen` that takes an event of an alternative, which counts from 1."""
    return f"takes event {number}"


def decides(outcome: str) -> str:
    """The outcome of a human task that is answered with a declared outcome."""
    return f"is answered {outcome}"


def escalates(number: int) -> str:
    """The outcome of a human task that reaches a stage of its escalation, which counts from 1."""
    return f"escalates ({number})"


def limits(kind: str) -> tuple[str, str]:
    """The outcomes of a time limit by its kind: the work ends in time, or the time runs out."""
    return _LIMITS[kind]


_LIMITS: Final = {
    "timeout": (IN_TIME, TIMES_OUT),
    "call": (CALL_IN_TIME, CALL_TIMES_OUT),
    "attempt": (ATTEMPT_IN_TIME, ATTEMPT_TIMES_OUT),
}
