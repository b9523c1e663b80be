"""Sending one request to where a flow may send it, within limits of time and size."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from coe.runs.leaves import LeafFault, LeafIO
from coe.runs.machine_errors import standard

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Request:
    """What to send. `url` is as the definition names it; `path` is the task, for errors."""

    method: str
    url: httpx.URL
    path: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)
    auth: httpx.Auth | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, read whole."""

    status: int
    reason: str
    headers: httpx.Headers = field(repr=False)
    content: bytes = field(repr=False)


def open_client() -> httpx.AsyncClient:
    """A client as leaves need it: no proxies or credentials of the machine, no redirects."""
    return httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=None)  # noqa: S113


async def send(request: Request, io: LeafIO) -> Answer:
    """Send a request and read its answer.

    Raises:
        LeafFault: `timeout` (408) when all of it took longer than `io.timeout`; `communication`
            when nothing came back, or more than `io.limit`; `authorization` (403) for an address
            that flows may not reach.
    """
    try:
        async with asyncio.timeout(io.timeout):
            return await _exchange(request, io)
    except (TimeoutError, httpx.TimeoutException):
        error = standard("timeout", title="The service took too long", instance=request.path)
        raise LeafFault(error) from None
    except (httpx.InvalidURL, httpx.LocalProtocolError, httpx.UnsupportedProtocol):
        title = "The request cannot be sent: its address or a header is malformed"
        raise LeafFault(standard("validation", title=title, instance=request.path)) from None
    except httpx.HTTPError as error:
        raise _unreachable(request, type(error).__name__) from None


def _unreachable(request: Request, why: str) -> LeafFault:
    title = "The service could not be reached"
    return LeafFault(
        standard("communication", title=title, detail=why, status=503, instance=request.path)
    )


async def _exchange(request: Request, io: LeafIO) -> Answer:
    url, headers, extensions = await _route(request, io)
    message = io.client.build_request(
        request.method, url, headers=headers, content=request.content, extensions=extensions
    )
    response = await io.client.send(message, auth=request.auth, stream=True)
    try:
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > io.limit:
                raise _too_large(request, io)
    finally:
        await response.aclose()
    return Answer(
        status=response.status_code,
        reason=response.reason_phrase,
        headers=response.headers,
        content=bytes(content),
    )


def _too_large(request: Request, io: LeafIO) -> LeafFault:
    title = f"The answer is larger than {io.limit} bytes"
    return LeafFault(standard("communication", title=title, status=502, instance=request.path))


# ---------------------------------------------------------------- where to
async def _route(request: Request, io: LeafIO) -> tuple[httpx.URL, dict[str, str], dict[str, str]]:
    """Where the request really goes.

    A host that `resolve` names goes to its base URL. Any other goes to the address that its name
    was found to have and that was checked, so that a name cannot change its mind in between; the
    certificate is still checked against the name.
    """
    url = request.url
    # A header of the definition's own would choose another service behind the same address.
    headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
    if url.scheme not in {"http", "https"} or not url.host:
        raise httpx.UnsupportedProtocol("not http")
    host = url.netloc.decode("ascii").rpartition("@")[2]
    base = io.resolve.get(host) or io.resolve.get(url.host)
    if base is not None:
        target = httpx.URL(base)
        path = target.raw_path.rstrip(b"/") + url.raw_path
        moved = url.copy_with(scheme=target.scheme, host=target.host, port=target.port)
        return moved.copy_with(raw_path=path), headers, {}
    address = await _public_address(request)
    headers["Host"] = host
    return url.copy_with(host=str(address)), headers, {"sni_hostname": url.host}


async def _public_address(request: Request) -> _IP:
    url = request.url
    port = url.port or (443 if url.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _unreachable(request, "its name is unknown") from None
    addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
    if not addresses or not all(is_public(address) for address in addresses):
        title = "Flows may not call this address"
        raise LeafFault(standard("authorization", title=title, instance=request.path))
    return addresses[0]


def is_public(address: _IP) -> bool:
    """Whether an address is neither private, loopback, link-local nor otherwise special."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address not in _UNICAST:
            return False
    return address.is_global and not address.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# All that is assigned to the internet (IANA's registry of IPv6 unicast addresses): not site-local
# addresses, nor those that hold an IPv4 address in yet another form.
_UNICAST = ipaddress.ip_network("2000::/3")
