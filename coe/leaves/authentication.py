"""Proving to a service who calls: Basic, Bearer, Digest, OAuth 2 and OpenID Connect.

Grants that a process can use alone are carried out: client_credentials, password, refresh_token
and token-exchange. `authorization_code` needs a person with a browser, and is refused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote, urlencode

import httpx
import orjson

from coe.db import new_id
from coe.json_types import JSON
from coe.leaves.leaf import LeafFault, LeafIO
from coe.leaves.transport import Answer, Request, send
from coe.machine.errors import standard
from coe.machine.redaction import redacted, texts_of

_MARGIN: Final = 30
"""Seconds before its end at which a token is no longer used."""
_ASSERTED: Final = 60
"""Seconds for which an assertion of ours is good."""
_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_GRANTS: Final = {"client_credentials", "password", "refresh_token", _TOKEN_EXCHANGE}
# What an authority may answer (RFC 6749, 5.2; RFC 8693, 2.2.2), and may so be told.
_REASONS: Final = {
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "unauthorized_client",
    "unsupported_grant_type",
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it went out, and its answer; `secrets` are texts that it was proved with."""

    request: Request
    answer: Answer
    secrets: tuple[str, ...] = field(repr=False)


async def send_as(request: Request, policy: JSON, io: LeafIO) -> Sent:
    """Send a request with what its authentication policy adds.

    A token that was kept and is refused (401) is asked for anew, once.

    Raises:
        LeafFault: `authentication` (401), when no token could be had; or what `send` raises.
    """
    if not isinstance(policy, dict):
        return Sent(request, await send(request, io), ())
    [(scheme, given)] = policy.items()
    if not isinstance(given, dict):
        raise _refused(request, "The authentication policy is incomplete")
    match scheme:
        case "basic" | "digest":
            kind = httpx.BasicAuth if scheme == "basic" else httpx.DigestAuth
            name, password = str(given.get("username")), str(given.get("password"))
            proved = replace(request, auth=kind(name, password))
            return Sent(proved, await send(proved, io), ())
        case "bearer":
            return await _send_bearing(request, str(given.get("token")), io)
        case _:
            return await _send_with_token(scheme, given, request, io)


async def _send_with_token(
    scheme: str, policy: Mapping[str, JSON], request: Request, io: LeafIO
) -> Sent:
    digest = hashlib.sha256(
        orjson.dumps([scheme, request.team, policy], option=orjson.OPT_SORT_KEYS)
    ).digest()
    kept = io.tokens.get(digest)
    if kept is not None:
        sent = await _send_bearing(request, kept, io)
        if sent.answer.status != httpx.codes.UNAUTHORIZED:
            return sent
        io.tokens.forget(digest)
    async with io.tokens.lock(digest):
        token = io.tokens.get(digest)
        if token is None:
            token, seconds = await _ask(scheme, policy, request, io)
            if seconds > 0:
                io.tokens.keep(digest, token, seconds)
    return await _send_bearing(request, token, io)


async def _send_bearing(request: Request, token: str, io: LeafIO) -> Sent:
    proved = replace(request, headers={**request.headers, "authorization": f"Bearer {token}"})
    secrets = texts_of(token)
    try:
        return Sent(proved, await send(proved, io), secrets)
    except LeafFault as fault:
        clean = redacted(fault.error, secrets)
        fault.error = clean if isinstance(clean, dict) else fault.error
        raise


def _refused(request: Request, title: str, detail: str | None = None) -> LeafFault:
    return LeafFault(standard("authentication", title=title, detail=detail, instance=request.path))


# ---------------------------------------------------------------- tokens
async def _ask(
    scheme: str, policy: Mapping[str, JSON], request: Request, io: LeafIO
) -> tuple[str, float]:
    """An access token (RFC 6749), and for how many seconds it may be kept."""
    endpoint = await _endpoint(scheme, policy, request, io)
    answer = await send(_token_request(policy, endpoint, request), io)
    given = _object(answer.content)
    token = given.get("access_token")
    if answer.status != httpx.codes.OK or not isinstance(token, str) or not token:
        reason = given.get("error")
        detail = reason if isinstance(reason, str) and reason in _REASONS else None
        raise _refused(request, "The authority gave no token", detail)
    if str(given.get("token_type") or "bearer").lower() not in {"bearer", "n_a"}:
        raise _refused(request, "The authority gave a token of a type that is not known here")
    _check_issuer(token, policy.get("issuers"), request)
    lasts = str(given.get("expires_in", ""))
    return token, float(int(lasts) - _MARGIN) if lasts.isascii() and lasts.isdigit() else 0.0


