"""The task types: one typed model each, distinguished by their key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import ConfigDict, Discriminator, StrictBool, Tag, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from coe.language.fields import (
    TAG,
    Alternatives,
    Entries,
    Model,
)
from coe.language.model import unsupported
from coe.language.model.calls import (
    DEFAULT_CATALOG,
    CallA2a,
    CallAsyncApi,
    CallFunction,
    CallGrpc,
    CallHttp,
    CallMcp,
    CallOpenApi,
    CallParallelMap,
    FunctionRef,
    function_ref,
)
from coe.language.model.control_tasks import (
    Catch,
    DoTask,
    ForkTask,
    ForTask,
    RaiseTask,
    SetTask,
    SwitchCase,
    SwitchTask,
    TryTask,
    WaitTask,
)
from coe.language.model.events import EventConsumption, EventProperties
from coe.language.model.task import TASK_KEYS, SubscriptionIterator, Task, TaskList, TaskScope

__all__ = [
    "CALLS",
    "TASK_KEYS",
    "AnyTask",
    "CallA2a",
    "CallAsyncApi",
    "CallFunction",
    "CallGrpc",
    "CallHttp",
    "CallMcp",
    "CallOpenApi",
    "CallParallelMap",
    "Catch",
    "DoTask",
    "EmitTask",
    "ForTask",
    "ForkTask",
    "ListenTask",
    "RaiseTask",
    "RunTask",
    "SetTask",
    "SubscriptionIterator",
    "SwitchCase",
    "SwitchTask",
    "Task",
    "TaskList",
    "TaskScope",
    "TryTask",
    "WaitTask",
]


# ---------------------------------------------------------------- events
class EmittedEvent(Model):
    """The event to send; `with.type` is required."""

    model_config = ConfigDict(
        json_schema_extra={"allOf": [{"properties": {"with": {"required": ["type"]}}}]}
    )

    with_: EventProperties

    @model_validator(mode="after")
    def _typed(self) -> EmittedEvent:
        if self.with_.type is None:
            kind = "event_type"
            raise PydanticCustomError(kind, "an event to emit needs a `type`")
        return self


class Emit(Model):
    """The event to emit."""

    event: EmittedEvent


class EmitTask(Task):
    """Sends an event."""

    kind = "emit"

    emit: Emit


class Listen(Model):
    """Which events to wait for, and which part of them to read."""

    to: EventConsumption
    read: Literal["data", "envelope", "raw"] = "data"


class ListenTask(Task):
    """Waits for events."""

    kind = "listen"

    listen: Listen
    foreach: SubscriptionIterator | None = None

    def scopes(self) -> Iterator[TaskScope]:
        """The tasks for each event."""
        if self.foreach is not None and self.foreach.do is not None:
            yield TaskScope("/foreach/do", self.foreach.do)


# ---------------------------------------------------------------- run
class RunWorkflow(Model):
    """The flow to run: `input` is data with `${ … }`, by default the task's input."""

    namespace: str
    name: str
    version: str
    input: Annotated[Entries | None, WithJsonSchema({"type": "object"})] = None


class RunProcess(Alternatives):
    """The process to run: a flow; containers, scripts and shells are unsupported."""

    FORMS = (("workflow",), ("container",), ("script",), ("shell",))

    await_: StrictBool = True
    return_: Literal["stdout", "stderr", "code", "all", "none"] = "stdout"
    workflow: RunWorkflow | None = None
    container: unsupported.Container | None = None
    script: unsupported.Script | None = None
    shell: unsupported.Shell | None = None


class RunTask(Task):
    """Runs another flow, or an unsupported process."""

    kind = "run"

    run: RunProcess

    @property
    def unsupported_key(self) -> str | None:
        """The unsupported key, such as `run.shell`; None for a flow."""
        return next(
            (f"run.{key}" for key in ("container", "script", "shell") if getattr(self.run, key)),
            None,
        )


# ---------------------------------------------------------------- any task
# The values of `call` that are not functions.
CALLS: Final[dict[str, type[Task]]] = {
    "http": CallHttp,
    "openapi": CallOpenApi,
    "grpc": CallGrpc,
    "asyncapi": CallAsyncApi,
    "a2a": CallA2a,
    "mcp": CallMcp,
}
_PARALLEL_MAP: Final = FunctionRef("parallelMap", "1", DEFAULT_CATALOG)


def _choose(value: object) -> str | None:
    """The tag of a task's model, from the task's key; None if it has no key of a task type."""
    if isinstance(value, Task):
        return f"{TAG}{type(value).__name__}"
    if not isinstance(value, dict):
        return None
    key = next((key for key in TASK_KEYS if key in value), None)
    if key != "call":
        return key and f"{TAG}{key}"
    call = value["call"]
    if isinstance(call, str) and call in CALLS:
        return f"{TAG}{call}"
    if isinstance(call, str) and function_ref(call) == _PARALLEL_MAP:
        return f"{TAG}parallelMap"
    return f"{TAG}function"


if TYPE_CHECKING:
    AnyTask = Task
else:
    AnyTask = Annotated[
        Annotated[CallHttp, Tag(f"{TAG}http")]
        | Annotated[CallOpenApi, Tag(f"{TAG}openapi")]
        | Annotated[CallFunction, Tag(f"{TAG}function")]
        | Annotated[CallParallelMap, Tag(f"{TAG}parallelMap")]
        | Annotated[CallGrpc, Tag(f"{TAG}grpc")]
        | Annotated[CallAsyncApi, Tag(f"{TAG}asyncapi")]
        | Annotated[CallA2a, Tag(f"{TAG}a2a")]
        | Annotated[CallMcp, Tag(f"{TAG}mcp")]
        | Annotated[DoTask, Tag(f"{TAG}do")]
        | Annotated[EmitTask, Tag(f"{TAG}emit")]
        | Annotated[ForTask, Tag(f"{TAG}for")]
        | Annotated[ForkTask, Tag(f"{TAG}fork")]
        | Annotated[ListenTask, Tag(f"{TAG}listen")]
        | Annotated[RaiseTask, Tag(f"{TAG}raise")]
        | Annotated[RunTask, Tag(f"{TAG}run")]
        | Annotated[SetTask, Tag(f"{TAG}set")]
        | Annotated[SwitchTask, Tag(f"{TAG}switch")]
        | Annotated[TryTask, Tag(f"{TAG}try")]
        | Annotated[WaitTask, Tag(f"{TAG}wait")],
        Discriminator(_choose, custom_error_type="task_type", custom_error_message="no task type"),
    ]

TaskList.ITEM_TYPE = AnyTask
