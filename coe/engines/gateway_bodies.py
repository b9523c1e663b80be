"""What of a worker's messages reaches Prefect: states and ids; never what an exception said."""

from __future__ import annotations

from typing import Any, Final

from coe.engines.gateway_rules import Call

MESSAGE: Final = "see the run"
"""In place of a message: a team's exception may quote what it worked on."""

_TELLTALE: Final = frozenset({"FAILED", "CRASHED"})
_PATCHED: Final = frozenset({"empirical_policy", "flow_version", "infrastructure_pid"})
_TASK_RUN: Final = "prefect.task-run."
_EVENTS: Final = (_TASK_RUN, "prefect.flow-run.", "prefect.worker.")


def without_messages(call: Call, body: Any) -> Any:
    """The body to pass on, None if it says what a worker may not say.

    Of a flow run a worker may change what its own client does: neither parameters nor tags.
    """
    if call.rule.path.endswith("/set_state"):
        if not isinstance(body, dict) or not isinstance(body.get("state"), dict):
            return None
        return {**body, "state": _quiet(body["state"])}
    if call.rule.method == "PATCH" and call.rule.path.endswith("{flow_run}"):
        return body if isinstance(body, dict) and body.keys() <= _PATCHED else None
    if call.rule.path == "/logs/":
        return [{**each, "message": MESSAGE} for each in body]
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
    if state.get("type") in _TELLTALE or state.get("message"):
        return {**state, "message": MESSAGE}
    return state
