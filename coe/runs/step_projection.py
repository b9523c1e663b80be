"""What people see of the steps of a run in hand: rows of `run_steps`, and when they are written.

A row tells what the journal says already, so it need not be there at once: steps that go well are
held back for a moment, and one row is written for the beginning and the end of a short one. What
asks for somebody's attention is written with the facts that cause it, and so is all else before a
run parks or ends. `runs.steps_told` is the position in the journal up to which people were told:
whoever takes a run over from a dead holder tells of the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from coe.db import new_id
from coe.machine.commands import StepState, StepUpdate
from coe.runs.sealing import Sealer, error_columns
from coe.runs.tables import STEPS

HELD_BACK: Final = 0.2
"""Seconds for which nobody may see how far a run has come."""
MOST: Final = 200
"""Steps that are held back at once."""
PLACES_A_TURN: Final = 1 << 20

_CAN_WAIT: Final = frozenset({StepState.RUNNING, StepState.COMPLETED, StepState.SKIPPED})

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """A change of a step, with the order of the step within its run, and when it changed."""

    change: StepUpdate
    place: int
    at: datetime


class Telling:
    """The steps of which nobody was told as they are now, in the order of their beginning.

    Only what is journaled comes in here. Times in seconds are those of the event loop.
    """

    def __init__(self) -> None:
        """Begin with nothing held back."""
        self._untold: dict[str, Told] = {}
        self._since = 0.0

    def __bool__(self) -> bool:
        """Whether anything is held back."""
        return bool(self._untold)

    def hold(
        self, changes: Iterable[StepUpdate], position: int, at: datetime, *, seconds: float
    ) -> None:
        """Hold back changes that follow from a journaled fact at a position, and its time."""
        if not self._untold:
            self._since = seconds
        self._add(self._untold, changes, position, at)

    def cannot_wait(self, changes: Sequence[StepUpdate], *, seconds: float) -> bool:
        """Whether it is time to tell: somebody may have to act, or it was held back long enough."""
        if any(change.state not in _CAN_WAIT for change in changes):
            return True
        due = self.due()
        many = len(self._untold) + len(changes) >= MOST
        return many or (due is not None and due <= seconds)

    def all(
        self, changes: Iterable[StepUpdate] = (), position: int = 0, at: datetime | None = None
    ) -> list[Told]:
        """All that was held back, with further changes; it stays held back until `clear`."""
        if at is None:
            return list(self._untold.values())
        untold = dict(self._untold)
        self._add(untold, changes, position, at)
        return list(untold.values())

    def clear(self) -> None:
        """Forget what was held back: it is told, and that is committed."""
        self._untold = {}

    def due(self) -> float | None:
        """When what is held back is to be told, in seconds."""
        return self._since + HELD_BACK if self._untold else None

    @staticmethod
    def _add(
        untold: dict[str, Told], changes: Iterable[StepUpdate], position: int, at: datetime
    ) -> None:
        for order, change in enumerate(changes):
            earlier = untold.get(change.key)
            place, since = position * PLACES_A_TURN + order, at
            if earlier is not None:
                place, since = earlier.place, max(earlier.at, at)
            untold[change.key] = Told(change, place, since)


async def row_of(sealer: Sealer, run_id: UUID, told: Told) -> Row:
    """The row of a step as `coe.runs.journal.Append` has it."""
    change = told.change
    error = change.error
    sealed = None
    if error is not None:
        sealed = await sealer.seal(STEPS, f"{run_id}:{change.key}", "error", error)
    return {
        "id": new_id(),
        "key": change.key,
        "place": told.place,
        "path": change.path,
        "name": change.name,
        "kind": change.kind,
        "state": change.state,
        "attempt": change.attempt,
        "iteration": change.iteration,
        "started_at": change.started_at,
        "ended_at": change.ended_at,
        "changed_at": told.at,
        "error_sealed": sealed,
        **error_columns(error),
    }
