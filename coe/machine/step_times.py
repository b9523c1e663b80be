"""How long steps work and wait, and for what: intervals of one clock, that of the journal.

The clock is the latest time of any fact so far, so it never goes back, whatever the clocks of the
processes show that witnessed the facts. At each moment a step is in one phase, so its phases add up
to its length.

A step with open steps inside is in the first of their phases, in the order of `Phase`: it works
while anything inside works. Time in which several steps inside wait is counted once. The run as a
whole is the outermost step; it begins with its request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from coe.machine.commands import Phase, StepTimes, WaitCause

_RANK: Final = {phase: rank for rank, phase in enumerate(Phase)}
_NEEDS_A_PROCESS: Final = (Phase.PEOPLE_QUEUE, Phase.OTHER_TEAM)
_NOTHING: Final = timedelta()


class TimedStep:
    """The phases of one step; `changed` is called whenever the present one changes."""

    __slots__ = ("_changed", "_inside", "_own", "_parent", "_since", "_spent", "phase")

    def __init__(
        self,
        at: datetime,
        parent: TimedStep | None = None,
        *,
        changed: Callable[[], None] = lambda: None,
        phase: Phase = Phase.WORK,
    ) -> None:
        self.phase = self._own = phase
        self._since = at
        self._parent = parent
        self._changed = changed
        self._inside: Counter[Phase] = Counter()
        self._spent: dict[Phase, timedelta] = {}
        if parent is not None:
            parent.move_inside(None, phase, at)

    def times(self) -> StepTimes:
        """What is spent until `since`, and the phase since then."""
        waits = {
            WaitCause(phase.value): length
            for phase, length in self._spent.items()
            if length and phase.waits
        }
        held = self._spent.get(Phase.HELD, _NOTHING)
        return StepTimes(held=held, waits=waits, phase=self.phase, since=self._since)

    def be(self, phase: Phase, at: datetime) -> None:
        """Enter a phase; it shows when no step inside is open."""
        self._own = phase
        self._settle(at)

    def end(self, at: datetime) -> None:
        """End the step."""
        self.spend(at)
        if self._parent is not None:
            self._parent.move_inside(self.phase, None, at)

    def move_inside(self, before: Phase | None, after: Phase | None, at: datetime) -> None:
        """Note that a step inside changes its phase, opens or ends."""
        if before is not None:
            self._inside[before] -= 1
        if after is not None:
            self._inside[after] += 1
        self._settle(at)

    def give_back(self, at: datetime) -> None:
        """Note that nobody holds it any more."""
        if self._own is Phase.HELD:
            self.be(Phase.PEOPLE_QUEUE, at)

    def spend(self, at: datetime) -> None:
        """Count the time until now for the present phase."""
        self._count(self.phase, at)

    def was(self, phase: Phase, since: datetime, at: datetime) -> None:
        """Count the time from `since` (within the present phase) until now for another phase."""
        self._count(self.phase, min(max(self._since, since), at))
        self._count(phase, at)
        self._changed()

    def lacked_a_process(self, since: datetime, at: datetime) -> None:
        """Note that no process carried the run on from `since` until now.

        Work was not done meanwhile, and what was begun then became known to others now only. Who
        waits for something else waits on.
        """
        begun = self.phase in _NEEDS_A_PROCESS and self._since >= since
        if self.phase is Phase.WORK or begun:
            self.was(Phase.DISPATCH, since, at)

    def was_late(self, due: datetime, at: datetime) -> None:
        """Count the time from `due` until now as a lack of a process, not as a wait for a timer."""
        each: TimedStep | None = self
        while each is not None and _RANK[each.phase] > _RANK[Phase.DISPATCH]:
            each.was(Phase.DISPATCH, due, at)
            each = each._parent  # noqa: SLF001  # of the same class

    def divide(self, parts: Mapping[Phase, timedelta], at: datetime) -> None:
        """Divide the present phase by what a called run says of its time; what is left stays.

        Steps around that are in the same phase, so for this call, are divided alike. That they are
        began with the call or later, because each step begins with work. The end of the call tells
        of the change.
        """
        phase = self.phase
        each: TimedStep | None = self if parts else None
        while each is not None and each.phase is phase:
            each._divide(parts, at)  # noqa: SLF001  # of the same class
            each = each._parent  # noqa: SLF001  # the same

    def _divide(self, parts: Mapping[Phase, timedelta], at: datetime) -> None:
        for phase in sorted(parts, key=_RANK.__getitem__):
            self._count(phase, min(self._since + parts[phase], at))

    def _settle(self, at: datetime) -> None:
        inside = [phase for phase, count in self._inside.items() if count]
        before, after = self.phase, min(inside, key=_RANK.__getitem__, default=self._own)
        if after is before:
            return
        self.spend(at)
        self.phase = after
        self._changed()
        if self._parent is not None:
            self._parent.move_inside(before, after, at)

    def _count(self, phase: Phase, until: datetime) -> None:
        self._spent[phase] = self._spent.get(phase, _NOTHING) + (until - self._since)
        self._since = until


def parts_of(times: object, *, of_other_team: bool) -> dict[Phase, timedelta]:
    """The phases of a called run from the fact of its end: `{worked, held?, waits?}`, in seconds.

    All that a run of another team waits for is waiting for that team.
    """
    given = times if isinstance(times, Mapping) else {}
    waits = given.get("waits")
    named = {"WORK": given.get("worked"), "HELD": given.get("held")}
    named |= waits if isinstance(waits, Mapping) else {}
    parts: dict[Phase, timedelta] = {}
    for phase in Phase:
        seconds = named.get(phase.value)
        if isinstance(seconds, int | float):
            seen = Phase.OTHER_TEAM if of_other_team and phase.waits else phase
            parts[seen] = parts.get(seen, _NOTHING) + timedelta(seconds=seconds)
    return parts