def _check_issuer(token: str, issuers: JSON, request: Request) -> None:
    """Refuse a token of another issuer than the policy names; an opaque one names none."""
    if not isinstance(issuers, list) or not issuers:
        return
    payload = [*token.split("."), ""][1]
    try:
        claims = _object(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        claims = {}
    if claims.get("iss") not in issuers:
        raise _refused(request, "The authority gave a token of another issuer")


async def _endpoint(
    scheme: str, policy: Mapping[str, JSON], request: Request, io: LeafIO
) -> httpx.URL:
    """Where tokens are asked for: below the authority, or as its discovery document says."""
    authority = str(policy.get("authority")).rstrip("/")
    if scheme == "oauth2" and not authority.endswith(_WELL_KNOWN):
        endpoints = policy.get("endpoints")
        path = endpoints.get("token") if isinstance(endpoints, dict) else None
        return _url(authority + "/" + str(path or "/oauth2/token").lstrip("/"), request)
    place = authority.removesuffix(_WELL_KNOWN) + _WELL_KNOWN
    asked = Request("GET", _url(place, request), request.path, team=request.team)
    endpoint = _object((await send(asked, io)).content).get("token_endpoint")
    if not isinstance(endpoint, str):
        raise _refused(request, "The authority names no token endpoint")
    return _url(endpoint, request)


def _url(text: str, request: Request) -> httpx.URL:
    try:
        return httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        raise _refused(request, "The address of the authority is malformed") from None


def _token_request(policy: Mapping[str, JSON], endpoint: httpx.URL, request: Request) -> Request:
    grant = str(policy.get("grant"))
    if grant not in _GRANTS:
        raise _refused(request, f"Tokens cannot be had here by {grant}")
    form = {"grant_type": grant}
    for name, key in (("scopes", "scope"), ("audiences", "audience")):
        values = policy.get(name)
        if isinstance(values, list) and values:
            form[key] = " ".join(map(str, values))
    if grant == "password":
        form |= {"username": str(policy.get("username")), "password": str(policy.get("password"))}
    elif grant == "refresh_token":
        form["refresh_token"] = _refresh_token(policy, request)
    elif grant == _TOKEN_EXCHANGE:
        form |= _exchanged("subject", policy) | _exchanged("actor", policy)
    headers = {"Accept": "application/json"} | _client(policy, form, endpoint, request)
    encoding = policy.get("request")
    if isinstance(encoding, dict) and encoding.get("encoding") == "application/json":
        headers["Content-Type"] = "application/json"
        content = orjson.dumps(form)
    else:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        content = urlencode(form).encode()
    return Request("POST", endpoint, request.path, headers, content, team=request.team)


def _refresh_token(policy: Mapping[str, JSON], request: Request) -> str:
    """The token to refresh with: `refreshToken` of the secret, or the subject's.

    The specification names the grant, and no property for its token.
    """
    subject = policy.get("subject")
    given = policy.get("refreshToken") or policy.get("refresh_token")
    if not given and isinstance(subject, dict):
        given = subject.get("token")
    if not given:
        raise _refused(request, "There is no refresh token: give it in the secret or as `subject`")
    return str(given)


def _exchanged(role: str, policy: Mapping[str, JSON]) -> dict[str, str]:
    """The parameters of a token to exchange (RFC 8693)."""
    token = policy.get(role)
    if not isinstance(token, dict):
        return {}
    return {f"{role}_token": str(token.get("token")), f"{role}_token_type": str(token.get("type"))}


# ---------------------------------------------------------------- the client
def _client(
    policy: Mapping[str, JSON], form: dict[str, str], endpoint: httpx.URL, request: Request
) -> dict[str, str]:
    """How the client proves who it is: headers, or parameters that it adds to the form."""
    client = policy.get("client")
    if not isinstance(client, dict):
        return {}
    name, secret = str(client.get("id", "")), str(client.get("secret", ""))
    match client.get("authentication", "client_secret_post"):
        case "client_secret_basic":
            pair = f"{quote(name, safe='')}:{quote(secret, safe='')}"
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        case "client_secret_post":
            form |= {"client_id": name, "client_secret": secret}
        case "client_secret_jwt":
            assertion = _assertion(name, secret, str(endpoint))
            form |= {"client_assertion_type": _ASSERTION, "client_assertion": assertion}
        case "private_key_jwt" if client.get("assertion"):
            assertion = str(client["assertion"])
            form |= {"client_assertion_type": _ASSERTION, "client_assertion": assertion}
        case "private_key_jwt":
            raise _refused(request, "The client's assertion is missing")
        case "none":
            form |= {"client_id": name}
        case other:
            raise _refused(request, f"A client cannot prove itself here by {other}")
    return {}


def _assertion(client: str, secret: str, audience: str) -> str:
    """A JWT (RFC 7523, 3) that the client's secret signs with HS256 (RFC 7518, 3.2)."""
    now = int(time.time())
    claims: dict[str, JSON] = {
        "iss": client,
        "sub": client,
        "aud": audience,
        "jti": str(new_id()),
        "iat": now,
        "exp": now + _ASSERTED,
    }
    signed = ".".join(_encoded(orjson.dumps(part)) for part in ({"alg": "HS256"}, claims))
    signature = hmac.digest(secret.encode(), signed.encode(), "sha256")
    return f"{signed}.{_encoded(signature)}"


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _object(content: bytes) -> dict[str, JSON]:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
