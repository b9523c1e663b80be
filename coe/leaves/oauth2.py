"""Access tokens of OAuth 2 (RFC 6749) and OpenID Connect.

The grants that need no person are supported: client_credentials, password, refresh_token and
token-exchange (RFC 8693). `authorization_code` needs a person with a browser and is refused.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

import httpx
import orjson

from coe.crypto.jose import sign_with_secret, unverified_claims
from coe.db import new_id
from coe.json_types import JSON, NotJson, read_json
from coe.leaves.leaf import LeafFault, LeafIO
from coe.leaves.transport import HttpRequest, send
from coe.machine.errors import standard_error

_EXPIRY_MARGIN: Final = 30
"""Seconds before its expiry from which a cached token is no longer used."""
_ASSERTION_SECONDS: Final = 60
"""How long a client assertion that is signed here is valid."""
_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_GRANTS: Final = {"client_credentials", "password", "refresh_token", _TOKEN_EXCHANGE}
# Error codes of the standards (RFC 6749, 5.2; RFC 8693, 2.2.2). Other texts of an authority may
# hold a credential, so they are not shown.
_ERROR_CODES: Final = {
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "unauthorized_client",
    "unsupported_grant_type",
}


def credential(policy: Mapping[str, JSON], name: str, request: HttpRequest) -> str:
    """A text of an authentication policy.

    Raises:
        LeafFault: `authentication` (401), when it is missing, or neither text nor a number.
    """
    value = policy.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise authentication_fault(request, f"The authentication policy has no `{name}`")
    return str(value)


def authentication_fault(request: HttpRequest, title: str, detail: str | None = None) -> LeafFault:
    """The `authentication` error (401) of a request."""
    return LeafFault(
        standard_error("authentication", title=title, detail=detail, instance=request.path)
    )


async def request_token(
    scheme: str, policy: Mapping[str, JSON], request: HttpRequest, io: LeafIO
) -> tuple[str, float]:
    """Request an access token; return it and the seconds for which it may be cached.

    Args:
        scheme: `oauth2` or `oidc`; the latter always discovers its token endpoint.
        policy: The properties of the authentication policy, evaluated.
        request: The request that needs the token: its team and its task.
        io: What requests are sent with.

    Raises:
        LeafFault: `authentication` (401), when no token is issued; or what `send` raises.
    """
    endpoint = await _token_endpoint(scheme, policy, request, io)
    response = await send(_token_request(policy, endpoint, request), io)
    fields = _json_object(response.content)
    token = fields.get("access_token")
    if response.status != httpx.codes.OK or not isinstance(token, str) or not token:
        code = fields.get("error")
        detail = code if isinstance(code, str) and code in _ERROR_CODES else None
        raise authentication_fault(request, "The authority issued no token", detail)
    if str(fields.get("token_type") or "bearer").lower() not in {"bearer", "n_a"}:
        raise authentication_fault(request, "The authority issued a token of an unsupported type")
    _check_issuer(token, policy.get("issuers"), request)
    expiry = str(fields.get("expires_in", ""))
    return token, float(int(expiry) - _EXPIRY_MARGIN) if _is_number(expiry) else 0.0


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _check_issuer(token: str, issuers: JSON, request: HttpRequest) -> None:
    """Refuse a token of an issuer that the policy does not name; an opaque token names none.

    The signature is not checked: the token comes from the authority itself, and the service that
    receives it checks it.
    """
    if not isinstance(issuers, list) or not issuers:
        return
    if unverified_claims(token).get("iss") not in issuers:
        raise authentication_fault(request, "The authority issued a token of another issuer")


async def _token_endpoint(
    scheme: str, policy: Mapping[str, JSON], request: HttpRequest, io: LeafIO
) -> httpx.URL:
    """The token endpoint: a path below the authority, or the one in its discovery document."""
    authority = str(policy.get("authority")).rstrip("/")
    if scheme == "oauth2" and not authority.endswith(_WELL_KNOWN):
        endpoints = policy.get("endpoints")
        path = endpoints.get("token") if isinstance(endpoints, dict) else None
        return _url(authority + "/" + str(path or "/oauth2/token").lstrip("/"), request)
    location = _url(authority.removesuffix(_WELL_KNOWN) + _WELL_KNOWN, request)
    discovery = HttpRequest("GET", location, request.path, team=request.team)
    endpoint = _json_object((await send(discovery, io)).content).get("token_endpoint")
    if not isinstance(endpoint, str):
        raise authentication_fault(request, "The authority names no token endpoint")
    return _url(endpoint, request)


def _url(text: str, request: HttpRequest) -> httpx.URL:
    try:
        return httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        title = "The address of the authority is malformed"
        raise authentication_fault(request, title) from None


def _token_request(
    policy: Mapping[str, JSON], endpoint: httpx.URL, request: HttpRequest
) -> HttpRequest:
    form = _grant_parameters(policy, request)
    headers = {"Accept": "application/json"} | _authenticate_client(policy, form, endpoint, request)
    encoding = policy.get("request")
    if isinstance(encoding, dict) and encoding.get("encoding") == "application/json":
        headers["Content-Type"] = "application/json"
        content = orjson.dumps(form)
    else:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        content = urlencode(form).encode()
    return HttpRequest("POST", endpoint, request.path, headers, content, team=request.team)


def _grant_parameters(policy: Mapping[str, JSON], request: HttpRequest) -> dict[str, str]:
    grant = str(policy.get("grant"))
    if grant not in _GRANTS:
        raise authentication_fault(request, f"The grant {grant} is not supported")
    form = {"grant_type": grant}
    for name, parameter in (("scopes", "scope"), ("audiences", "audience")):
        values = policy.get(name)
        if isinstance(values, list) and values:
            form[parameter] = " ".join(map(str, values))
    if grant == "password":
        form |= {name: credential(policy, name, request) for name in ("username", "password")}
    elif grant == "refresh_token":
        form["refresh_token"] = _refresh_token(policy, request)
    elif grant == _TOKEN_EXCHANGE:
        form |= _exchange_parameters("subject", policy) | _exchange_parameters("actor", policy)
    return form


def _refresh_token(policy: Mapping[str, JSON], request: HttpRequest) -> str:
    """The token to refresh with: `refreshToken` of the secret, or the subject's.

    The DSL names the grant and no property for its token.
    """
    subject = policy.get("subject")
    token = policy.get("refreshToken") or policy.get("refresh_token")
    if not token and isinstance(subject, dict):
        token = subject.get("token")
    if not token:
        title = "There is no refresh token: give it in the secret or as `subject`"
        raise authentication_fault(request, title)
    return str(token)


def _exchange_parameters(role: str, policy: Mapping[str, JSON]) -> dict[str, str]:
    """The parameters of a token to exchange (RFC 8693, section 2.1); `role` is subject or actor."""
    token = policy.get(role)
    if not isinstance(token, dict):
        return {}
    return {f"{role}_token": str(token.get("token")), f"{role}_token_type": str(token.get("type"))}


def _authenticate_client(
    policy: Mapping[str, JSON], form: dict[str, str], endpoint: httpx.URL, request: HttpRequest
) -> dict[str, str]:
    """Authenticate the client: return headers, or add parameters to the form.

    `client_secret_basic` percent-encodes id and secret (RFC 6749, section 2.3.1).
    """
    client = policy.get("client")
    if not isinstance(client, dict):
        return {}
    name = credential({"id": ""} | client, "id", request)
    secret = credential({"secret": ""} | client, "secret", request)
    match client.get("authentication", "client_secret_post"):
        case "client_secret_basic":
            pair = f"{quote(name, safe='')}:{quote(secret, safe='')}"
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        case "client_secret_post":
            form |= {"client_id": name, "client_secret": secret}
        case "client_secret_jwt":
            form |= _assertion(_signed_assertion(name, secret, endpoint, request))
        case "private_key_jwt" if client.get("assertion"):
            form |= _assertion(str(client["assertion"]))
        case "private_key_jwt":
            raise authentication_fault(request, "The client's assertion is missing")
        case "none":
            form |= {"client_id": name}
        case other:
            title = f"The client authentication {other} is not supported"
            raise authentication_fault(request, title)
    return {}


def _assertion(token: str) -> dict[str, str]:
    return {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": token}


def _signed_assertion(client: str, secret: str, endpoint: httpx.URL, request: HttpRequest) -> str:
    """A JWT for the token endpoint (RFC 7523, section 3), signed with the client's secret."""
    now = int(time.time())
    claims: dict[str, JSON] = {
        "iss": client,
        "sub": client,
        "aud": str(endpoint),
        "jti": str(new_id()),
        "iat": now,
        "exp": now + _ASSERTION_SECONDS,
    }
    try:
        return sign_with_secret(claims, secret)
    except ValueError:
        title = "The client's secret cannot sign: it is empty or a public key"
        raise authentication_fault(request, title) from None


def _json_object(content: bytes) -> dict[str, JSON]:
    try:
        value = read_json(content)
    except NotJson:
        return {}
    return value if isinstance(value, dict) else {}
