"""The error types that a flow may raise to its caller, as far as its definition shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from coe.language.error_types import BASE, normal_type
from coe.language.model.calls import CallFunction, CallHttp, CallOpenApi
from coe.language.model.definition import Definition
from coe.language.model.task import Task
from coe.language.model.task_types import RaiseTask, TryTask


class _Error(NamedTuple):
    """An error that a task may raise; the status is None if only a run knows it."""

    kind: str
    status: int | None
    pointer: str


def escaping_errors(definition: Definition) -> dict[str, str]:
    """The error types that a flow may raise, each with the pointer of the first task to raise it.

    The errors of failing expressions and of called flows are left out.
    """
    found: dict[str, str] = {}
    if definition.timeout is not None:
        found[f"{BASE}timeout"] = "/timeout"
    for task in definition.do:
        for error in _escaping(definition, task, ()):
            found.setdefault(error.kind, error.pointer)
    return found


def _escaping(definition: Definition, task: Task, caught: tuple[TryTask, ...]) -> Iterator[_Error]:
    for error in _own(definition, task):
        if not any(_catches(each, error) for each in caught):
            yield error
    for scope in task.scopes():
        inside = (
            (*caught, task) if isinstance(task, TryTask) and scope.pointer == "/try" else caught
        )
        for inner in scope.tasks:
            yield from _escaping(definition, inner, inside)


def _own(definition: Definition, task: Task) -> Iterator[_Error]:
    """The errors that a task itself may raise."""
    if isinstance(task, RaiseTask):
        error = definition.error_of(task.raise_)
        yield _Error(normal_type(error.type), error.status, task.pointer)
    if isinstance(task, CallHttp | CallOpenApi):
        yield _Error(f"{BASE}communication", None, task.pointer)
    if task.timeout is not None or _expires(task):
        yield _Error(f"{BASE}timeout", 408, task.pointer)


def _expires(task: Task) -> bool:
    """Whether a call has a time limit among its arguments."""
    if not isinstance(task, CallFunction):
        return False
    keys = {"humanTask": ("dueIn",), "localFlow": ("timeout",)}
    return any(key in task.with_ for key in keys.get(task.function.name, ()))


def _catches(task: TryTask, error: _Error) -> bool:
    """Whether a `try` always catches an error."""
    catch = task.catch
    if catch.when or catch.except_when or (catch.retry and not catch.do and not catch.then):
        return False
    wanted = catch.errors.with_ if catch.errors else None
    if wanted is None:
        return True
    if wanted.instance or wanted.title or wanted.detail:
        return False
    return (wanted.type is None or normal_type(wanted.type) == error.kind) and (
        wanted.status is None or wanted.status == error.status
    )
