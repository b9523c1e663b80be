"""What all routes share: the sender, the origin and the body of a request; response headers."""

from __future__ import annotations

import re

from fastapi import Request

from coe.access.actor import Actor
from coe.api.graphql import limits
from coe.errors import TooCostly, Unauthenticated
from coe.work import Platform, RequestInfo

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")


async def authenticate_request(platform: Platform, request: Request, about: RequestInfo) -> Actor:
    """Find the actor of a request by its `Authorization: Bearer …`.

    Raises:
        Unauthenticated: The token is missing, unknown, expired or revoked.
    """
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not bearer.strip():
        raise Unauthenticated
    return await platform.authenticate(bearer.strip(), about)


def request_info(request: Request) -> RequestInfo:
    """The origin of a request: a new id, the caller's well-formed correlation id, the address."""
    correlation_id = request.headers.get("x-correlation-id", "")
    return RequestInfo(
        correlation_id=correlation_id if _CORRELATION_ID.fullmatch(correlation_id) else None,
        address=request.client.host if request.client else None,
    )


def response_headers(about: RequestInfo, error: Exception | None = None) -> dict[str, str]:
    """The headers of every response; a refusal for want of a token names the scheme (RFC 9110)."""
    headers = {"X-Request-ID": about.request_id, "Cache-Control": "no-store"}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return headers


async def read_body(request: Request) -> bytes:
    """Read the body.

    Raises:
        TooCostly: It is larger than `limits.MAX_REQUEST_BYTES`; the rest of it is not read.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limits.MAX_REQUEST_BYTES:
            message = f"The request is larger than {limits.MAX_REQUEST_BYTES} bytes."
            raise TooCostly(message, limit="body", most=limits.MAX_REQUEST_BYTES)
        chunks.append(chunk)
    return b"".join(chunks)


def check_nesting(body: object) -> None:
    """Check how deep a value is nested, without recursion: later code recurses over it.

    Raises:
        TooCostly: It is nested deeper than `limits.MAX_JSON_NESTING`.
    """
    level = [body]
    for _ in range(limits.MAX_JSON_NESTING):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    message = f"The request is nested more than {limits.MAX_JSON_NESTING} levels deep."
    raise TooCostly(message, limit="nesting", most=limits.MAX_JSON_NESTING)
