"""The keys that all tasks share, and the list of tasks of a scope."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Final, NamedTuple

from pydantic import Field

from coe.json_types import JSON
from coe.language.fields import BY_SHAPE, INLINE, DeclaredName, Expression, Model
from coe.language.model.components import (
    ExportDefinition,
    InputDefinition,
    OutputDefinition,
    Timeout,
)
from coe.language.model.named_list import Named, NamedList

# The keys that determine a task's type; `do` is last, for a `for` has it as well.
TASK_KEYS: Final = (
    "call",
    "emit",
    "for",
    "fork",
    "listen",
    "raise",
    "run",
    "set",
    "switch",
    "try",
    "wait",
    "do",
)


class TaskScope(NamedTuple):
    """A list of tasks, and its pointer relative to the task around it, such as /catch/do."""

    pointer: str
    tasks: TaskList


class Task(Named):
    """The base of all task types.

    `then` is `continue`, `exit`, `end` or the name of a task of the same scope.
    """

    # The key that determines the task's type, such as `call`.
    kind: ClassVar[str]

    if_: Expression | None = None
    input: InputDefinition | None = None
    output: OutputDefinition | None = None
    export: ExportDefinition | None = None
    timeout: Annotated[DeclaredName | Annotated[Timeout, INLINE], BY_SHAPE] | None = None
    then: str | None = None
    metadata: dict[str, JSON] = Field(default_factory=dict)

    @property
    def unsupported_key(self) -> str | None:
        """The key that our profile does not support, such as `call: grpc`; None if it does."""
        return None

    def scopes(self) -> Iterator[TaskScope]:
        """The lists of tasks directly inside this one, in the order of the document."""
        yield from ()

    def walk(self) -> Iterator[Task]:
        """This task and all tasks inside it, parents first."""
        yield self
        for scope in self.scopes():
            for task in scope.tasks:
                yield from task.walk()


class TaskList(NamedList[Task]):
    """The tasks of one scope, in order."""

    NOUN = "task"
    # `coe.language.model.task_types` sets `ITEM_TYPE`: task types contain lists of tasks.


class SubscriptionIterator(Model):
    """The tasks to run for each consumed event."""

    item: str = "item"
    at: str = "index"
    do: TaskList | None = None
    output: OutputDefinition | None = None
    export: ExportDefinition | None = None
