"""All permissions: one closed, sorted list with the grammar `noun:verb`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Permission(StrEnum):
    """What an actor may be allowed to do; each verb and each policy line names one."""

    ACCESS_EXPLAIN = "access:explain"
    ACCESS_REVIEW = "access:review"
    AUDIT_ACCEPT_LOSS = "audit:accept_loss"
    AUDIT_READ = "audit:read"
    AUDIT_READ_DETAIL = "audit:read_detail"
    AUDIT_SETTLE = "audit:settle"
    AUDIT_VERIFY = "audit:verify"
    CLIENT_CREATE = "client:create"
    CLIENT_READ = "client:read"
    CLIENT_REVOKE = "client:revoke"
    DECISION_ALIAS = "decision:alias"
    DECISION_CHECK = "decision:check"
    DECISION_DEPRECATE = "decision:deprecate"
    DECISION_PUBLISH = "decision:publish"
    DECISION_REGISTER = "decision:register"
    DECISION_RETIRE = "decision:retire"
    DECISION_REVIEW = "decision:review"
    DECISION_SUBMIT = "decision:submit"
    ENTRY_READ = "entry:read"
    EVENT_SEND = "event:send"
    FLOW_ALIAS = "flow:alias"
    FLOW_CHECK = "flow:check"
    FLOW_DEPRECATE = "flow:deprecate"
    FLOW_PUBLISH = "flow:publish"
    FLOW_REGISTER = "flow:register"
    FLOW_RETIRE = "flow:retire"
    FLOW_REVIEW = "flow:review"
    FLOW_SUBMIT = "flow:submit"
    HUMAN_TASK_CLAIM = "human_task:claim"
    HUMAN_TASK_COMPLETE = "human_task:complete"
    HUMAN_TASK_DELEGATE = "human_task:delegate"
    HUMAN_TASK_READ = "human_task:read"
    HUMAN_TASK_RELEASE = "human_task:release"
    PERSON_LEAVE = "person:leave"
    PERSON_READ = "person:read"
    PERSON_SUSPEND = "person:suspend"
    POLICY_CHANGE = "policy:change"
    RUN_CANCEL = "run:cancel"
    RUN_READ = "run:read"
    RUN_READ_DATA = "run:read_data"
    RUN_REPORT = "run:report"
    RUN_RETRY = "run:retry"
    RUN_START = "run:start"
    SCHEDULE_PAUSE = "schedule:pause"
    SCHEDULE_RESUME = "schedule:resume"
    SCIM_PROVISION = "scim:provision"
    SESSION_REVOKE = "session:revoke"
    TEAM_APPROVE = "team:approve"
    TEAM_CREATE = "team:create"
    TEAM_MEMBERS = "team:members"
    TEAM_REQUEST = "team:request"
    TEAM_RETIRE = "team:retire"
    TEAM_SOURCE = "team:source"
    TEMPLATE_DEPRECATE = "template:deprecate"
    TEMPLATE_INSTANTIATE = "template:instantiate"
    TEMPLATE_PUBLISH = "template:publish"
    TEMPLATE_REGISTER = "template:register"
    TEMPLATE_RETIRE = "template:retire"
    TEMPLATE_REVIEW = "template:review"
    TEMPLATE_SUBMIT = "template:submit"
    TOKEN_ISSUE = "token:issue"  # noqa: S105  # a permission's name
    TOKEN_REVOKE = "token:revoke"  # noqa: S105  # the same
    TRUST_ADD = "trust:add"
    TRUST_READ = "trust:read"
    TRUST_REMOVE = "trust:remove"
    WORKER_CONNECT = "worker:connect"
    WORKER_ENROL = "worker:enrol"
    WORKER_READ = "worker:read"
    WORKER_REVOKE = "worker:revoke"


PERMISSIONS: Final = frozenset(permission.value for permission in Permission)
NOUNS: Final = frozenset(permission.split(":", 1)[0] for permission in PERMISSIONS)


def is_scope(value: str) -> bool:
    """Whether this is a scope of a token: a permission, or a noun with all its verbs (`run:*`)."""
    return value in PERMISSIONS or (value.endswith(":*") and value[:-2] in NOUNS)


def in_scopes(permission: str, scopes: frozenset[str]) -> bool:
    """Whether one of a token's scopes covers the permission."""
    return permission in scopes or f"{permission.split(':', 1)[0]}:*" in scopes


_NEEDED_BY_NOUN: Final[Mapping[str, frozenset[Permission]]] = {
    "decision": frozenset({Permission.ENTRY_READ}),
    "flow": frozenset({Permission.ENTRY_READ}),
    "human_task": frozenset({Permission.HUMAN_TASK_READ, Permission.RUN_READ}),
    "schedule": frozenset({Permission.ENTRY_READ}),
    "template": frozenset({Permission.ENTRY_READ}),
}
_NEEDED: Final[Mapping[str, frozenset[Permission]]] = {
    Permission.HUMAN_TASK_READ: frozenset(),
    Permission.RUN_CANCEL: frozenset({Permission.RUN_READ}),
    Permission.RUN_RETRY: frozenset({Permission.RUN_READ}),
    Permission.RUN_START: frozenset({Permission.ENTRY_READ, Permission.RUN_READ}),
}


def readings_needed(permission: str) -> frozenset[Permission]:
    """The reading that a permission is of no use without.

    What a verb names is looked up by it, and so is what the verb answers. A token without these
    scopes would be told that what it names does not exist, or nothing of what it has changed.
    """
    return _NEEDED.get(permission, _NEEDED_BY_NOUN.get(permission.split(":", 1)[0], frozenset()))


def lacking_scope(permission: str, scopes: frozenset[str] | None) -> str | None:
    """Why a token with these scopes cannot use the permission; None if they suffice."""
    if scopes is None:
        return None
    if not in_scopes(permission, scopes):
        return f"The token that was sent has no scope for {permission}."
    for needed in sorted(readings_needed(permission)):
        if not in_scopes(needed, scopes):
            return f"The token that was sent has no scope for {needed}, which {permission} needs."
    return None
