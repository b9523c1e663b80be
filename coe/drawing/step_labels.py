"""Who does a step, and what it does in a few words: for diagrams and lists of steps.

Who: `human` a person, `foreign` another team's flow, `automatic` the platform or the own team's
flow, `control` nobody (a decision, a wait), `unsupported` what is not run here.
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
    not_run_here,
)


def doer(task: Task, namespace: str) -> str:
    """Who does a step of a flow in a namespace."""
    if not_run_here(task):
        return "unsupported"
    if isinstance(task, CallFunction) and task.function.name == "humanTask":
        return "human"
    called = called_namespace(task)
    if called is not None and called != namespace:
        return "foreign"
    return "control" if isinstance(task, SwitchTask | WaitTask | ListenTask) else "automatic"


def called_namespace(task: Task) -> str | None:
    """The namespace of the flow that a step calls; "" where only the run will tell."""
    if isinstance(task, RunTask) and task.run.workflow is not None:
        return task.run.workflow.namespace
    if isinstance(task, CallFunction) and task.function.name == "localFlow":
        ref = task.with_.get("ref")
        return ref.partition("/")[0] if isinstance(ref, str) and "${" not in ref else ""
    return None


def sign(task: Task) -> str:
    """What kind of step it is, for its shape and icon: `human`, `timer`, `table` and the like."""
    if not_run_here(task):
        return "unsupported"
    if isinstance(task, CallFunction):
        return _FUNCTION_SIGNS.get(task.function.name, "call")
    if isinstance(task, RunTask):
        return "flow"
    return _SIGNS.get(type(task), task.kind)


_FUNCTION_SIGNS: Final = {
    "humanTask": "human",
    "localFlow": "flow",
    "decision": "table",
    "notify": "notify",
}
_SIGNS: Final[dict[type[Task], str]] = {
    CallParallelMap: "parallel",
    ForTask: "loop",
    WaitTask: "timer",
}


def words(task: Task) -> str:
    """What a step does, beside its name; empty where the name says it all."""
    say = _WORDS.get(type(task))
    return say(task) if say else task.unsupported_key or ""


# The argument of a catalogued function that tells most.
_TELLING: Final = {
    "humanTask": "title",
    "localFlow": "ref",
    "decision": "ref",
    "notify": "channel",
}


def _function(task: CallFunction) -> str:
    name = task.function.name
    value = task.with_.get(_TELLING.get(name, ""))
    return value if isinstance(value, str) and "${" not in value else name


def _run(task: RunTask) -> str:
    called = task.run.workflow
    return f"{called.namespace}/{called.name}" if called else str(task.unsupported_process)


def _path(uri: str) -> str:
    """The path of a URI, which tells more than its host."""
    if uri.lstrip().startswith("${"):
        return "…"
    host, slash, path = uri.partition("://")[2].partition("/")
    return slash + path if path else host


_WORDS: Final[dict[type[Task], Callable[[Any], str]]] = {
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
