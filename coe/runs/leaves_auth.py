"""Proving to a service who calls: Basic, Bearer, Digest, OAuth 2 and OpenID Connect."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from time import monotonic
from typing import Final
from urllib.parse import quote, urlencode

import httpx
import orjson

from coe.language.fields import JSON
from coe.runs.leaves import LeafFault, LeafIO
from coe.runs.leaves_transport import Request, send
from coe.runs.machine_errors import standard

# Seconds before its end at which a token is no longer used.
_MARGIN: Final = 30
_TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
_GRANTS: Final = {"client_credentials", "password", _TOKEN_EXCHANGE}


async def authorise(request: Request, policy: JSON, io: LeafIO) -> Request:
    """The request with what its authentication policy adds.

    Raises:
        LeafFault: `authentication` (401), when no token could be had.
    """
    if not isinstance(policy, dict):
        return request
    [(scheme, given)] = policy.items()
    if not isinstance(given, dict):
        raise _refused(request, "The authentication policy is incomplete")
    match scheme:
        case "basic" | "digest":
            kind = httpx.BasicAuth if scheme == "basic" else httpx.DigestAuth
            name, password = str(given.get("username")), str(given.get("password"))
            return replace(request, auth=kind(name, password))
        case "bearer":
            return _bearing(request, str(given.get("token")))
        case _:
            return _bearing(request, await _token(scheme, given, request, io))


def _bearing(request: Request, token: str) -> Request:
    return replace(request, headers={**request.headers, "authorization": f"Bearer {token}"})


def _refused(request: Request, title: str) -> LeafFault:
    return LeafFault(standard("authentication", title=title, instance=request.path))


async def _token(scheme: str, policy: Mapping[str, JSON], request: Request, io: LeafIO) -> str:
    """An access token (RFC 6749), one that is kept or a new one."""
    digest = hashlib.sha256(orjson.dumps([scheme, policy], option=orjson.OPT_SORT_KEYS)).digest()
    token, until = io.tokens.kept.get(digest, ("", 0.0))
    if until > monotonic():
        return token
    endpoint = await _endpoint(scheme, policy, request, io)
    answer = await send(_token_request(policy, endpoint, request), io)
    given = _object(answer.content)
    token = str(given.get("access_token") or "")
    if answer.status != httpx.codes.OK or not token:
        raise _refused(request, "The authority gave no token")
    lasts = given.get("expires_in")
    if isinstance(lasts, int) and lasts > _MARGIN:
        io.tokens.kept[digest] = (token, monotonic() + lasts - _MARGIN)
    return token


async def _endpoint(
    scheme: str, policy: Mapping[str, JSON], request: Request, io: LeafIO
) -> httpx.URL:
    """Where tokens are asked for: below the authority, or as its discovery document says."""
    authority = str(policy.get("authority")).rstrip("/")
    if scheme == "oauth2":
        endpoints = policy.get("endpoints")
        path = endpoints.get("token") if isinstance(endpoints, dict) else None
        return httpx.URL(authority + "/" + str(path or "/oauth2/token").lstrip("/"))
    well_known = "/.well-known/openid-configuration"
    place = authority if authority.endswith(well_known) else authority + well_known
    answer = await send(Request("GET", httpx.URL(place), request.path), io)
    endpoint = _object(answer.content).get("token_endpoint")
    if not isinstance(endpoint, str):
        raise _refused(request, "The authority names no token endpoint")
    return httpx.URL(endpoint)


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
    if grant == _TOKEN_EXCHANGE:
        form |= _exchanged("subject", policy) | _exchanged("actor", policy)
    headers = {"Accept": "application/json"} | _client(policy, form, request)
    encoding = policy.get("request")
    if isinstance(encoding, dict) and encoding.get("encoding") == "application/json":
        headers["Content-Type"] = "application/json"
        return Request("POST", endpoint, request.path, headers, orjson.dumps(form))
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return Request("POST", endpoint, request.path, headers, urlencode(form).encode())


def _exchanged(role: str, policy: Mapping[str, JSON]) -> dict[str, str]:
    """The parameters of a token to exchange (RFC 8693)."""
    token = policy.get(role)
    if not isinstance(token, dict):
        return {}
    return {f"{role}_token": str(token.get("token")), f"{role}_token_type": str(token.get("type"))}


def _client(policy: Mapping[str, JSON], form: dict[str, str], request: Request) -> dict[str, str]:
    """How the client proves who it is: headers, or parameters that it adds to the form."""
    client = policy.get("client")
    if not isinstance(client, dict):
        return {}
    name, secret = str(client.get("id", "")), str(client.get("secret", ""))
    match client.get("authentication", "client_secret_post"):
        case "client_secret_basic":
            basic = httpx.BasicAuth(quote(name, safe=""), quote(secret, safe=""))
            probe = httpx.Request("POST", "https://authority.invalid")
            return {"Authorization": next(basic.auth_flow(probe)).headers["Authorization"]}
        case "client_secret_post":
            form |= {"client_id": name, "client_secret": secret}
        case "private_key_jwt" if client.get("assertion"):
            kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            form |= {"client_assertion_type": kind, "client_assertion": str(client["assertion"])}
        case "none":
            form |= {"client_id": name}
        case other:
            raise _refused(request, f"A client cannot prove itself here by {other}")
    return {}


def _object(content: bytes) -> dict[str, JSON]:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
