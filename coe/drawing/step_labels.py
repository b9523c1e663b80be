"""Performer, icon and label of a step, for diagrams and lists of steps.

Performers are `human` (a person), `foreign` (another team's flow), `automatic` (the platform, or a
flow of the same team), `control` (nobody: a decision or a wait) and `unsupported` (not run here).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from coe.language.model.calls import CallFunction, CallHttp, CallOpenApi, CallParallelMap
from coe.language.model.task import Task
from coe.language.model.task_types import (
    EmitTask,
    ForkTask,
    ForTask,
    ListenTask,
    RaiseTask,
    RunTask,
    SwitchTask,
    TryTask,
    WaitTask,
)


def performer_of(task: Task, namespace: str) -> str:
    """Who performs a step of a flow in a namespace."""
    if task.unsupported_key:
        return "unsupported"
    if isinstance(task, CallFunction) and task.function.name == "humanTask":
        return "human"
    called = called_namespace(task)
    if called is not None and called != namespace:
        return "foreign"
    return "control" if isinstance(task, SwitchTask | WaitTask | ListenTask) else "automatic"


def called_namespace(task: Task) -> str | None:
    """The namespace of the flow that a step calls; "" where it is computed in the run."""
    if isinstance(task, RunTask) and task.run.workflow is not None:
        return task.run.workflow.namespace
    if isinstance(task, CallFunction) and task.function.name == "localFlow":
        ref = task.with_.get("ref")
        return ref.partition("/")[0] if isinstance(ref, str) and "${" not in ref else ""
    return None


def icon_of(task: Task) -> str:
    """The icon of a step, which also selects its shape: `human`, `timer`, `table` and so on."""
    if task.unsupported_key:
        return "unsupported"
    if isinstance(task, CallFunction):
        return _FUNCTION_ICONS.get(task.function.name, "call")
    if isinstance(task, RunTask):
        return "flow"
    return _ICONS.get(type(task), task.kind)


_FUNCTION_ICONS: Final = {
    "humanTask": "human",
    "localFlow": "flow",
    "decision": "table",
    "notify": "notify",
}
_ICONS: Final[dict[type[Task], str]] = {
    CallParallelMap: "parallel",
    ForTask: "loop",
    WaitTask: "timer",
}


def label_of(task: Task) -> str:
    """What a step does, in a few words beside its name; may be empty."""
    make = _LABELS.get(type(task))
    return make(task) if make else task.unsupported_key or ""


# The argument of a catalogued function that describes a call best.
_MAIN_ARGUMENTS: Final = {
    "humanTask": "title",
    "localFlow": "ref",
    "decision": "ref",
    "notify": "channel",
}


def _function(task: CallFunction) -> str:
    name = task.function.name
    value = task.with_.get(_MAIN_ARGUMENTS.get(name, ""))
    return value if isinstance(value, str) and "${" not in value else name


def _run(task: RunTask) -> str:
    called = task.run.workflow
    return f"{called.namespace}/{called.name}" if called else str(task.unsupported_key)


def _path(uri: str) -> str:
    """The path of a URI, which describes a call better than its host."""
    if uri.lstrip().startswith("${"):
        return "…"
    host, slash, path = uri.partition("://")[2].partition("/")
    return slash + path if path else host


_LABELS: Final[dict[type[Task], Callable[[Any], str]]] = {
    CallHttp: lambda task: f"{task.with_.method.upper()} {_path(task.with_.endpoint.uri)}",
    CallOpenApi: lambda task: task.with_.operation_id,
    CallFunction: _function,
    CallParallelMap: lambda task: f"for each {task.with_.each}, at once",
    ForTask: lambda task: f"for each {task.for_.each}",
    ForkTask: lambda task: "the first of" if task.fork.compete else "all at once",
    TryTask: lambda task: "try, with retries" if task.catch.retry else "try",
    WaitTask: lambda task: f"wait {task.wait}",
    ListenTask: lambda _: "wait for events",
    EmitTask: lambda task: f"emit {task.emit.event.with_.type}",
    RaiseTask: lambda _: "raise an error",
    RunTask: _run,
}
