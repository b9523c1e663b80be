"""Sending one request to where a flow may send it, within limits of time and size.

The name of a host is looked up once, every address that it has is checked against the network
policy, and the connection goes to an address that was checked: a name cannot change its mind in
between. The certificate is still checked against the name. Each request has a connection of its
own, so that none is sent over one that was made for another name or another team, and none fails
because a service has closed an idle one. Cookies are not kept, redirections not followed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Final

import httpx

from coe.access.network import IP
from coe.json_types import JSON
from coe.leaves.leaf import AddressRefused, LeafFault, LeafIO
from coe.machine.errors import standard

# These write addresses and headers into the log, and with them what customers told us and what
# services are proved with.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

AT_ONCE: Final = 200
"""Connections of one process at once; a further request waits, within its time limit."""
_ADDRESSES: Final = 4
_EACH: Final = 5.0
"""Seconds to connect to one of several addresses before the next is tried."""

# Of one connection (RFC 9110, 7.6.1), or what the length of the body and the address decide.
_NOT_TO_SET: Final = frozenset(
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
class Request:
    """What to send. `url` is as the definition names it; `path` is the task, for errors.

    `team` owns the flow: the network policy says what it may reach.
    """

    method: str
    url: httpx.URL
    path: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)
    auth: httpx.Auth | None = field(default=None, repr=False)
    team: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, read whole and unpacked."""

    status: int
    reason: str
    headers: httpx.Headers = field(repr=False)
    content: bytes = field(repr=False)


def open_client(ca_file: Path | None = None) -> httpx.AsyncClient:
    """A client as leaves need it: nothing of the machine's own, nothing kept between requests.

    Args:
        ca_file: Certificates (PEM) of authorities to trust beside the public ones.
    """
    trusted = httpx.create_ssl_context(trust_env=False)
    if ca_file is not None:
        trusted.load_verify_locations(ca_file)
    trusted.minimum_version = ssl.TLSVersion.TLSv1_2
    return httpx.AsyncClient(
        verify=trusted,
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - `send` limits the whole of it
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0),
    )


async def send(request: Request, io: LeafIO) -> Answer:
    """Send a request and read its answer.

    Raises:
        LeafFault: `timeout` (408) when all of it took longer than `io.timeout`; `communication`
            when nothing came back, what cannot be unpacked, or more than `io.limit`;
            `authorization` (403) for an address that the team's flows may not reach
            (`AddressRefused`); `validation` for what is no request.
    """
    try:
        async with asyncio.timeout(io.timeout):
            return await _exchange(request, io)
    except (TimeoutError, httpx.TimeoutException):
        error = standard("timeout", title="The service took too long", instance=request.path)
        raise LeafFault(error) from None
    except (httpx.InvalidURL, httpx.LocalProtocolError, httpx.UnsupportedProtocol, ValueError):
        title = "The request cannot be sent: its address, method or a header is malformed"
        raise LeafFault(standard("validation", title=title, instance=request.path)) from None
    except httpx.HTTPError as error:
        raise _unreachable(request, _words(error)) from None


def _words(error: httpx.HTTPError) -> str:
    """What went wrong, without addresses: which checks of a certificate failed may be told."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def _unreachable(request: Request, why: str) -> LeafFault:
    title = "The service could not be reached"
    return LeafFault(
        standard("communication", title=title, detail=why, status=503, instance=request.path)
    )


async def _exchange(request: Request, io: LeafIO) -> Answer:
    # A host of the definition's own would choose another service behind the same address.
    headers = {
        name: value for name, value in request.headers.items() if name.lower() not in _NOT_TO_SET
    }
    headers["Connection"] = "close"
    url = request.url
    if url.scheme not in {"http", "https"} or not url.host or request.method == "CONNECT":
        raise httpx.UnsupportedProtocol("not http")
    host = url.netloc.decode("ascii").rpartition("@")[2]
    base = io.resolve.get(host) or io.resolve.get(url.host)
    if base is not None:
        return await _attempt(request, io, _moved(url, httpx.URL(base)), headers)
    headers["Host"] = host
    *others, last = await _checked_addresses(request, io)
    for address in others:
        try:
            return await _attempt(request, io, _at(url, address), headers, within=_EACH)
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
    request: Request,
    io: LeafIO,
    url: httpx.URL,
    headers: Mapping[str, str],
    *,
    within: float | None = None,
) -> Answer:
    moved = "Host" not in headers
    message = io.client.build_request(
        request.method,
        url,
        headers=headers,
        content=request.content,
        timeout=httpx.Timeout(None, connect=within),
        extensions={} if moved else {"sni_hostname": request.url.host},
    )
    response = await io.client.send(message, auth=request.auth, stream=True)
    try:
        content = await _read(response, request, io.limit)
    finally:
        await response.aclose()
    return Answer(
        status=response.status_code,
        reason=response.reason_phrase,
        headers=response.headers,
        content=content,
    )


# ---------------------------------------------------------------- the answer's body
async def _read(response: httpx.Response, request: Request, limit: int) -> bytes:
    """The body, unpacked: never more than the limit is held, however well it was packed."""
    content = bytearray()
    async for chunk in _unpacked(response, request, limit):
        content += chunk
        if len(content) > limit:
            title = f"The answer is larger than {limit} bytes"
            raise LeafFault(_broken(request, title))
    return bytes(content)


async def _unpacked(response: httpx.Response, request: Request, limit: int) -> AsyncIterator[bytes]:
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing in {"", "identity"}:
        async for chunk in response.aiter_raw():
            yield chunk
        return
    if packing not in {"gzip", "x-gzip", "deflate"}:
        raise LeafFault(_broken(request, "The answer is packed in a way that was not asked for"))
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    begun = False
    try:
        async for chunk in response.aiter_raw():
            begun = True
            yield unpacker.decompress(chunk, limit + 1)
    except zlib.error:
        raise LeafFault(_broken(request, "The answer cannot be unpacked")) from None
    if begun and not unpacker.eof:
        raise LeafFault(_broken(request, "The answer ends in its midst"))


def _broken(request: Request, title: str) -> dict[str, JSON]:
    return standard("communication", title=title, status=502, instance=request.path)


# ---------------------------------------------------------------- where to
async def _checked_addresses(request: Request, io: LeafIO) -> Sequence[IP]:
    """The addresses of the host, of which the team's flows may reach every one."""
    url = request.url
    port = url.port or (443 if url.scheme == "https" else 80)
    addresses = await _look_up(request, port)
    network = await io.network()
    if not all(network.allows(request.team, url.host, port, each) for each in addresses):
        raise AddressRefused(url.host, port, team=request.team, way=io.way, path=request.path)
    return addresses[:_ADDRESSES]


async def _look_up(request: Request, port: int) -> list[IP]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(request.url.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _unreachable(request, "its name is unknown") from None
    if not found:
        raise _unreachable(request, "its name has no address")
    return list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))
