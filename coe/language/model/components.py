"""The parts that tasks share: data flow, endpoints, authentication, errors, retries, events."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, StrictInt, model_validator
from pydantic_core import CoreSchema, PydanticCustomError

from coe.json_types import JSON
from coe.language.durations import Duration
from coe.language.fields import (
    BY_SHAPE,
    INLINE,
    NAME_TAG,
    URI,
    Alternatives,
    Expression,
    Model,
    Transform,
    Uri,
)


# ---------------------------------------------------------------- endpoints and resources
class Secret(Alternatives):
    """Credentials that may come from a secret: `use` names a declared secret."""

    use: str | None = None


class BasicAuthentication(Secret):
    """Credentials of HTTP Basic (RFC 7617) or HTTP Digest (RFC 7616)."""

    FORMS = (("use", "*"), ("username", "password"))

    username: str | None = None
    password: str | None = None


class BearerAuthentication(Secret):
    """A bearer token (RFC 6750)."""

    FORMS = (("use", "*"), ("token",))

    token: str | None = None


class OAuth2Client(Model):
    """The client that requests a token."""

    id: str | None = None
    secret: str | None = None
    assertion: str | None = None
    authentication: Literal[
        "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"
    ] = "client_secret_post"


class OAuth2Request(Model):
    """How the token request is encoded."""

    encoding: Literal["application/x-www-form-urlencoded", "application/json"] = (
        "application/x-www-form-urlencoded"
    )


class OAuth2Token(Model):
    """A token that represents a subject or an actor (RFC 8693)."""

    token: str
    type: str


class OAuth2Endpoints(Model):
    """Paths below the authority."""

    token: str = "/oauth2/token"  # noqa: S105 - a path
    revocation: str = "/oauth2/revoke"
    introspection: str = "/oauth2/introspect"


class OidcAuthentication(Secret):
    """OpenID Connect: the authority's metadata names the token endpoint."""

    FORMS = (("use", "*"), ("authority", "grant"))

    authority: Uri | None = None
    grant: (
        Literal[
            "authorization_code",
            "client_credentials",
            "password",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ]
        | None
    ) = None
    client: OAuth2Client | None = None
    request: OAuth2Request | None = None
    issuers: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    username: str | None = None
    password: str | None = None
    subject: OAuth2Token | None = None
    actor: OAuth2Token | None = None


class OAuth2Authentication(OidcAuthentication):
    """OAuth 2 (RFC 6749)."""

    endpoints: OAuth2Endpoints | None = None


class AuthenticationPolicy(Alternatives):
    """How a call authenticates: exactly one scheme."""

    FORMS: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("basic",),
        ("bearer",),
        ("digest",),
        ("oauth2",),
        ("oidc",),
    )

    basic: BasicAuthentication | None = None
    bearer: BearerAuthentication | None = None
    digest: BasicAuthentication | None = None
    oauth2: OAuth2Authentication | None = None
    oidc: OidcAuthentication | None = None


class ReferenceableAuthentication(AuthenticationPolicy):
    """A policy, or the name (`use`) of one that is declared under `use.authentications`."""

    FORMS = (*AuthenticationPolicy.FORMS, ("use",))

    use: str | None = None


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


# ---------------------------------------------------------------- events
class EventProperties(Model):
    """Attributes of a CloudEvent 1.0: the standard ones, and extensions in `model_extra`.

    To emit, values are data with `${ … }`; in a filter, a value matches an equal value, and
    `${ … }` is a condition on the event.
    """

    model_config = ConfigDict(extra="allow")
    NULLABLE = frozenset({"data"})

    id: str | None = None
    source: Uri | None = None
    type: str | None = None
    time: str | None = None
    subject: str | None = None
    datacontenttype: str | None = None
    dataschema: Uri | None = None
    data: JSON = None

    def given(self) -> dict[str, JSON]:
        """The attributes that the document gives, extensions included."""
        values: dict[str, JSON] = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in values.items() if name in self.model_fields_set} | (
            self.model_extra or {}
        )


class Correlation(Model):
    """A link between events: the value of `from` for the event must equal `expect`."""

    from_: Expression
    expect: str | None = None


class EventFilter(Model):
    """Which events to take."""

    model_config = ConfigDict(
        json_schema_extra={"allOf": [{"properties": {"with": {"minProperties": 1}}}]}
    )

    with_: EventProperties
    correlate: dict[str, Correlation] = Field(default_factory=dict)


class EventConsumption(Alternatives):
    """Which events to wait for: `all` of them, `any` of them (until …), or `one`."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"until": ["any"]}})
    FORMS = (("all",), ("any",), ("one",))

    all: tuple[EventFilter, ...] | None = None
    any: tuple[EventFilter, ...] | None = None
    one: EventFilter | None = None
    until: (
        Annotated[Annotated[Expression, NAME_TAG] | Annotated[EventConsumption, INLINE], BY_SHAPE]
        | None
    ) = None

    @model_validator(mode="after")
    def _until_any(self) -> EventConsumption:
        if self.until is not None and self.any is None:
            kind = "until"
            raise PydanticCustomError(kind, "`until` goes with `any` only")
        return self
