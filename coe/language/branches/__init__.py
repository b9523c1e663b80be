"""The branches of a definition: the outcomes of each task with more than one.

docs/testing-processes.md says which outcomes count, and why. In short: an outcome counts where the
definition says that there are several, unless the definition shows that no run can have it.
`coe.testing.coverage` compares them with the outcomes that the machine reports.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from coe.language.branches.by_task_type import (
    Branch,
    ReachableStep,
    TaskAt,
    condition_outcomes,
    limit_outcomes,
    outcomes_of,
)
from coe.language.branches.duration_bounds import limit_of, work_bound
from coe.language.branches.successors import reachable
from coe.language.fields import ItemPosition
from coe.language.model.calls import CallFunction
from coe.language.model.definition import Definition
from coe.language.model.task import Task, TaskList
from coe.language.model.task_types import DoTask, ForkTask
from coe.language.source import point

__all__ = ["Branch", "Reach", "ReachableStep", "branches_of"]


@dataclass(frozen=True, slots=True)
class Reach:
    """The steps and branches that tests can reach, in the order of the document."""

    steps: tuple[ReachableStep, ...]
    branches: tuple[Branch, ...]


def branches_of(definition: Definition) -> Reach:
    """Every step and every branch that a run can reach."""
    walk = _Walk(definition)
    walk.flow()
    return Reach(tuple(walk.steps), tuple(walk.branches))


class _Walk:
    """Walks the reachable tasks; those of declared functions come last."""

    def __init__(self, definition: Definition) -> None:
        self.steps: list[ReachableStep] = []
        self.branches: list[Branch] = []
        self._definition = definition
        self._called: dict[str, Task] = {}

    def flow(self) -> None:
        definition = self._definition
        limit = limit_of(definition)
        if definition.timeout is not None:
            whole = DoTask.model_construct(do=definition.do)
            whole.put(ItemPosition(definition.document.name, "/do"))
            at, bound = TaskAt(definition, whole, "/do", None), work_bound(definition, whole)
            self.branches += limit_outcomes(at, "timeout", limit, bound, "/timeout")
        self._list(definition.do, "/do", limit)
        walked: set[str] = set()
        while ahead := sorted(self._called.keys() - walked):
            walked.add(ahead[0])
            self._task(self._called[ahead[0]], point("use", "functions", ahead[0]), None)

    def _list(self, tasks: TaskList, key: str, left: timedelta | None) -> None:
        for index in sorted(reachable(tasks)):
            self._task(tasks[index], key + point(tasks[index].name), left)

    def _task(self, task: Task, key: str, left: timedelta | None) -> None:
        definition = self._definition
        at = TaskAt(definition, task, key, left)
        conditional, runs = condition_outcomes(at)
        self.branches += conditional
        if not runs:
            return
        place = task.pointer
        self.steps.append(ReachableStep(place, key, task.name, place, task.line, task.column))
        limit = limit_of(definition, task)
        if task.timeout is not None:
            bound = work_bound(definition, task)
            self.branches += limit_outcomes(at, "timeout", limit, bound, f"{place}/timeout")
        inner = min((each for each in (left, limit) if each is not None), default=None)
        self.branches += outcomes_of(replace(at, left=inner))
        self._inside(task, key, inner)

    def _inside(self, task: Task, key: str, left: timedelta | None) -> None:
        if isinstance(task, CallFunction):
            function = self._definition.function_of(task)
            if function is not None:
                self._called.setdefault(task.call, function)
        for scope in task.scopes():
            if isinstance(task, ForkTask):  # its branches run concurrently
                for branch in scope.tasks:
                    self._task(branch, key + scope.pointer + point(branch.name), left)
            else:
                self._list(scope.tasks, key + scope.pointer, left)
