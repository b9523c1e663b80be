"""The steps of an active run as readers see them: rows of `run_steps`, and when they are written.

A row says what the journal already says, so it may come later. Steps that proceed without trouble
are held back for a moment, and one row is written for the start and the end of a short one. A step
that needs somebody's attention is written with the facts that cause it, and all others before a run
parks or ends. `runs.steps_told` is the position in the journal up to which steps are written:
the next holder of a run whose holder died writes the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from coe.db import new_id
from coe.machine.commands import StepState, StepUpdate
from coe.runs.journal_sql import Row
from coe.runs.sealing import TeamSealer, error_columns
from coe.runs.step_times import time_columns
from coe.runs.tables import STEPS

HOLD_SECONDS: Final = 0.2
"""For how long readers may not see how far a run is."""
MAX_HELD_STEPS: Final = 200
PLACES_A_TURN: Final = 1 << 20

_CAN_WAIT: Final = frozenset({StepState.RUNNING, StepState.COMPLETED, StepState.SKIPPED})


@dataclass(frozen=True, slots=True)
class ProjectedStep:
    """A change of a step, and the place of the step in the order of its run."""

    change: StepUpdate
    place: int


class StepProjection:
    """The steps that readers do not see yet as they are now, in the order of their start.

    It holds journaled changes only. Times in seconds are those of the event loop.
    """

    def __init__(self) -> None:
        self._held: dict[str, ProjectedStep] = {}
        self._since = 0.0

    def __bool__(self) -> bool:
        """Whether any step is held back."""
        return bool(self._held)

    def hold(self, changes: Iterable[StepUpdate], position: int, *, seconds: float) -> None:
        """Hold back the changes that follow from a journaled fact, given its position."""
        if not self._held:
            self._since = seconds
        self._add(self._held, changes, position)

    def is_due(self, changes: Sequence[StepUpdate], *, seconds: float) -> bool:
        """Whether to write now: somebody may have to act, or steps were held long enough."""
        if any(change.state not in _CAN_WAIT for change in changes):
            return True
        due = self.due()
        many = len(self._held) + len(changes) >= MAX_HELD_STEPS
        return many or (due is not None and due <= seconds)

    def held(self, changes: Iterable[StepUpdate] = (), position: int = 0) -> list[ProjectedStep]:
        """All steps held back, with further changes; they stay held until `clear`."""
        held = dict(self._held)
        self._add(held, changes, position)
        return list(held.values())

    def clear(self) -> None:
        """Forget the steps held back: they are written and committed."""
        self._held = {}

    def due(self) -> float | None:
        """When the steps held back are to be written, in seconds."""
        return self._since + HOLD_SECONDS if self._held else None

    @staticmethod
    def _add(held: dict[str, ProjectedStep], changes: Iterable[StepUpdate], position: int) -> None:
        for order, change in enumerate(changes):
            earlier = held.get(change.key)
            place = position * PLACES_A_TURN + order if earlier is None else earlier.place
            held[change.key] = ProjectedStep(change, place)


async def step_row(sealer: TeamSealer, run_id: UUID, step: ProjectedStep) -> Row:
    """The row of a step, for `coe.runs.journal.Append`."""
    change = step.change
    error = change.error
    sealed = None
    if error is not None:
        sealed = await sealer.seal(STEPS, f"{run_id}:{change.key}", "error", error)
    return {
        "id": new_id(),
        "key": change.key,
        "place": step.place,
        "path": change.path,
        "name": change.name,
        "kind": change.kind,
        "state": change.state,
        "attempt": change.attempt,
        "iteration": change.iteration,
        "started_at": change.started_at,
        "ended_at": change.ended_at,
        "parent_key": change.parent_key,
        **time_columns(change.times, ended=change.ended_at is not None),
        "error_sealed": sealed,
        **error_columns(error),
        "unmatched": change.unmatched,
        "unmatched_at": change.unmatched_at,
    }
