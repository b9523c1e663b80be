"""The lifecycle of a version as a state machine: actions, states and permissions.

    DRAFT ──submit──▶ IN_REVIEW ──publish──▶ PUBLISHED ──deprecate──▶ DEPRECATED ──retire──▶ RETIRED
      ▲                  │                                                            ▲
      └──────refuse──────┘            DRAFT ──retire (abandoned)───────────────────────┘

A team's local flow may go from DRAFT to PUBLISHED directly: it is the team's own code, and its
manifest has the contract for callers.
"""

from __future__ import annotations

from enum import StrEnum

from coe.access.permissions import Permission
from coe.catalog.models import EntryKind, FlowKind, Lifecycle
from coe.errors import Conflict


class LifecycleAction(StrEnum):
    """An action on a version."""

    SUBMIT = "submit"
    APPROVE = "approve"
    REFUSE = "refuse"
    PUBLISH = "publish"
    DEPRECATE = "deprecate"
    RETIRE = "retire"


_TRANSITIONS: dict[tuple[LifecycleAction, Lifecycle], Lifecycle] = {
    (LifecycleAction.SUBMIT, Lifecycle.DRAFT): Lifecycle.IN_REVIEW,
    (LifecycleAction.APPROVE, Lifecycle.IN_REVIEW): Lifecycle.IN_REVIEW,
    (LifecycleAction.REFUSE, Lifecycle.IN_REVIEW): Lifecycle.DRAFT,
    (LifecycleAction.PUBLISH, Lifecycle.IN_REVIEW): Lifecycle.PUBLISHED,
    (LifecycleAction.DEPRECATE, Lifecycle.PUBLISHED): Lifecycle.DEPRECATED,
    (LifecycleAction.RETIRE, Lifecycle.DEPRECATED): Lifecycle.RETIRED,
    (LifecycleAction.RETIRE, Lifecycle.DRAFT): Lifecycle.RETIRED,
}
_LOCAL_TRANSITIONS = {(LifecycleAction.PUBLISH, Lifecycle.DRAFT): Lifecycle.PUBLISHED}

RUNNABLE = frozenset({Lifecycle.PUBLISHED, Lifecycle.DEPRECATED})
DISPLAY_ORDER = (
    Lifecycle.PUBLISHED,
    Lifecycle.DEPRECATED,
    Lifecycle.IN_REVIEW,
    Lifecycle.DRAFT,
    Lifecycle.RETIRED,
)
"""The states in the order in which an entry prefers them for its current version."""


def next_state(
    action: LifecycleAction,
    state: Lifecycle,
    flow_kind: FlowKind | None = None,
    noun: str = "flow",
) -> Lifecycle:
    """The state after an action.

    Raises:
        Conflict: The state does not allow the action; the message names the states that do,
            and the command of `noun` that comes first.
    """
    transitions = _TRANSITIONS | _LOCAL_TRANSITIONS if flow_kind is FlowKind.LOCAL else _TRANSITIONS
    reached = transitions.get((action, state))
    if reached is None:
        origins = [start for each, start in transitions if each is action]
        raise _refusal(action, state, origins, noun)
    return reached


_FIRST: dict[tuple[LifecycleAction, Lifecycle], str] = {
    (LifecycleAction.SUBMIT, Lifecycle.IN_REVIEW): "it waits already: coe {noun} review",
    (LifecycleAction.APPROVE, Lifecycle.DRAFT): "submit it first: coe {noun} submit",
    (LifecycleAction.REFUSE, Lifecycle.DRAFT): "submit it first: coe {noun} submit",
    (LifecycleAction.PUBLISH, Lifecycle.DRAFT): "submit it first: coe {noun} submit",
    (LifecycleAction.PUBLISH, Lifecycle.PUBLISHED): "to move live to it: coe {noun} alias",
    (LifecycleAction.DEPRECATE, Lifecycle.DRAFT): "retire it: coe {noun} retire",
    (LifecycleAction.DEPRECATE, Lifecycle.IN_REVIEW): "publish it first: coe {noun} publish",
    (LifecycleAction.RETIRE, Lifecycle.IN_REVIEW): "refuse it first: coe {noun} review --refuse",
    (LifecycleAction.RETIRE, Lifecycle.PUBLISHED): "deprecate it first: coe {noun} deprecate",
}
"""The command that makes an action possible, or that does what was meant."""

