"""Where a task stands in a run: its scope, its frame, and the keys that are made of both."""

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
    """What `$context` is in one branch of the run: null until the first export."""

    value: JSON = None
    exported: bool = False

    def export(self, value: JSON) -> None:
        """Replace the context."""
        self.value = value
        self.exported = True

    def branch(self) -> ExportedContext:
        """The context that a branch starts with."""
        return ExportedContext(self.value)

    def merge(self, branches: list[ExportedContext]) -> None:
        """Take over what branches exported, in the order of their declaration.

        Of objects only the members that a branch changed count, so that a later branch, which still
        has the old value of a member, does not undo an earlier one.
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
    """Whether two values are equal as JSON has it: `true` is not 1, though Python says so."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(json_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(json_equal, one, other))
    return one == other


@dataclass(frozen=True, slots=True)
class ExecutionScope:
    """What the tasks of one execution of a list share.

    `base` is the run's id, or the key of the call whose function runs here. `visits`, `iterations`
    and `attempts` tell this execution from others of the same list: of each enclosing task the
    visit, of each loop the index, of each `try` (and retried step) the attempt. `entered` counts
    how often each task was entered, by its pointer, in this run and in this iteration of its loops.
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
    """One execution of a task. `again` counts from 1 the executions by retries of the run.

    `entered`: tasks inside it may have run. `input` is the transformed input, `output` the raw
    output, `transformed` the output as others see it.
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
        """Make the key of the execution."""
        self.key = self.subkey()

    @property
    def pointer(self) -> str:
        """The task's reference, which is also the `instance` of its errors."""
        return self.task.pointer

    @property
    def attempt(self) -> int:
        """Executions by the nearest `try` and by retries of the run, from 1."""
        return self.scope.attempt + self.again - 1

    @property
    def iteration(self) -> str | None:
        """The indexes of the enclosing loops, outermost first, such as "2.1"."""
        return ".".join(map(str, self.scope.iterations)) or None

    def subkey(self, *parts: str | int) -> str:
        """SHA-256 over run, pointer, loop indexes, visits, attempts (and parts of the task)."""
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
        """The scope of a list of tasks inside this one."""
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
