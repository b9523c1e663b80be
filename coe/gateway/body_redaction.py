"""Redact what a worker sends to Prefect: states and ids pass, messages of exceptions do not."""

from __future__ import annotations

from typing import Any, Final

from coe.gateway.rules import AllowedCall

MESSAGE: Final = "see the run"
"""Replaces a message, as an exception may quote the data that it was raised over."""

_EXCEPTION_STATES: Final = frozenset({"FAILED", "CRASHED"})
_RUN_FIELDS: Final = frozenset({"empirical_policy", "flow_version", "infrastructure_pid"})
_LABELS: Final = frozenset(
    {
        "__OTEL_TRACEPARENT",
        "prefect.work-pool.id",
        "prefect.work-pool.name",
        "prefect.worker.name",
        "prefect.worker.type",
    }
)
_LOG_FIELDS: Final = frozenset({"flow_run_id", "level", "task_run_id", "timestamp", "worker_id"})
_LOGGER: Final = "prefect.flow_runs"
_STATE_FIELDS: Final = frozenset({"id", "message", "name", "state_details", "timestamp", "type"})
"""Without `data`, which may hold a result in clear."""
_STATE_NAMES: Final = frozenset(
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
_FREE_TEXT_DETAILS: Final = frozenset(
    {"cache_key", "pause_key", "run_input_keyset", "task_parameters_id"}
)
"""The details of a state that may hold any text."""
_TASK_RUN: Final = "prefect.task-run."
_EVENT_SUBJECTS: Final = (_TASK_RUN, "prefect.flow-run.", "prefect.worker.")


def redact_body(call: AllowedCall, body: Any) -> Any:
    """The body to pass on; None if a worker may not send it.

    A worker may change the fields and labels of a flow run that Prefect's client changes, but no
    parameters, tags or other labels.
    """
    if call.rule.path.endswith("/set_state"):
        if not isinstance(body, dict) or not isinstance(body.get("state"), dict):
            return None
        return {**body, "state": _redact_state(body["state"])}
    if call.rule.method == "PATCH" and call.rule.path.endswith("{flow_run}"):
        return body if isinstance(body, dict) and body.keys() <= _RUN_FIELDS else None
    if call.rule.path.endswith("/labels"):
        return body if isinstance(body, dict) and body.keys() <= _LABELS else None
    if call.rule.path == "/logs/":
        return [_redact_log(each) for each in body]
    return body


def redact_event(event: dict[str, Any]) -> dict[str, Any] | None:
    """The event to pass on; None if its subject is no flow run, task run or worker.

    Prefect's recorder of task runs prefers ids of the payload to those of the resources, so a
    payload may not contain any.
    """
    resource = event.get("resource")
    if not isinstance(resource, dict):
        return None
    subject = str(resource.get("prefect.resource.id", ""))
    payload = event.get("payload") or {}
    task_run = payload.get("task_run") or {} if isinstance(payload, dict) else None
    if not subject.startswith(_EVENT_SUBJECTS) or not isinstance(task_run, dict):
        return None
    if task_run.keys() & {"id", "flow_run_id", "state"}:
        return None
    redacted = dict(event)
    if "prefect.state-message" in resource:
        redacted["resource"] = {**resource, "prefect.state-message": MESSAGE}
    states = {
        name: _redact_state(payload[name])
        for name in ("validated_state", "initial_state")
        if isinstance(payload.get(name), dict)
    }
    redacted["payload"] = {**payload, **states}
    return redacted


def _redact_state(state: dict[str, Any]) -> dict[str, Any]:
    redacted = {name: value for name, value in state.items() if name in _STATE_FIELDS}
    if redacted.get("name") not in _STATE_NAMES:
        redacted.pop("name", None)
    details = redacted.get("state_details")
    if isinstance(details, dict):
        redacted["state_details"] = {
            name: value for name, value in details.items() if name not in _FREE_TEXT_DETAILS
        }
    if state.get("type") in _EXCEPTION_STATES or state.get("message"):
        redacted["message"] = MESSAGE
    return redacted


def _redact_log(entry: dict[str, Any]) -> dict[str, Any]:
    allowed = {name: value for name, value in entry.items() if name in _LOG_FIELDS}
    return {**allowed, "name": _LOGGER, "message": MESSAGE}
