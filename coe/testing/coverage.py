"""Coverage: the steps and branches of a definition, compared with those that its tests reach."""

from __future__ import annotations

from dataclasses import dataclass

from coe.language.branches import Branch, Reach, ReachableStep
from coe.machine.commands import StepState
from coe.testing.cases import Trace


@dataclass(frozen=True, slots=True)
class CoverageResult:
    """The numbers of steps and branches, and those that no test reached, in document order."""

    steps: int
    branches: int
    missed_steps: tuple[ReachableStep, ...]
    missed_branches: tuple[Branch, ...]

    @property
    def percent(self) -> float:
        """The percentage of branches that tests reached, rounded down to a tenth: 100 is all."""
        return share(self.branches - len(self.missed_branches), self.branches)

    @property
    def percent_of_steps(self) -> float:
        """The percentage of steps that tests reached, rounded in the same way."""
        return share(self.steps - len(self.missed_steps), self.steps)


class Coverage:
    """Collects what the tests of one definition, or of all renderings of a template, reach.

    Steps of different renderings are the same if their keys are equal.
    """

    def __init__(self) -> None:
        self._steps: dict[str, ReachableStep] = {}
        self._branches: dict[tuple[str, str], Branch] = {}
        self._reached_steps: set[str] = set()
        self._taken_branches: set[tuple[str, str]] = set()

    def add_reachable(self, reach: Reach) -> None:
        """Add the steps and branches that can be reached."""
        for step in reach.steps:
            self._steps.setdefault(step.key, step)
        for branch in reach.branches:
            self._branches.setdefault((branch.key, branch.outcome), branch)

    def add(self, reach: Reach, trace: Trace) -> None:
        """Add what one run of a definition reached."""
        self.add_reachable(reach)
        keys = {step.pointer: step.key for step in (*reach.branches, *reach.steps)}
        for step in trace.steps:
            if step.state is not StepState.SKIPPED and step.path in keys:
                self._reached_steps.add(keys[step.path])
        for pointer, outcome in trace.branch_outcomes:
            if pointer in keys:
                self._taken_branches.add((keys[pointer], outcome))

    def result(self) -> CoverageResult:
        """The result of all runs."""
        return CoverageResult(
            steps=len(self._steps),
            branches=len(self._branches),
            missed_steps=tuple(
                step for key, step in self._steps.items() if key not in self._reached_steps
            ),
            missed_branches=tuple(
                branch for key, branch in self._branches.items() if key not in self._taken_branches
            ),
        )


def share(part: int, whole: int) -> float:
    """A percentage, rounded down to a tenth, so that 100 means all."""
    return 100.0 if whole == 0 else part * 1000 // whole / 10
