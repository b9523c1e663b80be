"""How calls authenticate: the policies of `use.authentications`, and of endpoints."""

from __future__ import annotations

from typing import ClassVar, Literal

from coe.language.fields import (
    Alternatives,
    Model,
    Uri,
)


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
