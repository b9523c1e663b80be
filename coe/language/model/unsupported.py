"""Parts of the specification that our profile does not support.

They are loaded and drawn, and refused at publication.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from coe.json_types import JSON
from coe.language.durations import Duration
from coe.language.fields import Alternatives, Entries, Expression, Model, SetValue
from coe.language.model.authentication import ReferenceableAuthentication
from coe.language.model.components import Endpoint, ExternalResource
from coe.language.model.task import SubscriptionIterator


class GrpcService(Model):
    """A gRPC service and its address."""

    name: str
    host: str = Field(pattern=r"^[a-zA-Z0-9](?:[a-zA-Z0-9-.]{0,61}[a-zA-Z0-9])?$")
    port: StrictInt | None = Field(default=None, ge=0, le=65535)
    authentication: ReferenceableAuthentication | None = None


class GrpcArguments(Model):
    """Arguments of `call: grpc`."""

    proto: ExternalResource
    service: GrpcService
    method: str
    arguments: dict[str, JSON] = Field(default_factory=dict)


class AsyncApiServer(Model):
    """A server that the AsyncAPI document names."""

    name: str
    variables: dict[str, JSON] = Field(default_factory=dict)


class AsyncApiMessage(Model):
    """A message to publish."""

    payload: JSON = None
    headers: JSON = None


class AsyncApiConsumption(Alternatives):
    """How many messages to consume."""

    FORMS = (("amount",), ("while_",), ("until",))

    for_: Duration | None = None
    amount: StrictInt | None = None
    while_: Expression | None = None
    until: Expression | None = None


class AsyncApiSubscription(Model):
    """Messages to consume, and the tasks for each."""

    filter: Expression | None = None
    consume: AsyncApiConsumption
    foreach: SubscriptionIterator | None = None


class AsyncApiArguments(Alternatives):
    """Arguments of `call: asyncapi`."""

    FORMS = (
        ("operation", "message"),
        ("operation", "subscription"),
        ("channel", "message"),
        ("channel", "subscription"),
    )

    document: ExternalResource
    channel: str | None = None
    operation: str | None = None
    server: AsyncApiServer | None = None
    protocol: (
        Literal[
            "amqp",
            "amqp1",
            "anypointmq",
            "googlepubsub",
            "http",
            "ibmmq",
            "jms",
            "kafka",
            "mercure",
            "mqtt",
            "mqtt5",
            "nats",
            "pulsar",
            "redis",
            "sns",
            "solace",
            "sqs",
            "stomp",
            "ws",
        ]
        | None
    ) = None
    message: AsyncApiMessage | None = None
    subscription: AsyncApiSubscription | None = None
    authentication: ReferenceableAuthentication | None = None


def _not_empty(value: JSON) -> JSON:
    if value == {}:
        kind = "wrong_type"
        raise PydanticCustomError(kind, "must not be empty")
    return value


class A2aArguments(Model):
    """Arguments of `call: a2a`."""

    agent_card: ExternalResource | None = None
    server: Endpoint | None = None
    method: Literal[
        "message/send",
        "message/stream",
        "tasks/get",
        "tasks/list",
        "tasks/cancel",
        "tasks/resubscribe",
        "tasks/pushNotificationConfig/set",
        "tasks/pushNotificationConfig/get",
        "tasks/pushNotificationConfig/list",
        "tasks/pushNotificationConfig/delete",
        "agent/getAuthenticatedExtendedCard",
    ]
    parameters: Annotated[SetValue, AfterValidator(_not_empty)] | None = None


class McpHttpTransport(Model):
    """An MCP server behind HTTP."""

    endpoint: Endpoint
    headers: dict[str, str] = Field(default_factory=dict)


class McpStdioTransport(Model):
    """An MCP server as a process."""

    command: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)


class McpTransport(Alternatives):
    """How the MCP server is reached."""

    FORMS = (("http",), ("stdio",))

    http: McpHttpTransport | None = None
    stdio: McpStdioTransport | None = None
    options: dict[str, str] = Field(default_factory=dict)


class McpClient(Model):
    """The client of the MCP server."""

    name: str
    version: str


class McpArguments(Model):
    """Arguments of `call: mcp`."""

    protocol_version: str = "2025-06-18"
    method: Literal[
        "tools/list",
        "tools/call",
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/read",
        "resources/templates/list",
    ]
    parameters: Entries | None = None
    timeout: Duration | None = None
    transport: McpTransport
    client: McpClient | None = None


class ContainerLifetime(Model):
    """When a finished container is removed."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"cleanup": {"const": "eventually"}}},
            "then": {"required": ["after"]},
            "else": {"properties": {"after": False}},
        }
    )

    cleanup: Literal["always", "never", "eventually"]
    after: Duration | None = None

    @model_validator(mode="after")
    def _after_eventually(self) -> ContainerLifetime:
        if (self.cleanup == "eventually") != (self.after is not None):
            kind = "lifetime"
            raise PydanticCustomError(
                kind, "`after` is required with `cleanup: eventually`, and not allowed otherwise"
            )
        return self


class Container(Model):
    """A container to run."""

    image: str
    name: str | None = None
    command: str | None = None
    ports: dict[str, JSON] = Field(default_factory=dict)
    volumes: dict[str, JSON] = Field(default_factory=dict)
    environment: dict[str, JSON] = Field(default_factory=dict)
    stdin: str | None = None
    arguments: tuple[str, ...] = ()
    lifetime: ContainerLifetime | None = None
    pull_policy: Literal["ifNotPresent", "always", "never"] | None = None


class Script(Alternatives):
    """A script to run, inline or at an address."""

    FORMS = (("code",), ("source",))

    language: str
    code: str | None = None
    source: ExternalResource | None = None
    stdin: str | None = None
    arguments: tuple[str, ...] = ()
    environment: dict[str, JSON] = Field(default_factory=dict)


class Shell(Model):
    """A shell command to run."""

    command: str
    stdin: str | None = None
    arguments: tuple[str, ...] = ()
    environment: dict[str, JSON] = Field(default_factory=dict)
