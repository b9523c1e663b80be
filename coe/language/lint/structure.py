"""Rules about structure: names, the order of tasks, and unsupported parts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from coe.errors import Problem
from coe.language.branches.successors import reachable
from coe.language.expressions import variables
from coe.language.lint.context import LintContext, ScopeAt
from coe.language.model.calls import CallFunction, CallParallelMap
from coe.language.model.components import DataSchema
from coe.language.model.task import Task
from coe.language.model.task_types import (
    ForkTask,
    ForTask,
    ListenTask,
    SwitchTask,
    TryTask,
)
from coe.language.suggestions import did_you_mean

_DSL: Final = re.compile(r"1\.0\.\d+(-.*)?")
_DIRECTIVES: Final = frozenset(("continue", "exit", "end"))
_VARIABLE: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def check_profile(context: LintContext) -> Iterator[Problem]:
    """OWS018 and OWS019: another version of the language, or another expression language."""
    about, evaluate = context.definition.document, context.definition.evaluate
    if not _DSL.fullmatch(about.dsl):
        message = f"version {about.dsl} of the language is not supported: write 1.0.3"
        yield context.problem("OWS018", message, "/document/dsl", value=True)
    if evaluate.language != "jq":
        message = f"expressions in `{evaluate.language}` are not supported: only jq is"
        yield context.problem("OWS019", message, "/evaluate/language", value=True)
    if evaluate.mode == "loose":
        message = "`mode: loose` is not supported: put every expression into ${ }"
        yield context.problem("OWS019", message, "/evaluate/mode", value=True)


def check_scopes(context: LintContext) -> Iterator[Problem]:
    """OWS017, OWS020 and OWS022: empty lists, duplicate names, unreachable tasks."""
    for scope in context.scopes:
        if not scope.tasks:
            yield context.problem("OWS017", "the list has no task", scope.pointer)
        seen: set[str] = set()
        for task in scope.tasks:
            if task.name in seen:
                message = f"a second task named `{task.name}` in this scope"
                yield context.problem("OWS020", message, task.pointer)
            seen.add(task.name)
        if not isinstance(scope.owner, ForkTask):
            yield from _unreachable(context, scope)


def check_directives(context: LintContext) -> Iterator[Problem]:
    """OWS021 and OWS023: a `then` that names no task, a switch with two defaults."""
    for task in context.tasks:
        yield from _directive(context, task, task.then, f"{task.pointer}/then")
        if isinstance(task, TryTask):
            yield from _directive(context, task, task.catch.then, f"{task.pointer}/catch/then")
        if isinstance(task, SwitchTask):
            yield from _switch(context, task)


def check_variables(context: LintContext) -> Iterator[Problem]:
    """OWS044: a variable of a loop or a catch whose name an expression cannot use."""
    for task in context.tasks:
        match task:
            case ForTask():
                named = {"/for/each": task.for_.each, "/for/at": task.for_.at}
            case CallParallelMap():
                named = {"/with/each": task.with_.each, "/with/at": task.with_.at}
            case TryTask():
                named = {"/catch/as": task.catch.as_}
            case ListenTask() if task.foreach:
                named = {"/foreach/item": task.foreach.item, "/foreach/at": task.foreach.at}
            case _:
                continue
        for place, name in named.items():
            if not _VARIABLE.fullmatch(name) or name in variables.RESERVED:
                message = f"`{name}` cannot be the name of a variable here"
                yield context.problem("OWS044", message, task.pointer + place, value=True)


def check_supported(context: LintContext) -> Iterator[Problem]:
    """OWS050: unsupported parts, which load and can be drawn; a draft may have them."""
    found: list[tuple[str, str]] = []
    use = context.definition.use
    for task in context.tasks:
        key = task.unsupported_key
        if key is not None:
            place = task.pointer + (f"/{key.replace('.', '/')}" if "." in key else "/call")
            found.append((f"`{key}`", place))
        if isinstance(task, CallFunction) and task.function.catalog in use.catalogs:
            found.append((f"a function of the catalog `{task.function.catalog}`", task.pointer))
    for place, schema in context.parts(DataSchema):
        if schema.resource is not None:
            found.append(("a schema at an address", f"{place}/resource"))
    if use.extensions:
        found.append(("`use.extensions`", "/use/extensions"))
    for what, place in found:
        yield context.problem("OWS050", f"{what} is not supported", place)


# ---------------------------------------------------------------- directives
def _directive(context: LintContext, task: Task, then: str | None, place: str) -> Iterator[Problem]:
    if then is None or then in _DIRECTIVES:
        return
    scope = context.around.get(task.pointer)
    if scope is None:
        message = f"`{then}` is not in a scope: no task follows that of a declared function"
    elif isinstance(scope.owner, ForkTask):
        message = f"`{then}` does not follow: the branches of a fork run at the same time"
    elif scope.tasks.named(then):
        return
    elif then in context.names:
        message = f"`{then}` is not in the scope of this task; `then` names only tasks of its scope"
    else:
        guess = did_you_mean(then, (*scope.tasks.names, *_DIRECTIVES))
        message = f"there is no task `{then}`{guess}"
    yield context.problem("OWS021", message, place, value=True)


def _switch(context: LintContext, task: SwitchTask) -> Iterator[Problem]:
    defaults = [case for case in task.switch if case.when is None]
    for case in defaults[1:]:
        message = f"a second default: `{defaults[0].name}` has no `when` either"
        yield context.problem("OWS023", message, case.pointer)
    names = Counter(case.name for case in task.switch)
    for case in task.switch:
        yield from _directive(context, task, case.then, f"{case.pointer}/then")
        if names[case.name] > 1:
            names[case.name] = 0
            message = f"two cases named `{case.name}`"
            yield context.problem("OWS020", message, case.pointer)


def _unreachable(context: LintContext, scope: ScopeAt) -> Iterator[Problem]:
    found = reachable(scope.tasks)
    for index, task in enumerate(scope.tasks):
        if index not in found:
            message = f"the task `{task.name}` is never reached"
            help = "name it in a `then`, or remove it"
            yield context.problem("OWS022", message, task.pointer, help=help)
