"""The places of expressions in a definition, and the variables that are bound there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from coe.language.durations import Duration
from coe.language.expression_syntax import JqProgram, is_expression, program_of
from coe.language.expressions import variables
from coe.language.fields import Model, alias
from coe.language.lint.parts import children
from coe.language.model.calls import CallParallelMap
from coe.language.model.components import DataSchema
from coe.language.model.definition import Definition
from coe.language.model.task import Task, TaskList
from coe.language.model.task_types import ForTask, ListenTask, TryTask
from coe.language.source import point

# Fields of a task that are never evaluated.
_NO_DATA: Final = frozenset(("metadata", "then", "call", "schema_", "each", "at", "item"))

# Fields inside a task in which more variables are bound than around them.
_MORE: Final = {"authentication": variables.AUTHENTICATION, "export": variables.EXPORT}

Names = frozenset[str]


@dataclass(frozen=True, slots=True)
class Site:
    """Text in a place where expressions are evaluated.

    `program` is the bare jq; it is None for text that contains `${` but is not an expression as a
    whole, so that it is not evaluated.
    """

    pointer: str
    program: str | None
    names: Names


def sites(definition: Definition) -> Iterator[Site]:
    """Every text of a definition that is, or looks like, an expression."""
    yield from _flow(definition)
    loops = frozenset(name for task in definition.walk() for name in _own_names(task))
    use = definition.use
    for name, policy in use.retries.items():
        yield from _parts(policy, point("use", "retries", name), variables.DEFINITION | loops)
    for kind, names in (
        ("errors", variables.DEFINITION),
        ("authentications", variables.AUTHENTICATION),
    ):
        for name, part in getattr(use, kind).items():
            yield from _parts(part, point("use", kind, name), names)
    for name, timeout in use.timeouts.items():
        yield from _parts(timeout, point("use", "timeouts", name), variables.DEFINITION)
    for scope in definition.scopes():
        yield from _scope(scope.tasks, frozenset())
    for function in use.functions.values():
        yield from _task(function, loops)
    for extension in use.extensions:
        if extension.when:
            yield Site(f"{extension.pointer}/when", extension.when, variables.DEFINITION)


def _flow(definition: Definition) -> Iterator[Site]:
    """The input, output, timeout and schedule of the flow."""
    if definition.input:
        yield from _parts(definition.input, "/input", variables.FLOW_INPUT)
    if definition.output:
        yield from _parts(definition.output, "/output", variables.FLOW_OUTPUT)
    if isinstance(definition.timeout, Model):
        yield from _parts(definition.timeout, "/timeout", variables.FLOW_OUTPUT)
    if definition.schedule:
        yield from _parts(definition.schedule, "/schedule", variables.ALWAYS)


def _scope(tasks: TaskList, names: Names) -> Iterator[Site]:
    for task in tasks:
        yield from _task(task, names)


def _task(task: Task, outer: Names) -> Iterator[Site]:
    """The expressions of a task, and of the tasks inside it."""
    for field in sorted(task.model_fields_set - _NO_DATA):
        value = getattr(task, field)
        place = task.pointer + point(alias(field))
        match field:
            case "if_":
                yield Site(place, value, variables.CONDITION | outer)
            case "input":
                yield from _parts(value, place, variables.INPUT | outer)
            case "export":
                yield from _parts(value, place, variables.EXPORT | outer)
            case "while_" | "catch" | "foreach":
                yield from _parts(value, place, variables.DEFINITION | outer | _own_names(task))
            case _:
                yield from _parts(value, place, variables.DEFINITION | outer)
    for scope in task.scopes():
        inner = _own_names(task) if scope.pointer != "/try" else frozenset()
        yield from _scope(scope.tasks, outer | inner)


def _own_names(task: Task) -> Names:
    """The variables that a task binds for the tasks inside it."""
    match task:
        case ForTask():
            return frozenset((task.for_.each, task.for_.at))
        case CallParallelMap():
            return frozenset((task.with_.each, task.with_.at))
        case TryTask():
            return frozenset((task.catch.as_,))
        case ListenTask() if task.foreach is not None:
            return frozenset((task.foreach.item, task.foreach.at))
        case _:
            return frozenset()


def _parts(value: Any, place: str, names: Names) -> Iterator[Site]:
    """The expressions inside a part of the model or data, except in tasks and schemas."""
    if isinstance(value, DataSchema | TaskList):
        return
    site = _site(value, place, names)
    if site is not None:
        yield site
        return
    for child in children(value):
        if child.field not in _NO_DATA:
            inside = names | _MORE.get(child.field, frozenset())
            yield from _parts(child.value, place + child.pointer, inside)


def _site(value: Any, place: str, names: Names) -> Site | None:
    """The site of a single value, None if it is none."""
    if isinstance(value, Duration) and value.expression is not None:
        return Site(place, value.expression, names)
    if isinstance(value, JqProgram):
        return Site(place, value, names)
    if is_expression(value):
        return Site(place, program_of(value), names)
    return Site(place, None, names) if isinstance(value, str) and "${" in value else None
