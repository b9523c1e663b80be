"""Authentication of HTTP requests: Basic, Bearer, Digest, OAuth 2 and OpenID Connect."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import httpx
import orjson

from coe.json_types import JSON
from coe.leaves.leaf import LeafFault, LeafIO
from coe.leaves.oauth2 import authentication_fault, credential, request_token
from coe.leaves.transport import HttpRequest, HttpResponse, send
from coe.machine.redaction import redacted, secret_texts


@dataclass(frozen=True, slots=True)
class HttpExchange:
    """A request as it was sent, and its response; `secrets` are texts of its token."""

    request: HttpRequest
    response: HttpResponse
    secrets: tuple[str, ...] = field(repr=False)


async def send_authenticated(request: HttpRequest, policy: JSON, io: LeafIO) -> HttpExchange:
    """Send a request with the credentials of its authentication policy.

    When the service refuses a cached token (401), a new one is requested, once.

    Raises:
        LeafFault: `authentication` (401), when no token is issued; or what `send` raises.
    """
    if not isinstance(policy, dict):
        return HttpExchange(request, await send(request, io), ())
    [(scheme, properties)] = policy.items()
    if not isinstance(properties, dict):
        raise authentication_fault(request, "The authentication policy is incomplete")
    match scheme:
        case "basic" | "digest":
            auth_class = httpx.BasicAuth if scheme == "basic" else httpx.DigestAuth
            name = credential(properties, "username", request)
            password = credential(properties, "password", request)
            authenticated = replace(request, auth=auth_class(name, password))
            return HttpExchange(authenticated, await send(authenticated, io), ())
        case "bearer":
            return await _send_with_bearer(request, credential(properties, "token", request), io)
        case _:
            return await _send_with_issued_token(scheme, properties, request, io)


async def _send_with_issued_token(
    scheme: str, policy: Mapping[str, JSON], request: HttpRequest, io: LeafIO
) -> HttpExchange:
    digest = hashlib.sha256(
        orjson.dumps([scheme, request.team, policy], option=orjson.OPT_SORT_KEYS)
    ).digest()
    cached = io.tokens.get(digest)
    if cached is not None:
        exchange = await _send_with_bearer(request, cached, io)
        if exchange.response.status != httpx.codes.UNAUTHORIZED:
            return exchange
        io.tokens.remove(digest)
    async with io.tokens.lock(digest):
        token = io.tokens.get(digest)
        if token is None:
            token, seconds = await request_token(scheme, policy, request, io)
            if seconds > 0:
                io.tokens.put(digest, token, seconds)
    return await _send_with_bearer(request, token, io)


async def _send_with_bearer(request: HttpRequest, token: str, io: LeafIO) -> HttpExchange:
    headers = {**request.headers, "authorization": f"Bearer {token}"}
    authenticated = replace(request, headers=headers)
    secrets = secret_texts(token)
    try:
        return HttpExchange(authenticated, await send(authenticated, io), secrets)
    except LeafFault as fault:
        clean = redacted(fault.error, secrets)
        fault.error = clean if isinstance(clean, dict) else fault.error
        raise
