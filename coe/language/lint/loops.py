"""A rule about loops of `then`: something must lead out of them."""

from __future__ import annotations

from collections.abc import Iterator

from coe.errors import Problem, Severity
from coe.language.branches.successors import raises, reachable, successors
from coe.language.lint.context import LintContext, ScopeAt
from coe.language.model.calls import CallParallelMap
from coe.language.model.control_tasks import (
    DoTask,
    ForkTask,
    SetTask,
    SwitchTask,
    TryTask,
    WaitTask,
)
from coe.language.model.task import Task, TaskList

# Tasks that cannot raise an error by themselves, as long as nothing in them is evaluated.
_HARMLESS = (DoTask, ForkTask, SetTask, SwitchTask, TryTask, WaitTask)


def check_loops(context: LintContext) -> Iterator[Problem]:
    """OWS024: tasks that repeat for ever, because nothing leads out of their loop.

    Where a part of the loop may raise an error, or a time limit ends it, that is the only way out:
    a warning.
    """
    for scope in context.scopes:
        if isinstance(scope.owner, ForkTask):  # its tasks follow nothing
            continue
        loop = _endless(scope.tasks)
        if not loop or _another_branch_ends_it(context, scope):
            continue
        tasks = [scope.tasks[index] for index in loop]
        path = " → ".join(f"`{task.name}`" for task in (*tasks, tasks[0]))
        limited = _is_limited(context, scope) or any(_may_raise(context, each) for each in tasks)
        message = f"{path} repeats for ever: no condition leads out of it"
        if limited:
            message = f"only an error or a time limit ends {path}: no condition leads out of it"
        last = tasks[-1]
        yield context.problem(
            "OWS024",
            message,
            f"{last.pointer}/then" if last.then is not None else last.pointer,
            severity=Severity.WARNING if limited else Severity.ERROR,
            help="add a `switch` with a case that leaves the loop",
        )


def _endless(tasks: TaskList) -> list[int]:
    """The indexes of tasks that follow one another for ever, in their order; none if all end."""
    found = reachable(tasks)
    after = {index: list(successors(tasks, index)) for index in found}
    ending = {
        index
        for index, following in after.items()
        if None in following or raises(tasks[index]) or _ends_run(tasks[index])
    }
    while more := {index for index in found - ending if not ending.isdisjoint(after[index])}:
        ending |= more
    path: list[int] = []
    index = min(found - ending, default=None)
    while index is not None and index not in path:
        path.append(index)
        index = next((each for each in after[index] if each is not None), None)
    return path[path.index(index) :] if index is not None else []


def _ends_run(task: Task) -> bool:
    """Whether a directive in the task, at any depth, may end the run."""
    return any(
        directive == "end"
        for each in task.walk()
        for directive in (
            each.then,
            each.catch.then if isinstance(each, TryTask) else None,
            *((case.then for case in each.switch) if isinstance(each, SwitchTask) else ()),
        )
    )


def _around(context: LintContext, scope: ScopeAt) -> Iterator[Task]:
    """The tasks around a scope, innermost first."""
    if scope.owner is not None:
        yield scope.owner
        yield from (each.owner for each in context.ancestors(scope.owner) if each.owner)


def _another_branch_ends_it(context: LintContext, scope: ScopeAt) -> bool:
    """Whether the scope is in a branch that another branch may cancel without an error."""
    return any(
        (isinstance(task, ForkTask) and task.fork.compete)
        or (isinstance(task, ForkTask | CallParallelMap) and _ends_run(task))
        for task in _around(context, scope)
    )


def _is_limited(context: LintContext, scope: ScopeAt) -> bool:
    """Whether a time limit may end the scope, or an error of a branch beside it."""
    return context.definition.timeout is not None or any(
        task.timeout is not None or isinstance(task, ForkTask | CallParallelMap)
        for task in _around(context, scope)
    )


def _may_raise(context: LintContext, task: Task) -> bool:
    """Whether the task, or one in it, may raise an error: it calls, evaluates or has a limit."""
    inside = f"{task.pointer}/"
    return any(
        not isinstance(each, _HARMLESS)
        or any(part is not None for part in (each.timeout, each.input, each.output, each.export))
        for each in task.walk()
    ) or any(site.pointer.startswith(inside) for site in context.sites)
