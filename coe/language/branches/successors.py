"""The successors of each task in a scope, and the tasks that can be reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coe.language.model.task import Task, TaskList
from coe.language.model.task_types import DoTask, RaiseTask, SwitchTask, TryTask

# Directives that do not name a task.
_DIRECTIVES: Final = frozenset((None, "continue", "exit", "end"))


def reachable(tasks: TaskList) -> set[int]:
    """The indexes of the tasks that can be reached from the first, which is one of them."""
    found: set[int] = set()
    ahead = [0] if tasks else []
    while ahead:
        index = ahead.pop()
        if index not in found:
            found.add(index)
            ahead.extend(each for each in successors(tasks, index) if each is not None)
            if index + 1 < len(tasks) and _names_unknown_task(tasks, index):
                ahead.append(index + 1)
    return found


def _names_unknown_task(tasks: TaskList, index: int) -> bool:
    """Whether `then` names a task that is not in the scope, which is an error by itself."""
    named = [each for each in _directives(tasks[index]) if each not in _DIRECTIVES]
    return any(tasks.position(str(name)) is None for name in named)


def successors(tasks: TaskList, index: int) -> Iterator[int | None]:
    """The indexes of the tasks that may directly follow a task; None is the end of the scope."""
    for then in _directives(tasks[index]):
        if then in (None, "continue"):
            yield index + 1 if index + 1 < len(tasks) else None
        elif then in ("exit", "end"):
            yield None
        else:
            yield tasks.position(str(then))  # None for an unknown name


def never_ends(tasks: TaskList) -> bool:
    """Whether the list never completes: every path through it raises an error."""
    return bool(tasks) and not any(
        follower is None for index in reachable(tasks) for follower in successors(tasks, index)
    )


def raises(task: Task) -> bool:
    """Whether the task always raises an error when it runs."""
    return isinstance(task, RaiseTask) or (isinstance(task, DoTask) and never_ends(task.do))


def _directives(task: Task) -> list[str | None]:
    """The directives of a task; None stands for the next task."""
    directives: list[str | None] = []
    if isinstance(task, SwitchTask):
        directives += [case.then for case in task.switch]
        if all(case.when is not None for case in task.switch):
            directives.append(task.then)
    elif not raises(task):
        directives.append(task.then)
    if isinstance(task, TryTask) and task.catch.then is not None:
        directives.append(task.catch.then)
    if task.if_ is not None:
        directives.append(task.then)  # `then` applies to a skipped task too
    return directives
