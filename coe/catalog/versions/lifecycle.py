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


class Move(StrEnum):
    """What can be done with a version."""

    SUBMIT = "submit"
    APPROVE = "approve"
    REFUSE = "refuse"
    PUBLISH = "publish"
    DEPRECATE = "deprecate"
    RETIRE = "retire"


_MOVES: dict[tuple[Move, Lifecycle], Lifecycle] = {
    (Move.SUBMIT, Lifecycle.DRAFT): Lifecycle.IN_REVIEW,
    (Move.APPROVE, Lifecycle.IN_REVIEW): Lifecycle.IN_REVIEW,
    (Move.REFUSE, Lifecycle.IN_REVIEW): Lifecycle.DRAFT,
    (Move.PUBLISH, Lifecycle.IN_REVIEW): Lifecycle.PUBLISHED,
    (Move.DEPRECATE, Lifecycle.PUBLISHED): Lifecycle.DEPRECATED,
    (Move.RETIRE, Lifecycle.DEPRECATED): Lifecycle.RETIRED,
    (Move.RETIRE, Lifecycle.DRAFT): Lifecycle.RETIRED,
}
_LOCAL_MOVES = {(Move.PUBLISH, Lifecycle.DRAFT): Lifecycle.PUBLISHED}

RUNNABLE = frozenset({Lifecycle.PUBLISHED, Lifecycle.DEPRECATED})
STANDING = (
    Lifecycle.PUBLISHED,
    Lifecycle.DEPRECATED,
    Lifecycle.IN_REVIEW,
    Lifecycle.DRAFT,
    Lifecycle.RETIRED,
)
"""The states from the one that an entry shows first to the one that it shows last."""


def after(move: Move, state: Lifecycle, flow_kind: FlowKind | None = None) -> Lifecycle:
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
    (EntryKind.DECISION, Move.SUBMIT): Permission.DECISION_SUBMIT,
    (EntryKind.DECISION, Move.APPROVE): Permission.DECISION_REVIEW,
    (EntryKind.DECISION, Move.REFUSE): Permission.DECISION_REVIEW,
    (EntryKind.DECISION, Move.PUBLISH): Permission.DECISION_PUBLISH,
    (EntryKind.DECISION, Move.DEPRECATE): Permission.DECISION_DEPRECATE,
    (EntryKind.DECISION, Move.RETIRE): Permission.DECISION_RETIRE,
    (EntryKind.FLOW, Move.SUBMIT): Permission.FLOW_SUBMIT,
    (EntryKind.FLOW, Move.APPROVE): Permission.FLOW_REVIEW,
    (EntryKind.FLOW, Move.REFUSE): Permission.FLOW_REVIEW,
    (EntryKind.FLOW, Move.PUBLISH): Permission.FLOW_PUBLISH,
    (EntryKind.FLOW, Move.DEPRECATE): Permission.FLOW_DEPRECATE,
    (EntryKind.FLOW, Move.RETIRE): Permission.FLOW_RETIRE,
    (EntryKind.TEMPLATE, Move.SUBMIT): Permission.TEMPLATE_SUBMIT,
    (EntryKind.TEMPLATE, Move.APPROVE): Permission.TEMPLATE_REVIEW,
    (EntryKind.TEMPLATE, Move.REFUSE): Permission.TEMPLATE_REVIEW,
    (EntryKind.TEMPLATE, Move.PUBLISH): Permission.TEMPLATE_PUBLISH,
    (EntryKind.TEMPLATE, Move.DEPRECATE): Permission.TEMPLATE_DEPRECATE,
    (EntryKind.TEMPLATE, Move.RETIRE): Permission.TEMPLATE_RETIRE,
}


def permission(kind: EntryKind, move: Move) -> Permission:
    """The permission that a move needs."""
    return _PERMISSIONS[kind, move]
