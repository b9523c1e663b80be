"""What of a worker's messages reaches Prefect: states and ids; never what an exception said."""

from __future__ import annotations

from typing import Any, Final

from coe.gateway.rules import Call

MESSAGE: Final = "see the run"
"""In place of a message: a team's exception may quote what it worked on."""

_TELLTALE: Final = frozenset({"FAILED", "CRASHED"})
_PATCHED: Final = frozenset({"empirical_policy", "flow_version", "infrastructure_pid"})
_LABELS: Final = frozenset(
    {
        "__OTEL_TRACEPARENT",
        "prefect.work-pool.id",
        "prefect.work-pool.name",
        "prefect.worker.name",
        "prefect.worker.type",
    }
)
_LOG: Final = frozenset({"flow_run_id", "level", "task_run_id", "timestamp", "worker_id"})
_LOGGER: Final = "prefect.flow_runs"
_STATE: Final = frozenset({"id", "message", "name", "state_details", "timestamp", "type"})
"""Not `data`: a result would stand there in clear."""
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
"""Prefect's own; for any other it takes the one of the type."""
_WORDS: Final = frozenset({"cache_key", "pause_key", "run_input_keyset", "task_parameters_id"})
"""Of a state's details: what may be any text."""
_TASK_RUN: Final = "prefect.task-run."
_EVENTS: Final = (_TASK_RUN, "prefect.flow-run.", "prefect.worker.")


def without_messages(call: Call, body: Any) -> Any:
    """The body to pass on, None if it says what a worker may not say.

    Of a flow run a worker may change what its own client does: neither parameters nor tags, and
    no labels of its own.
    """
    if call.rule.path.endswith("/set_state"):
        if not isinstance(body, dict) or not isinstance(body.get("state"), dict):
            return None
        return {**body, "state": _quiet(body["state"])}
    if call.rule.method == "PATCH" and call.rule.path.endswith("{flow_run}"):
        return body if isinstance(body, dict) and body.keys() <= _PATCHED else None
    if call.rule.path.endswith("/labels"):
        return body if isinstance(body, dict) and body.keys() <= _LABELS else None
    if call.rule.path == "/logs/":
        return [_log(each) for each in body]
    return body


def quiet_event(event: dict[str, Any]) -> dict[str, Any] | None:
    """The event to pass on, None if it is not of a flow run, a task run or a worker.

    The recorder of task runs takes ids of the payload before those of the resources, so a payload
    may not name any.
    """
    resource = event.get("resource")
    if not isinstance(resource, dict):
        return None
    subject = str(resource.get("prefect.resource.id", ""))
    payload = event.get("payload") or {}
    task_run = payload.get("task_run") or {} if isinstance(payload, dict) else None
    if not subject.startswith(_EVENTS) or not isinstance(task_run, dict):
        return None
    if task_run.keys() & {"id", "flow_run_id", "state"}:
        return None
    quieted = dict(event)
    if "prefect.state-message" in resource:
        quieted["resource"] = {**resource, "prefect.state-message": MESSAGE}
    states = {
        name: _quiet(payload[name])
        for name in ("validated_state", "initial_state")
        if isinstance(payload.get(name), dict)
    }
    quieted["payload"] = {**payload, **states}
    return quieted


def _quiet(state: dict[str, Any]) -> dict[str, Any]:
    quiet = {name: value for name, value in state.items() if name in _STATE}
    if quiet.get("name") not in _STATE_NAMES:
        quiet.pop("name", None)
    details = quiet.get("state_details")
    if isinstance(details, dict):
        quiet["state_details"] = {
            name: value for name, value in details.items() if name not in _WORDS
        }
    if state.get("type") in _TELLTALE or state.get("message"):
        quiet["message"] = MESSAGE
    return quiet


def _log(entry: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in entry.items() if name in _LOG}
    return {**kept, "name": _LOGGER, "message": MESSAGE}
