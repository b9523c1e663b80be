"""The forms in which values of a worker pass to Prefect, which keeps them in clear.

A form is a function from what was sent to what is passed on; `DROPPED` leaves the member out. No
form passes free text: what a worker sends may quote the data of a run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

DROPPED: Final = object()
"""A member that is left out."""

MESSAGE: Final = "see the run"
"""Replaces a message, as an exception may quote the data that it was raised over."""

Form = Callable[[Any], Any]

UUID_PATTERN: Final = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TIME: Final = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"
_MAX_NUMBER: Final = 1e9
_MAX_DIGITS: Final = 9


def matching(pattern: str) -> Form:
    """Texts of a pattern, and null."""
    compiled = re.compile(pattern, re.ASCII)

    def form(value: Any) -> Any:
        fits = value is None or (isinstance(value, str) and compiled.fullmatch(value))
        return value if fits else DROPPED

    return form


def one_of(values: Collection[str]) -> Form:
    """The given texts, and null."""
    return lambda value: value if value is None or _is_one_of(value, values) else DROPPED


def constant(text: str) -> Form:
    """Any text or null, replaced by this text; null stays."""
    return lambda value: None if value is None else text


def flag(value: Any) -> Any:
    """True, false and null."""
    return value if value is None or isinstance(value, bool) else DROPPED


def number(value: Any) -> Any:
    """Numbers up to a thousand million, and null."""
    if value is None:
        return None
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    return value if fits and abs(value) <= _MAX_NUMBER else DROPPED


def numbers(value: Any) -> Any:
    """A number or a list of numbers, such as the delays between retries."""
    if not isinstance(value, list):
        return number(value)
    return value if all(number(each) is each for each in value) else DROPPED


def key(value: Any) -> Any:
    """A key, by which Prefect tells tasks apart, as its hash."""
    if not isinstance(value, str):
        return DROPPED
    return "key-" + hashlib.sha256(value.encode()).hexdigest()[:32]


def members(forms: Mapping[str, Form]) -> Form:
    """Objects with these members, each in its form; others are left out. Null stays."""

    def form(value: Any) -> Any:
        if value is None:
            return None
        return fill(value, forms) if isinstance(value, dict) else DROPPED

    return form


def fill(value: Mapping[str, Any], forms: Mapping[str, Form]) -> dict[str, Any]:
    """The members of an object that have a form, each in its form."""
    formed = {name: forms[name](each) for name, each in value.items() if name in forms}
    return {name: each for name, each in formed.items() if each is not DROPPED}


def _is_one_of(value: Any, values: Collection[str]) -> bool:
    return isinstance(value, str) and value in values


identifier: Final = matching(UUID_PATTERN)
time: Final = matching(_TIME)
digest: Final = matching("[0-9a-f]{32,64}")
traceparent: Final = matching("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
version: Final = matching(r"\d{1,4}(\.\d{1,6}){1,3}")
digits: Final = matching(rf"\d{{1,{_MAX_DIGITS}}}")

STATE_TYPES: Final = frozenset(
    {
        "CANCELLED",
        "CANCELLING",
        "COMPLETED",
        "CRASHED",
        "FAILED",
        "PAUSED",
        "PENDING",
        "RUNNING",
        "SCHEDULED",
    }
)
STATE_NAMES: Final = frozenset(
    {
        "AwaitingConcurrencySlot",
        "AwaitingRetry",
        "Cached",
        "Cancelled",
        "Cancelling",
        "Completed",
        "Crashed",
        "Failed",
        "InfrastructurePending",
        "Late",
        "NotReady",
        "Paused",
        "Pending",
        "Resuming",
        "Retrying",
        "RolledBack",
        "Running",
        "Scheduled",
        "Submitting",
        "Suspended",
        "TimedOut",
    }
)
"""The names that Prefect defines; for any other it uses the name of the type."""

_DETAILS: Final[Mapping[str, Form]] = {
    "cache_expiration": time,
    "child_flow_run_id": identifier,
    "deferred": flag,
    "deployment_concurrency_lease_id": identifier,
    "flow_run_id": identifier,
    "pause_reschedule": flag,
    "pause_timeout": time,
    "refresh_cache": flag,
    "retriable": flag,
    "scheduled_time": time,
    "task_run_id": identifier,
    "traceparent": traceparent,
    "transition_id": identifier,
    "untrackable_result": flag,
}
_STATE: Final[Mapping[str, Form]] = {
    "id": identifier,
    "message": constant(MESSAGE),
    "name": one_of(STATE_NAMES),
    "state_details": members(_DETAILS),
    "timestamp": time,
    "type": one_of(STATE_TYPES),
}
"""Without `data`, which may hold a result in clear."""

state: Final = members(_STATE)
policy: Final = members(
    {
        "max_retries": number,
        "resuming": flag,
        "retries": number,
        "retry_delay": numbers,
        "retry_delay_seconds": numbers,
        "retry_jitter_factor": number,
        "retry_type": one_of({"in_process", "reschedule"}),
    }
)
"""How often a run is repeated."""
