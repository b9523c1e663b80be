"""The tasks that control a run (do, for, fork, switch, try, raise, wait), and `set`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import StrictBool

from coe.language.durations import Duration
from coe.language.fields import (
    BY_SHAPE,
    INLINE,
    Collection,
    DeclaredName,
    Expression,
    Model,
    SetValue,
)
from coe.language.model.components import CatchErrors, ErrorDefinition, RetryPolicy
from coe.language.model.named_list import Named, NamedList
from coe.language.model.task import Task, TaskList, TaskScope


class DoTask(Task):
    """Runs tasks in sequence."""

    kind = "do"

    do: TaskList

    def scopes(self) -> Iterator[TaskScope]:
        """The sequence."""
        yield TaskScope("/do", self.do)


class ForLoop(Model):
    """The collection of a `for` (`in`), and the names of its item (`each`) and index (`at`)."""

    each: str = "item"
    in_: Collection
    at: str = "index"


class ForTask(Task):
    """Runs tasks for each item of a collection, `while` a condition holds."""

    kind = "for"

    for_: ForLoop
    while_: Expression | None = None
    do: TaskList

    def scopes(self) -> Iterator[TaskScope]:
        """The tasks of one iteration."""
        yield TaskScope("/do", self.do)


class Fork(Model):
    """Branches that run concurrently; with `compete` the first to succeed wins."""

    branches: TaskList
    compete: StrictBool = False


class ForkTask(Task):
    """Runs tasks concurrently."""

    kind = "fork"

    fork: Fork

    def scopes(self) -> Iterator[TaskScope]:
        """The branches."""
        yield TaskScope("/fork/branches", self.fork.branches)


class SwitchCase(Named):
    """A case: without `when` it is the default."""

    when: Expression | None = None
    then: str


class SwitchCases(NamedList[SwitchCase]):
    """The cases of a switch, in order."""

    NOUN = "case"
    MIN_LENGTH = 1
    ITEM_TYPE = SwitchCase


class SwitchTask(Task):
    """Continues as the first matching case says."""

    kind = "switch"

    switch: SwitchCases


class Catch(Model):
    """Which errors to catch, whether to retry, and the tasks to run after an error."""

    errors: CatchErrors | None = None
    as_: str = "error"
    when: Expression | None = None
    except_when: Expression | None = None
    retry: Annotated[DeclaredName | Annotated[RetryPolicy, INLINE], BY_SHAPE] | None = None
    do: TaskList | None = None
    then: str | None = None


class TryTask(Task):
    """Runs tasks and catches their errors."""

    kind = "try"

    try_: TaskList
    catch: Catch

    def scopes(self) -> Iterator[TaskScope]:
        """The tasks to try, and those of the `catch`."""
        yield TaskScope("/try", self.try_)
        if self.catch.do is not None:
            yield TaskScope("/catch/do", self.catch.do)


class Raise(Model):
    """The error to raise, or the name of one that is declared under `use.errors`."""

    error: Annotated[DeclaredName | Annotated[ErrorDefinition, INLINE], BY_SHAPE]


class RaiseTask(Task):
    """Raises an error."""

    kind = "raise"

    raise_: Raise


class SetTask(Task):
    """Sets its output: an object, or one expression."""

    kind = "set"

    set: SetValue


class WaitTask(Task):
    """Waits; its output is its input."""

    kind = "wait"

    wait: Duration
