"""Redact what a worker sends to Prefect: ids, states and times pass, free text does not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from coe.engines.prefect_engine import WORKER_TYPE
from coe.gateway import forms
from coe.gateway.forms import DROPPED, MESSAGE, Form
from coe.gateway.rules import AllowedCall

WORKER_NAME: Final = "team worker"
"""Replaces the name of a worker where Prefect keeps it beside a run."""

_LOGGER: Final = "prefect.flow_runs"
_PATCH: Final[Mapping[str, Form]] = {
    "empirical_policy": forms.policy,
    "flow_version": forms.digest,
    "infrastructure_pid": forms.digits,
}
_LOG: Final[Mapping[str, Form]] = {
    "flow_run_id": forms.identifier,
    "level": forms.number,
    "task_run_id": forms.identifier,
    "timestamp": forms.time,
    "worker_id": forms.identifier,
}
_TASK_RUN: Final[Mapping[str, Form]] = {
    "cache_expiration": forms.time,
    "empirical_policy": forms.policy,
    "end_time": forms.time,
    "expected_start_time": forms.time,
    "flow_run_run_count": forms.number,
    "name": forms.constant("task run"),
    "next_scheduled_start_time": forms.time,
    "run_count": forms.number,
    "start_time": forms.time,
    "task_key": forms.key,
    "task_version": forms.digest,
    "total_run_time": forms.number,
}
_PAYLOAD: Final[Mapping[str, Form]] = {
    "initial_state": forms.state,
    "intended": forms.members(
        {name: forms.one_of(forms.STATE_TYPES) for name in ("from", "to")},
    ),
    "task_run": forms.members(_TASK_RUN),
    "validated_state": forms.state,
}
_KINDS: Final = "deployment|flow|flow-run|task-run|work-pool|work-queue"
_WORKER_ID: Final = f"prefect.worker.{WORKER_TYPE}.team-worker"
_RESOURCE: Final[Mapping[str, Form]] = {
    "prefect.orchestration": forms.one_of({"client", "server"}),
    "prefect.resource.role": forms.one_of({*_KINDS.split("|"), "tag", "worker"}),
    "prefect.run-count": forms.digits,
    "prefect.state-message": forms.constant(MESSAGE),
    "prefect.state-name": forms.one_of(forms.STATE_NAMES),
    "prefect.state-timestamp": forms.time,
    "prefect.state-type": forms.one_of(forms.STATE_TYPES),
    "prefect.version": forms.version,
    "prefect.worker-type": forms.one_of({WORKER_TYPE}),
}
_EVENT: Final[Mapping[str, Form]] = {
    "follows": forms.identifier,
    "id": forms.identifier,
    "occurred": forms.time,
}
_IDENTITY: Final = re.compile(rf"prefect\.({_KINDS})\.{forms.UUID_PATTERN}", re.ASCII)
_TAG: Final = re.compile(rf"prefect\.tag\.(coe|run:{forms.UUID_PATTERN})", re.ASCII)
_SUBJECTS: Final = ("prefect.task-run.", "prefect.flow-run.", "prefect.worker.")
_EVENT_NAME: Final = re.compile(r"prefect\.(flow-run|task-run|worker)\.([A-Za-z-]+)")
_OTHER_EVENTS: Final = frozenset(
    {"executed-flow-run", "heartbeat", "started", "stopped", "submitted-flow-run"}
)
_TASK_RUN_EVENT: Final = "task-run"
_NOT_IN_PAYLOAD: Final = frozenset({"id", "flow_run_id", "state"})
"""Prefect's recorder of task runs prefers these of the payload to those of the resources."""


def redact_body(call: AllowedCall, body: Any, *, pool: str) -> Any:
    """The body to pass on; None if a worker may not send it.

    A worker may change the fields and labels of a flow run that Prefect's client changes, but no
    parameters, tags or other labels.

    Args:
        call: The call, which a rule allows.
        body: Its body, as JSON.
        pool: The pool of the worker's team.
    """
    if call.rule.path.endswith("/set_state"):
        if not isinstance(body, dict) or not isinstance(body.get("state"), dict):
            return None
        return {"state": _redact_state(body["state"]), "force": body.get("force") is True}
    if call.rule.method == "PATCH" and call.rule.path.endswith("{flow_run}"):
        return _only(body, _PATCH)
    if call.rule.path.endswith("/labels"):
        return _only(body, _labels(pool))
    if call.rule.path == "/logs/":
        return [_redact_log(each) for each in body]
    return body


def is_known_event(event: Mapping[str, Any]) -> bool:
    """Whether an event is one that Prefect's client and workers send by themselves.

    Events that the code of a flow makes up have names and contents of their own, so none passes.
    """
    return _event_name(event) is not None


