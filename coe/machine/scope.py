"""The position of a task in a run: its scope, its frame, and the key made of both."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import orjson

from coe.json_types import JSON
from coe.language.model.task import Task
from coe.machine.errors import ErrorHandler


@dataclass(slots=True)
class ExportedContext:
    """The value of `$context` in one branch of the run: null until the first export."""

    value: JSON = None
    exported: bool = False

    def export(self, value: JSON) -> None:
        """Replace the context."""
        self.value = value
        self.exported = True

    def branch(self) -> ExportedContext:
        """The context with which a branch starts."""
        return ExportedContext(self.value)

    def merge(self, branches: list[ExportedContext]) -> None:
        """Take over the exports of branches, in the order of their declaration.

        Of an object only the members that a branch changed count. So a later branch that still has
        the old value of a member does not undo an earlier one.
        """
        base = self.value
        for branch in branches:
            if branch.exported:
                self.export(_merged(base, self.value, branch.value))


def _merged(base: JSON, current: JSON, changed: JSON) -> JSON:
    if not isinstance(changed, dict) or not isinstance(current, dict):
        return changed
    before = base if isinstance(base, dict) else {}
    merged = dict(current)
    for name in before.keys() - changed.keys():
        merged.pop(name, None)
    return merged | {
        name: value
        for name, value in changed.items()
        if name not in before or not json_equal(before[name], value)
    }


def json_equal(one: JSON, other: JSON) -> bool:
    """Whether two values are equal as JSON: `true` is not 1, unlike in Python."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(json_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(json_equal, one, other))
    return one == other


@dataclass(frozen=True, slots=True)
class ExecutionScope:
    """What the tasks in one execution of a task list share.

    `base` is the id of the run, or the key of the call whose function runs here. `visits`,
    `iterations` and `attempts` distinguish this execution from others of the same list: the visit
    of each enclosing task, the index in each loop, the attempt of each `try` (and retried step).
    `entered` counts the entries of each task, by its pointer, in this run and loop iteration.
    """

    base: str
    context: ExportedContext
    visits: tuple[int, ...] = ()
    iterations: tuple[int, ...] = ()
    attempts: tuple[int, ...] = ()
    attempt: int = 1
    variables: Mapping[str, JSON] = field(default_factory=dict)
    handler: ErrorHandler | None = None
    frame: Frame | None = None
    entered: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Frame:
    """One execution of a task.

    `raw` is the raw input and `input` the transformed one; `output` is the raw output and
    `transformed` the transformed one. `again` counts executions by retries of the run, from 1.
    `entered` is set once tasks inside this one may have run.
    """

    task: Task
    scope: ExecutionScope
    visit: int
    raw: JSON
    started_at: datetime
    again: int = 1
    key: str = field(init=False)
    input: JSON = None
    output: JSON = None
    transformed: JSON = None
    authorization: JSON = None
    entered: bool = False

    def __post_init__(self) -> None:
        """Compute the key of the execution."""
        self.key = self.subkey()

    @property
    def pointer(self) -> str:
        """The JSON pointer of the task, also the `instance` of its errors."""
        return self.task.pointer

    @property
    def attempt(self) -> int:
        """The number of the execution, from 1, by the nearest `try` and by retries of the run."""
        return self.scope.attempt + self.again - 1

    @property
    def iteration(self) -> str | None:
        """The indexes of the enclosing loops, outermost first, such as "2.1"."""
        return ".".join(map(str, self.scope.iterations)) or None

    def subkey(self, *parts: str | int) -> str:
        """SHA-256 over base, pointer, loop indexes, visits, attempts, and parts within the task."""
        scope = self.scope
        visits = (*scope.visits, self.visit)
        attempts = (*scope.attempts, self.again)
        place = [scope.base, self.pointer, scope.iterations, visits, attempts, parts]
        return hashlib.sha256(orjson.dumps(place)).hexdigest()

    def repeated(self, at: datetime) -> Frame:
        """The next execution of the same visit, after the run was retried."""
        return Frame(self.task, self.scope, self.visit, self.raw, at, self.again + 1)

    def inside(
        self,
        *,
        handler: ErrorHandler | None = None,
        variables: Mapping[str, JSON] | None = None,
        iteration: int | None = None,
        attempt: int | None = None,
        context: ExportedContext | None = None,
    ) -> ExecutionScope:
        """The scope of a task list inside this task."""
        self.entered = True
        outer = self.scope
        return replace(
            outer,
            visits=(*outer.visits, self.visit),
            attempts=(*outer.attempts, self.again, *(() if attempt is None else (attempt,))),
            iterations=(outer.iterations if iteration is None else (*outer.iterations, iteration)),
            attempt=outer.attempt if attempt is None else attempt,
            variables={**outer.variables, **variables} if variables else outer.variables,
            context=context or outer.context,
            handler=handler or outer.handler,
            frame=self,
            entered=outer.entered if iteration is None else Counter(),
        )
