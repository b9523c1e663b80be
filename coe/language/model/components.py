"""The parts that tasks share: endpoints, data flow, timeouts, errors and retries."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, StrictInt, model_validator
from pydantic_core import CoreSchema, PydanticCustomError

from coe.json_types import JSON
from coe.language.durations import Duration
from coe.language.fields import (
    URI,
    Alternatives,
    Expression,
    Model,
    Transform,
    Uri,
)
from coe.language.model.authentication import ReferenceableAuthentication


# ---------------------------------------------------------------- endpoints and resources
class Endpoint(Model):
    """Where to call: a URI, a URI template with `{key}`s, or `${ … }`.

    Text in place of the object is its `uri`.
    """

    uri: str = Field(pattern=URI)
    authentication: ReferenceableAuthentication | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: object) -> object:
        return {"uri": data} if isinstance(data, str) else data

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The object, or the text that is short for it."""
        written = super().__get_pydantic_json_schema__(schema, handler)
        whole = dict(written)
        written.clear()
        written["anyOf"] = [{"type": "string", "pattern": URI}, whole]
        return written


class ExternalResource(Model):
    """A document at an address."""

    name: str | None = None
    endpoint: Endpoint


class Catalog(Model):
    """A catalog of functions at an address."""

    endpoint: Endpoint


# ---------------------------------------------------------------- data flow
class DataSchema(Alternatives):
    """A schema, inline (`document`) or at an address (`resource`); by default JSON Schema."""

    FORMS = (("document",), ("resource",))

    format: str = "json"
    document: JSON = None
    resource: ExternalResource | None = None


class InputDefinition(Model):
    """The input: validated against `schema`, then transformed by `from`."""

    schema_: DataSchema | None = None
    from_: Transform | None = None


class OutputDefinition(Model):
    """The output: transformed by `as`, then validated against `schema`."""

    schema_: DataSchema | None = None
    as_: Transform | None = None


class ExportDefinition(Model):
    """The new context: `as` of the transformed output, validated against `schema`."""

    schema_: DataSchema | None = None
    as_: Transform | None = None


# ---------------------------------------------------------------- time, errors, retries
class Timeout(Model):
    """The time after which running work is cancelled and a `timeout` error (408) is raised."""

    after: Duration


class ErrorDefinition(Model):
    """An error to raise (RFC 7807). All fields but `status` may be `${ … }`."""

    type: Uri
    status: StrictInt
    instance: str | None = None
    title: str | None = None
    detail: str | None = None


class ErrorFilter(Model):
    """Which errors to catch: every given property must be equal."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    type: str | None = None
    status: StrictInt | None = None
    instance: str | None = None
    title: str | None = None
    detail: str | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> ErrorFilter:
        if not self.model_fields_set:
            kind = "empty_filter"
            raise PydanticCustomError(
                kind, "an empty filter: give at least one property, or leave `errors` out"
            )
        return self


class CatchErrors(Model):
    """The static filter of a `catch`."""

    with_: ErrorFilter | None = None


class Plain(Model):
    """A marker without content, written `{}`."""


class Backoff(Alternatives):
    """How the delay grows with retry n: `constant` d, `linear` d·n, `exponential` d·2^(n-1)."""

    FORMS = (("constant",), ("exponential",), ("linear",))

    constant: Plain | None = None
    exponential: Plain | None = None
    linear: Plain | None = None


class AttemptLimit(Model):
    """At most `count` retries, each of them at most `duration` long."""

    count: StrictInt | None = Field(default=None, ge=0)
    duration: Duration | None = None


class RetryLimit(Model):
    """When retries end: after a number of attempts, or after a `duration` for all of them."""

    attempt: AttemptLimit | None = None
    duration: Duration | None = None


class Jitter(Model):
    """A random addition to each delay, between two bounds."""

    from_: Duration
    to: Duration


class RetryPolicy(Model):
    """When and how often to retry."""

    when: Expression | None = None
    except_when: Expression | None = None
    delay: Duration | None = None
    backoff: Backoff | None = None
    limit: RetryLimit | None = None
    jitter: Jitter | None = None
