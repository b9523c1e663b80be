"""The calls: HTTP, OpenAPI, functions of a catalog, and the unsupported ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

from pydantic import Field, StrictBool, StrictInt

from coe.json_types import JSON
from coe.language.fields import Collection, Model, Texts
from coe.language.model import unsupported
from coe.language.model.authentication import ReferenceableAuthentication
from coe.language.model.components import Endpoint, ExternalResource
from coe.language.model.task import Task, TaskList, TaskScope


class HttpArguments(Model):
    """Arguments of `call: http`. The URI, `headers`, `query` and `body` may hold `${ … }`."""

    NULLABLE = frozenset({"body"})

    method: str
    endpoint: Endpoint
    headers: Texts | None = None
    query: Texts | None = None
    body: JSON = None
    output: Literal["raw", "content", "response"] = "content"
    redirect: StrictBool = False


class CallHttp(Task):
    """Sends an HTTP request."""

    kind = "call"

    call: Literal["http"]
    with_: HttpArguments


class OpenApiArguments(Model):
    """Arguments of `call: openapi`."""

    document: ExternalResource
    operation_id: str
    parameters: dict[str, JSON] = Field(default_factory=dict)
    authentication: ReferenceableAuthentication | None = None
    output: Literal["raw", "content", "response"] = "content"
    redirect: StrictBool = False


class CallOpenApi(Task):
    """Calls an operation of an OpenAPI document."""

    kind = "call"

    call: Literal["openapi"]
    with_: OpenApiArguments


class FunctionRef(NamedTuple):
    """A function's name: declared (`name`), or of a catalog (`name:version@catalog`)."""

    name: str
    version: str | None
    catalog: str | None

    @property
    def catalogued(self) -> bool:
        """Whether it is of a catalog: `name:version` is of the default catalog."""
        return self.version is not None


_FUNCTION: Final = re.compile(r"(?P<name>[^:@\s]+)(?::(?P<version>[^@\s]+))?(?:@(?P<catalog>\S+))?")
DEFAULT_CATALOG: Final = "default"


def function_ref(call: str) -> FunctionRef:
    """Parse `name`, `name:version` or `name:version@catalog`; other text is a name as a whole."""
    match = _FUNCTION.fullmatch(call)
    if match is None or "//" in call:
        return FunctionRef(call, None, None)
    version, catalog = match["version"], match["catalog"]
    return FunctionRef(match["name"], version, catalog or (DEFAULT_CATALOG if version else None))


# The calls that are not functions, and the one function with its own model.
_PARALLEL_MAP: Final = "^parallelMap:1(?:@default)?$"
_OTHER_CALLS: Final[dict[str, Any]] = {
    "not": {
        "anyOf": [
            {"enum": ["http", "openapi", "grpc", "asyncapi", "a2a", "mcp"]},
            {"pattern": _PARALLEL_MAP},
        ]
    }
}


class CallFunction(Task):
    """Calls a function of a catalog, or one that is declared under `use.functions`."""

    kind = "call"

    call: str = Field(json_schema_extra=_OTHER_CALLS)
    with_: dict[str, JSON] = Field(default_factory=dict)

    @property
    def function(self) -> FunctionRef:
        """The called function."""
        return function_ref(self.call)


class ParallelMapArguments(Model):
    """Arguments of `parallelMap`: `do` for each item of `in`, at most `max_concurrency` at once."""

    in_: Collection
    each: str = "item"
    at: str = "index"
    do: TaskList
    max_concurrency: StrictInt | None = Field(default=None, ge=1)


class CallParallelMap(Task):
    """`call: parallelMap:1@default`: a `for` whose iterations run concurrently.

    Its output is the array of their outputs, in the order of the items.
    """

    kind = "call"

    call: str = Field(json_schema_extra={"pattern": _PARALLEL_MAP})
    with_: ParallelMapArguments

    @property
    def function(self) -> FunctionRef:
        """The called function."""
        return function_ref(self.call)

    def scopes(self) -> Iterator[TaskScope]:
        """The tasks for each item."""
        yield TaskScope("/with/do", self.with_.do)


class CallGrpc(Task):
    """Calls a gRPC method: unsupported."""

    kind = "call"

    call: Literal["grpc"]
    with_: unsupported.GrpcArguments

    @property
    def unsupported_key(self) -> str:
        """The call."""
        return "call: grpc"


class CallAsyncApi(Task):
    """Publishes or consumes AsyncAPI messages: unsupported."""

    kind = "call"

    call: Literal["asyncapi"]
    with_: unsupported.AsyncApiArguments

    @property
    def unsupported_key(self) -> str:
        """The call."""
        return "call: asyncapi"

    def scopes(self) -> Iterator[TaskScope]:
        """The tasks for each message."""
        subscription = self.with_.subscription
        if (
            subscription is not None
            and subscription.foreach is not None
            and subscription.foreach.do is not None
        ):
            yield TaskScope("/with/subscription/foreach/do", subscription.foreach.do)


class CallA2a(Task):
    """Calls an A2A agent: unsupported."""

    kind = "call"

    call: Literal["a2a"]
    with_: unsupported.A2aArguments

    @property
    def unsupported_key(self) -> str:
        """The call."""
        return "call: a2a"


class CallMcp(Task):
    """Calls an MCP server: unsupported."""

    kind = "call"

    call: Literal["mcp"]
    with_: unsupported.McpArguments

    @property
    def unsupported_key(self) -> str:
        """The call."""
        return "call: mcp"
