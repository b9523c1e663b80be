"""Send one HTTP request under the network policy, within limits of time and size.

A host name is looked up once, all its addresses are checked against the network policy, and the
connection goes to a checked address, so a second look-up cannot lead elsewhere. The certificate is
checked against the name. Each request opens a new connection: no request uses a connection that
was opened for another name or team, and none fails because a service closed an idle connection.
Cookies are not stored and redirects are not followed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Final

import httpx

from coe.access.network import IP
from coe.json_types import JSON
from coe.leaves.leaf import AddressRefused, LeafFault, LeafIO, NotSentError
from coe.machine.errors import standard_error
from coe.tls import client_context, distrust

# These loggers write addresses and headers, which may hold personal data and credentials.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

MAX_CONNECTIONS: Final = 200
"""Connections that a client has open; a further request waits, within its time limit."""
_MAX_ADDRESSES: Final = 4
_CONNECT_SECONDS: Final = 5.0
"""Seconds to connect to one of several addresses before the next is tried."""

# Headers of the connection (RFC 9110, 7.6.1), or set here from the body and the address.
_RESERVED_HEADERS: Final = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request to send.

    `url` is the one that the definition names; `path` is the task, for errors; `team` owns the
    flow, so the network policy of that team applies.
    """

    method: str
    url: httpx.URL
    path: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)
    auth: httpx.Auth | None = field(default=None, repr=False)
    team: str = ""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response, read completely and decompressed."""

    status: int
    reason: str
    headers: httpx.Headers = field(repr=False)
    content: bytes = field(repr=False)


def open_client(ca_file: Path | None = None) -> httpx.AsyncClient:
    """Make a client that ignores the machine's environment and keeps no state between requests.

    Args:
        ca_file: Certificates (PEM) of authorities to trust beside the public ones.
    """
    return httpx.AsyncClient(
        verify=client_context(ca_file),
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - `send` limits the whole request
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=0),
    )


async def send(request: HttpRequest, io: LeafIO) -> HttpResponse:
    """Send a request and read its response.

    Raises:
        LeafFault: `timeout` (408) when the request takes longer than `io.timeout`;
            `communication` when there is no response, or one that cannot be decompressed or is
            larger than `io.limit`; `authorization` (403) for an address that the team's flows may
            not reach (`AddressRefused`); `validation` for a malformed request.
        NotSentError: Nothing may be sent to this host.
    """
    try:
        async with asyncio.timeout(io.timeout):
            return await _exchange(request, io)
    except (TimeoutError, httpx.TimeoutException):
        error = standard_error("timeout", title="The service took too long", instance=request.path)
        raise LeafFault(error) from None
    except (httpx.InvalidURL, httpx.LocalProtocolError, httpx.UnsupportedProtocol, ValueError):
        title = "The request cannot be sent: its address, method or a header is malformed"
        raise LeafFault(standard_error("validation", title=title, instance=request.path)) from None
    except httpx.HTTPError as error:
        raise _unreachable(request, distrust(error) or type(error).__name__) from None


def _unreachable(request: HttpRequest, why: str) -> LeafFault:
    title = "The service could not be reached"
    return LeafFault(
        standard_error("communication", title=title, detail=why, status=503, instance=request.path)
    )


async def _exchange(request: HttpRequest, io: LeafIO) -> HttpResponse:
    # A `Host` header of the definition would select another service behind the same address.
    headers = {
        name: value
        for name, value in request.headers.items()
        if name.lower() not in _RESERVED_HEADERS
    }
    headers["Connection"] = "close"
    url = request.url
    if url.scheme not in {"http", "https"} or not url.host or request.method == "CONNECT":
        raise httpx.UnsupportedProtocol("not http")
    host = url.netloc.decode("ascii").rpartition("@")[2]
    base = io.resolve.get(host) or io.resolve.get(url.host)
    if base is not None:
        return await _attempt(request, io, _moved(url, httpx.URL(base)), headers)
    if not io.live:
        raise NotSentError(host)
    headers["Host"] = host
    *others, last = await _checked_addresses(request, io)
    for address in others:
        try:
            return await _attempt(
                request, io, _at(url, address), headers, connect_timeout=_CONNECT_SECONDS
            )
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue
    return await _attempt(request, io, _at(url, last), headers)


def _moved(url: httpx.URL, base: httpx.URL) -> httpx.URL:
    path = base.raw_path.rstrip(b"/") + url.raw_path
    moved = url.copy_with(scheme=base.scheme, host=base.host, port=base.port)
    return moved.copy_with(raw_path=path)


def _at(url: httpx.URL, address: IP) -> httpx.URL:
    return url.copy_with(host=str(address))


async def _attempt(
    request: HttpRequest,
    io: LeafIO,
    url: httpx.URL,
    headers: Mapping[str, str],
    *,
    connect_timeout: float | None = None,
) -> HttpResponse:
    moved = "Host" not in headers
    message = io.client.build_request(
        request.method,
        url,
        headers=headers,
        content=request.content,
        timeout=httpx.Timeout(None, connect=connect_timeout),
        extensions={} if moved else {"sni_hostname": request.url.host},
    )
    response = await io.client.send(message, auth=request.auth, stream=True)
    try:
        content = await _read(response, request, io.limit)
    finally:
        await response.aclose()
    return HttpResponse(
        status=response.status_code,
        reason=response.reason_phrase,
        headers=response.headers,
        content=content,
    )


# ---------------------------------------------------------------- body
async def _read(response: httpx.Response, request: HttpRequest, limit: int) -> bytes:
    """Read and decompress the body; it never holds more than the limit in memory."""
    content = bytearray()
    async for chunk in _decompressed(response, request, limit):
        content += chunk
        if len(content) > limit:
            title = f"The response is larger than {limit} bytes"
            raise LeafFault(_broken(request, title))
    return bytes(content)


async def _decompressed(
    response: httpx.Response, request: HttpRequest, limit: int
) -> AsyncIterator[bytes]:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"", "identity"}:
        async for chunk in response.aiter_raw():
            yield chunk
        return
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise LeafFault(
            _broken(request, "The response has a content encoding that was not requested")
        )
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 32)
    started = False
    try:
        async for chunk in response.aiter_raw():
            started = True
            yield decompressor.decompress(chunk, limit + 1)
    except zlib.error:
        raise LeafFault(_broken(request, "The response cannot be decompressed")) from None
    if started and not decompressor.eof:
        raise LeafFault(_broken(request, "The response is incomplete"))


def _broken(request: HttpRequest, title: str) -> dict[str, JSON]:
    return standard_error("communication", title=title, status=502, instance=request.path)


# ---------------------------------------------------------------- addresses
async def _checked_addresses(request: HttpRequest, io: LeafIO) -> Sequence[IP]:
    """Look up the host; return its addresses if the policy allows the team to reach all of them."""
    url = request.url
    port = url.port or (443 if url.scheme == "https" else 80)
    addresses = await _look_up(request, port)
    network = await io.network()
    if not all(network.allows(request.team, url.host, port, each) for each in addresses):
        raise AddressRefused(
            url.host, port, team=request.team, how_to_allow=io.how_to_allow, path=request.path
        )
    return addresses[:_MAX_ADDRESSES]


async def _look_up(request: HttpRequest, port: int) -> list[IP]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(request.url.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _unreachable(request, "its name is unknown") from None
    if not found:
        raise _unreachable(request, "its name has no address")
    return list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))