_DONE: dict[LifecycleAction, str] = {
    LifecycleAction.SUBMIT: "submitted",
    LifecycleAction.APPROVE: "approved",
    LifecycleAction.REFUSE: "refused",
    LifecycleAction.PUBLISH: "published",
    LifecycleAction.DEPRECATE: "deprecated",
    LifecycleAction.RETIRE: "retired",
}


def _refusal(
    action: LifecycleAction, state: Lifecycle, origins: list[Lifecycle], noun: str
) -> Conflict:
    needed = " or ".join(sorted(origins))
    message = f"a version in {state} cannot be {_DONE[action]}: that needs {needed}"
    first = _FIRST.get((action, state))
    return Conflict(f"{message}; {first.format(noun=noun)}" if first else message)


_PERMISSIONS = {
    (EntryKind.DECISION, LifecycleAction.SUBMIT): Permission.DECISION_SUBMIT,
    (EntryKind.DECISION, LifecycleAction.APPROVE): Permission.DECISION_REVIEW,
    (EntryKind.DECISION, LifecycleAction.REFUSE): Permission.DECISION_REVIEW,
    (EntryKind.DECISION, LifecycleAction.PUBLISH): Permission.DECISION_PUBLISH,
    (EntryKind.DECISION, LifecycleAction.DEPRECATE): Permission.DECISION_DEPRECATE,
    (EntryKind.DECISION, LifecycleAction.RETIRE): Permission.DECISION_RETIRE,
    (EntryKind.FLOW, LifecycleAction.SUBMIT): Permission.FLOW_SUBMIT,
    (EntryKind.FLOW, LifecycleAction.APPROVE): Permission.FLOW_REVIEW,
    (EntryKind.FLOW, LifecycleAction.REFUSE): Permission.FLOW_REVIEW,
    (EntryKind.FLOW, LifecycleAction.PUBLISH): Permission.FLOW_PUBLISH,
    (EntryKind.FLOW, LifecycleAction.DEPRECATE): Permission.FLOW_DEPRECATE,
    (EntryKind.FLOW, LifecycleAction.RETIRE): Permission.FLOW_RETIRE,
    (EntryKind.TEMPLATE, LifecycleAction.SUBMIT): Permission.TEMPLATE_SUBMIT,
    (EntryKind.TEMPLATE, LifecycleAction.APPROVE): Permission.TEMPLATE_REVIEW,
    (EntryKind.TEMPLATE, LifecycleAction.REFUSE): Permission.TEMPLATE_REVIEW,
    (EntryKind.TEMPLATE, LifecycleAction.PUBLISH): Permission.TEMPLATE_PUBLISH,
    (EntryKind.TEMPLATE, LifecycleAction.DEPRECATE): Permission.TEMPLATE_DEPRECATE,
    (EntryKind.TEMPLATE, LifecycleAction.RETIRE): Permission.TEMPLATE_RETIRE,
}


ALIAS_PERMISSIONS = {
    EntryKind.DECISION: Permission.DECISION_ALIAS,
    EntryKind.FLOW: Permission.FLOW_ALIAS,
    EntryKind.SYSTEM: Permission.FLOW_ALIAS,
    EntryKind.TEMPLATE: Permission.TEMPLATE_PUBLISH,
}
"""The permission to set and to drop an alias of an entry."""


def permission_for(kind: EntryKind, action: LifecycleAction) -> Permission:
    """The permission that an action needs."""
    return _PERMISSIONS[kind, action]
