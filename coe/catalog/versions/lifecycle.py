"""The life of a version, as a state machine: which move leads where, and who may make it.

    DRAFT ──submit──▶ IN_REVIEW ──publish──▶ PUBLISHED ──deprecate──▶ DEPRECATED ──retire──▶ RETIRED
      ▲                  │                                                            ▲
      └──────refuse──────┘            DRAFT ──retire (given up)───────────────────────┘

A team's local flow may go from DRAFT to PUBLISHED at once: it is the team's own code, and the
contract that its callers see is in its manifest.
"""

from __future__ import annotations

from enum import StrEnum

from coe.access.permissions import Permission
from coe.catalog.models import EntryKind, FlowKind, Lifecycle
from coe.errors import Conflict


class LifecycleAction(StrEnum):
    """What can be done with a version."""

    SUBMIT = "submit"
    APPROVE = "approve"
    REFUSE = "refuse"
    PUBLISH = "publish"
    DEPRECATE = "deprecate"
    RETIRE = "retire"


_MOVES: dict[tuple[LifecycleAction, Lifecycle], Lifecycle] = {
    (LifecycleAction.SUBMIT, Lifecycle.DRAFT): Lifecycle.IN_REVIEW,
    (LifecycleAction.APPROVE, Lifecycle.IN_REVIEW): Lifecycle.IN_REVIEW,
    (LifecycleAction.REFUSE, Lifecycle.IN_REVIEW): Lifecycle.DRAFT,
    (LifecycleAction.PUBLISH, Lifecycle.IN_REVIEW): Lifecycle.PUBLISHED,
    (LifecycleAction.DEPRECATE, Lifecycle.PUBLISHED): Lifecycle.DEPRECATED,
    (LifecycleAction.RETIRE, Lifecycle.DEPRECATED): Lifecycle.RETIRED,
    (LifecycleAction.RETIRE, Lifecycle.DRAFT): Lifecycle.RETIRED,
}
_LOCAL_MOVES = {(LifecycleAction.PUBLISH, Lifecycle.DRAFT): Lifecycle.PUBLISHED}

RUNNABLE = frozenset({Lifecycle.PUBLISHED, Lifecycle.DEPRECATED})
DISPLAY_ORDER = (
    Lifecycle.PUBLISHED,
    Lifecycle.DEPRECATED,
    Lifecycle.IN_REVIEW,
    Lifecycle.DRAFT,
    Lifecycle.RETIRED,
)
"""The states from the one that an entry shows first to the one that it shows last."""


def next_state(
    move: LifecycleAction, state: Lifecycle, flow_kind: FlowKind | None = None
) -> Lifecycle:
    """The state that a move leads to.

    Raises:
        Conflict: The move cannot be made from this state; the message says from which it can.
    """
    moves = _MOVES | _LOCAL_MOVES if flow_kind is FlowKind.LOCAL else _MOVES
    reached = moves.get((move, state))
    if reached is None:
        origins = " or ".join(sorted(start for each, start in moves if each is move))
        raise Conflict(f"a version in {state} cannot {move}: that needs {origins}")
    return reached


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


def permission_for(kind: EntryKind, move: LifecycleAction) -> Permission:
    """The permission that a move needs."""
    return _PERMISSIONS[kind, move]