def redact_event(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """The event to pass on; None if a worker may not send it.

    Its subject is a flow run, a task run or a worker, and its payload may not say another run than
    its resources do.
    """
    resource, payload = event.get("resource"), event.get("payload") or {}
    name = _event_name(event)
    if not isinstance(resource, dict) or not isinstance(payload, dict) or name is None:
        return None
    task_run = payload.get("task_run") or {}
    if not isinstance(task_run, dict) or task_run.keys() & _NOT_IN_PAYLOAD:
        return None
    subject = _redact_resource(resource)
    if subject is None or not subject["prefect.resource.id"].startswith(_SUBJECTS):
        return None
    listed = event.get("related") or []
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        return None
    related = [_redact_resource(each) for each in listed]
    redacted = {
        **forms.fill(event, _EVENT),
        "event": name,
        "resource": subject,
        "related": [each for each in related if each and each.get("prefect.resource.role")],
        "payload": _redact_payload(payload, subject["prefect.resource.id"]),
    }
    return redacted if _is_complete(redacted) else None


def _redact_payload(payload: Mapping[str, Any], subject: str) -> dict[str, Any]:
    """The known members; a task run has its id as its key within its flow run.

    Prefect discards what it recorded together if two task runs have the same key.
    """
    redacted = forms.fill(payload, _PAYLOAD)
    if isinstance(redacted.get("task_run"), dict):
        redacted["task_run"]["dynamic_key"] = subject.rpartition(".")[2]
    return redacted


def _is_complete(event: Mapping[str, Any]) -> bool:
    """Whether Prefect can record the event: one that it cannot would stop those of other teams."""
    if not event.get("id") or not event.get("occurred"):
        return False
    if not event["resource"]["prefect.resource.id"].startswith("prefect.task-run."):
        return True
    task_run, state = (event["payload"].get(name) or {} for name in ("task_run", "validated_state"))
    return bool(task_run.get("task_key") and state.get("type"))


def _only(body: Any, allowed: Mapping[str, Form]) -> dict[str, Any] | None:
    """The members in their forms; None if there are others."""
    if not isinstance(body, dict) or not body.keys() <= allowed.keys():
        return None
    return forms.fill(body, allowed)


def _labels(pool: str) -> Mapping[str, Form]:
    return {
        "__OTEL_TRACEPARENT": forms.traceparent,
        "prefect.work-pool.id": forms.identifier,
        "prefect.work-pool.name": forms.one_of({pool}),
        "prefect.worker.name": forms.constant(WORKER_NAME),
        "prefect.worker.type": forms.one_of({WORKER_TYPE}),
    }


def _redact_state(state: dict[str, Any]) -> Any:
    redacted = forms.state(state)
    if redacted.get("type") in {"FAILED", "CRASHED"}:
        redacted["message"] = MESSAGE
    return redacted


def _redact_log(entry: dict[str, Any]) -> dict[str, Any]:
    return {**forms.fill(entry, _LOG), "name": _LOGGER, "message": MESSAGE}


def _event_name(event: Mapping[str, Any]) -> str | None:
    """The name of a known event; a state with a name of its own has that of its type."""
    match = _EVENT_NAME.fullmatch(str(event.get("event", "")))
    if match is None:
        return None
    kind, what = match.groups()
    if what in forms.STATE_NAMES or what in _OTHER_EVENTS:
        return match[0]
    if kind != _TASK_RUN_EVENT:
        return None
    payload = event.get("payload")
    state = payload.get("validated_state") if isinstance(payload, dict) else None
    of_type = forms.state(state) if isinstance(state, dict) else {}
    return f"prefect.task-run.{str(of_type.get('type') or 'PENDING').capitalize()}"


def _redact_resource(resource: Mapping[str, Any]) -> dict[str, Any] | None:
    """The resource with its known labels; None if it is of no known kind."""
    identity = resource.get("prefect.resource.id")
    if not isinstance(identity, str):
        return None
    if identity.startswith("prefect.worker."):
        identity = _WORKER_ID
    elif not _IDENTITY.fullmatch(identity) and not _TAG.fullmatch(identity):
        return None
    labels = {name: each for name, each in forms.fill(resource, _RESOURCE).items() if each}
    return {"prefect.resource.id": identity, **labels}


_WORKER_NAME_FORM: Final = forms.matching(r"[A-Za-z0-9][A-Za-z0-9 ._:-]{0,119}")


def is_frame(frame: Mapping[str, Any]) -> bool:
    """Whether a frame of a worker's connection names the worker in the form of a name."""
    payload = frame.get("payload") or {}
    name = payload.get("worker_name") if isinstance(payload, dict) else DROPPED
    return name is not DROPPED and _WORKER_NAME_FORM(name) is not DROPPED
