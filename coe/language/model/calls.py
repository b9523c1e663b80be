"""The calls: HTTP, OpenAPI, catalogued functions, and those that are not run here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

from pydantic import Field, StrictBool, StrictInt

from coe.json_types import JSON
from coe.language.fields import Collection, Model, Texts
from coe.language.model import unsupported
from coe.language.model.components import Endpoint, ExternalResource, ReferenceableAuthentication
from coe.language.model.task import Scope, Task, TaskList


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
    """What `call` names: a declared function (`name`), or a catalog's (`name:version@catalog`)."""

    name: str
    version: str | None
    catalog: str | None

    @property
    def catalogued(self) -> bool:
        """Whether a catalog holds it: `name:version` alone is of the default one."""
        return self.version is not None


_FUNCTION: Final = re.compile(r"(?P<name>[^:@\s]+)(?::(?P<version>[^@\s]+))?(?:@(?P<catalog>\S+))?")
DEFAULT_CATALOG: Final = "default"


def function_ref(call: str) -> FunctionRef:
    """Read `name`, `name:version` or `name:version@catalog`; text of another shape is all name."""
    match = _FUNCTION.fullmatch(call)
    if match is None or "//" in call:
        return FunctionRef(call, None, None)
    version, catalog = match["version"], match["catalog"]
    return FunctionRef(match["name"], version, catalog or (DEFAULT_CATALOG if version else None))


# The calls that are no functions, and the one function that has a model of its own.
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
    """Calls a catalogued function, or one that is declared under `use.functions`."""

    kind = "call"

    call: str = Field(json_schema_extra=_OTHER_CALLS)
    with_: dict[str, JSON] = Field(default_factory=dict)

    @property
    def function(self) -> FunctionRef:
        """What is called."""
        return function_ref(self.call)


class ParallelMapArguments(Model):
    """Arguments of `parallelMap`: `do` for each item of `in`, at most `max_concurrency` at once."""

    in_: Collection
    each: str = "item"
    at: str = "index"
    do: TaskList
    max_concurrency: StrictInt | None = Field(default=None, ge=1)


class CallParallelMap(Task):
    """`call: parallelMap:1@default`: a `for` whose iterations run at once.

    Its output is the array of theirs, in the order of the items.
    """

    kind = "call"

    call: str = Field(json_schema_extra={"pattern": _PARALLEL_MAP})
    with_: ParallelMapArguments

    @property
    def function(self) -> FunctionRef:
        """What is called."""
        return function_ref(self.call)

    def scopes(self) -> Iterator[Scope]:
        """The tasks for each item."""
        yield Scope("/with/do", self.with_.do)


class CallGrpc(Task):
    """Calls a gRPC method: not run here."""

    kind = "call"
    unsupported_key = "call: grpc"

    call: Literal["grpc"]
    with_: unsupported.GrpcArguments


class CallAsyncApi(Task):
    """Publishes or consumes AsyncAPI messages: not run here."""

    kind = "call"
    unsupported_key = "call: asyncapi"

    call: Literal["asyncapi"]
    with_: unsupported.AsyncApiArguments

    def scopes(self) -> Iterator[Scope]:
        """The tasks for each message."""
        subscription = self.with_.subscription
        if (
            subscription is not None
            and subscription.foreach is not None
            and subscription.foreach.do is not None
        ):
            yield Scope("/with/subscription/foreach/do", subscription.foreach.do)


class CallA2a(Task):
    """Calls an agent: not run here."""

    kind = "call"
    unsupported_key = "call: a2a"

    call: Literal["a2a"]
    with_: unsupported.A2aArguments


class CallMcp(Task):
    """Calls an MCP server: not run here."""

    kind = "call"
    unsupported_key = "call: mcp"

    call: Literal["mcp"]
    with_: unsupported.McpArguments
