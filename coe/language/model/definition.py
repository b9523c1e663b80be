"""A definition: the document as typed models, with the parts that tasks refer to by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr

from coe.json_types import JSON
from coe.language.durations import Duration
from coe.language.fields import BY_SHAPE, INLINE, DeclaredName, Expression, ItemPosition, Model
from coe.language.model.authentication import AuthenticationPolicy, ReferenceableAuthentication
from coe.language.model.components import (
    Catalog,
    ErrorDefinition,
    InputDefinition,
    OutputDefinition,
    RetryPolicy,
    Timeout,
)
from coe.language.model.control_tasks import Raise
from coe.language.model.events import EventConsumption
from coe.language.model.named_list import Named, NamedList
from coe.language.model.task_types import (
    AnyTask,
    CallFunction,
    Catch,
    SwitchTask,
    Task,
    TaskList,
    TaskScope,
)
from coe.language.source import Source, point

_LABEL = r"^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$"
_SEMVER = (
    r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$"
)


class Document(Model):
    """The flow's name, version and description; `namespace` is the team that owns it."""

    dsl: str = Field(pattern=_SEMVER)
    namespace: str = Field(pattern=_LABEL)
    name: str = Field(pattern=_LABEL)
    version: str = Field(pattern=_SEMVER)
    title: str | None = None
    summary: str | None = None
    tags: dict[str, JSON] = Field(default_factory=dict)
    metadata: dict[str, JSON] = Field(default_factory=dict)

    @property
    def ref(self) -> str:
        """namespace/name@version."""
        return f"{self.namespace}/{self.name}@{self.version}"


class Extension(Named):
    """Tasks to run before and after the tasks of one type."""

    extend: Literal[
        "call",
        "composite",
        "emit",
        "for",
        "listen",
        "raise",
        "run",
        "set",
        "switch",
        "try",
        "wait",
        "all",
    ]
    when: Expression | None = None
    before: TaskList | None = None
    after: TaskList | None = None


class Extensions(NamedList[Extension]):
    """The extensions, in order."""

    NOUN = "extension"
    ITEM_TYPE = Extension


class Use(Model):
    """Parts that the definition declares once, and refers to by name."""

    authentications: dict[str, AuthenticationPolicy] = Field(default_factory=dict)
    errors: dict[str, ErrorDefinition] = Field(default_factory=dict)
    extensions: Extensions = Field(default_factory=Extensions)
    functions: dict[str, AnyTask] = Field(default_factory=dict)
    retries: dict[str, RetryPolicy] = Field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    timeouts: dict[str, Timeout] = Field(default_factory=dict)
    catalogs: dict[str, Catalog] = Field(default_factory=dict)


class FlowSchedule(Model):
    """When the platform starts runs."""

    every: Duration | None = None
    cron: str | None = None
    after: Duration | None = None
    on: EventConsumption | None = None


class EvaluateOptions(Model):
    """How expressions are evaluated; our profile has jq in strict mode only."""

    language: str = "jq"
    mode: Literal["strict", "loose"] = "strict"


class Definition(Model):
    """A flow's definition. The methods that end in `_of` resolve references by name."""

    document: Document
    input: InputDefinition | None = None
    use: Use = Field(default_factory=Use)
    do: TaskList
    timeout: Annotated[DeclaredName | Annotated[Timeout, INLINE], BY_SHAPE] | None = None
    output: OutputDefinition | None = None
    schedule: FlowSchedule | None = None
    evaluate: EvaluateOptions = Field(default_factory=EvaluateOptions)

    _source: Source = PrivateAttr(default_factory=lambda: Source({}))

    @property
    def source(self) -> Source:
        """The document that was read: its data, its text and the position of every value."""
        return self._source

    def scopes(self) -> Iterator[TaskScope]:
        """The lists of tasks at the top: those of the flow and of its extensions."""
        yield TaskScope("/do", self.do)
        for index, extension in enumerate(self.use.extensions):
            for when, tasks in (("before", extension.before), ("after", extension.after)):
                if tasks is not None:
                    yield TaskScope(point("use", "extensions", index, extension.name, when), tasks)

    def walk(self) -> Iterator[Task]:
        """Every task, parents first, in the order of the document; declared functions come last."""
        for scope in self.scopes():
            for task in scope.tasks:
                yield from task.walk()
        for function in self.use.functions.values():
            yield from function.walk()

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """Every task by its pointer."""
        return {task.pointer: task for task in self.walk()}

    def timeout_of(self, item: Task | None = None) -> Duration | None:
        """The timeout of a task, or without a task of the run; None for no limit."""
        timeout = self.timeout if item is None else item.timeout
        if isinstance(timeout, str):
            timeout = self.use.timeouts[timeout]
        return timeout.after if timeout else None

    def retry_of(self, catch: Catch) -> RetryPolicy | None:
        """The retry policy of a catch."""
        return self.use.retries[catch.retry] if isinstance(catch.retry, str) else catch.retry

    def error_of(self, raised: Raise) -> ErrorDefinition:
        """The error that a task raises."""
        return self.use.errors[raised.error] if isinstance(raised.error, str) else raised.error

    def authentication_of(self, policy: ReferenceableAuthentication) -> AuthenticationPolicy:
        """The policy, also where it is referred to by name."""
        return self.use.authentications[policy.use] if policy.use is not None else policy

    def function_of(self, call: CallFunction) -> Task | None:
        """The task of a declared function; None for a function of a catalog."""
        return self.use.functions.get(call.call)

    def at_version(self, version: str, source: Source) -> Definition:
        """A copy with another version number, as it stands in this document."""
        copy = self.model_copy(
            update={"document": self.document.model_copy(update={"version": version})}
        )
        copy.put(source)
        return copy

    def put(self, source: Source) -> None:
        """Set the document, and the place of every task; the loader calls this once."""
        self._source = source
        for scope in self.scopes():
            _place(scope, "", source)
        for index, extension in enumerate(self.use.extensions):
            extension.put(
                _at(extension.name, point("use", "extensions", index, extension.name), source)
            )
        for name, function in self.use.functions.items():
            _put(function, name, point("use", "functions", name), source)


def _place(scope: TaskScope, parent: str, source: Source) -> None:
    for index, task in enumerate(scope.tasks):
        _put(task, task.name, f"{parent}{scope.pointer}{point(index, task.name)}", source)


def _put(task: Task, name: str, pointer: str, source: Source) -> None:
    task.put(_at(name, pointer, source))
    if isinstance(task, SwitchTask):
        for index, case in enumerate(task.switch):
            case.put(_at(case.name, f"{pointer}/switch{point(index, case.name)}", source))
    for inner in task.scopes():
        _place(inner, pointer, source)


def _at(name: str, pointer: str, source: Source) -> ItemPosition:
    mark = source.locate(pointer)
    return ItemPosition(name, pointer, *(mark or (None, None)))
