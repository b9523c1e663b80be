"""Coverage: the steps and branches of a definition, held against what its tests reached."""

from __future__ import annotations

from dataclasses import dataclass

from coe.language.branches import Branch, Reach, ReachableStep
from coe.machine.commands import StepState
from coe.testing.cases import Trace


@dataclass(frozen=True, slots=True)
class Covered:
    """What tests reached, of how much; what they missed, in the order of the document."""

    steps: int
    branches: int
    missed_steps: tuple[ReachableStep, ...]
    missed_branches: tuple[Branch, ...]

    @property
    def percent(self) -> float:
        """The share of branches that were gone, rounded down to a tenth: 100 is all of them."""
        return share(self.branches - len(self.missed_branches), self.branches)

    @property
    def percent_of_steps(self) -> float:
        """The share of steps that were reached, in the same way."""
        return share(self.steps - len(self.missed_steps), self.steps)


class Coverage:
    """Collects what the tests of one definition, or of one template's renderings, reached.

    A step of one rendering and one of another are the same where their keys are.
    """

    def __init__(self) -> None:
        """Start with nothing to reach."""
        self._steps: dict[str, ReachableStep] = {}
        self._branches: dict[tuple[str, str], Branch] = {}
        self._reached: set[str] = set()
        self._gone: set[tuple[str, str]] = set()

    def expect(self, reach: Reach) -> None:
        """Count what can be reached."""
        for step in reach.steps:
            self._steps.setdefault(step.key, step)
        for branch in reach.branches:
            self._branches.setdefault((branch.key, branch.outcome), branch)

    def add(self, reach: Reach, trace: Trace) -> None:
        """Take what one run of a definition reached."""
        self.expect(reach)
        keys = {step.pointer: step.key for step in (*reach.branches, *reach.steps)}
        for step in trace.steps:
            if step.state is not StepState.SKIPPED and step.path in keys:
                self._reached.add(keys[step.path])
        for pointer, way in trace.went:
            if pointer in keys:
                self._gone.add((keys[pointer], way))

    def covered(self) -> Covered:
        """What came of it."""
        return Covered(
            steps=len(self._steps),
            branches=len(self._branches),
            missed_steps=tuple(
                step for key, step in self._steps.items() if key not in self._reached
            ),
            missed_branches=tuple(
                branch for key, branch in self._branches.items() if key not in self._gone
            ),
        )


def share(part: int, whole: int) -> float:
    """A share in percent, rounded down to a tenth, so that 100 is the whole."""
    return 100.0 if whole == 0 else part * 1000 // whole / 10
