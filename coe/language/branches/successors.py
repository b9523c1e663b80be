"""Which tasks of a scope can come after which, and which are never reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coe.language.model.task import Task, TaskList
from coe.language.model.task_types import DoTask, RaiseTask, SwitchTask, TryTask

# Directives that name no task.
_WORDS: Final = frozenset((None, "continue", "exit", "end"))


def reachable(tasks: TaskList) -> set[int]:
    """The indexes of the tasks that the first leads to, itself included."""
    found: set[int] = set()
    ahead = [0] if tasks else []
    while ahead:
        index = ahead.pop()
        if index not in found:
            found.add(index)
            ahead.extend(each for each in successors(tasks, index) if each is not None)
            if index + 1 < len(tasks) and _astray(tasks, index):
                ahead.append(index + 1)
    return found


def _astray(tasks: TaskList, index: int) -> bool:
    """Whether a task names one that is not in the scope: an error of its own, told once."""
    named = [each for each in _directives(tasks[index]) if each not in _WORDS]
    return any(tasks.position(str(name)) is None for name in named)


def successors(tasks: TaskList, index: int) -> Iterator[int | None]:
    """What may come directly after a task: tasks by index, None for what is outside the scope."""
    for then in _directives(tasks[index]):
        if then in (None, "continue"):
            yield index + 1 if index + 1 < len(tasks) else None
        elif then in ("exit", "end"):
            yield None
        else:
            yield tasks.position(str(then))  # a name that is not there leads nowhere in the scope


def never_ends(tasks: TaskList) -> bool:
    """Whether the list surely does not come to an end: each way through it raises an error."""
    return bool(tasks) and not any(
        follower is None for index in reachable(tasks) for follower in successors(tasks, index)
    )


def raises(task: Task) -> bool:
    """Whether the task surely raises an error whenever it is carried out."""
    return isinstance(task, RaiseTask) or (isinstance(task, DoTask) and never_ends(task.do))


def _directives(task: Task) -> list[str | None]:
    """What the task may say of where to go; None for the next one."""
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
        directives.append(task.then)  # a task that is skipped still goes where its `then` says
    return directives
