"""The address of a client behind proxies, and the refusal of who comes around them in clear."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from coe.web.hosts import OPEN_PATHS

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_HEADER: Final = "x-forwarded-for"


class ForwardedAddress:
    """Middleware that gives a request the address of its client, for every door and the audit log.

    Each proxy appends the address that it was called from. So from the right, what trusted proxies
    wrote is believed, and the first address that is not theirs is the client's; what is to the left
    of it may be invented. From a peer that is not trusted the header is ignored.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[IPNetwork]) -> None:
        """Wrap the application; `trusted` are the networks of the proxies."""
        self._app = app
        self._trusted = tuple(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request."""
        client = scope.get("client")
        if self._trusted and client:
            address = self._address(client[0], Headers(scope=scope).getlist(_HEADER))
            if address != client[0]:
                scope = {**scope, "client": (address, 0)}
        await self._app(scope, receive, send)

    def _address(self, peer: str, headers: Sequence[str]) -> str:
        found, address = peer, _parsed(peer)
        hops = [hop for header in headers for hop in header.split(",")]
        while address is not None and self._is_trusted(address) and hops:
            address = _parsed(hops.pop())
            found = str(address) if address is not None else found
        return found

    def _is_trusted(self, address: IP) -> bool:
        return any(address in network for network in self._trusted)


class OnlyByProxy:
    """Middleware that refuses plain HTTP of other machines that comes around the trusted proxies.

    The proxies end TLS, so who comes around them sends credentials in clear. Without trusted
    proxies, plain HTTP is served to this machine alone (`coe up`). Probes come from anywhere,
    unless they have a port of their own.
    """

    def __init__(
        self,
        app: ASGIApp,
        trusted: Sequence[IPNetwork],
        open_paths: Collection[str] = OPEN_PATHS,
    ) -> None:
        """Wrap the application; `trusted` are the networks of the proxies."""
        self._app = app
        self._open = frozenset(open_paths)
        self._trusted = tuple(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request, or refuse it."""
        checked = scope["type"] in {"http", "websocket"} and scope["path"] not in self._open
        if self._trusted and checked and self._is_around(scope):
            refusal = PlainTextResponse(
                "Plain HTTP is served to the proxies of COE_TRUSTED_PROXIES alone: come over TLS.",
                status_code=403,
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_around(self, scope: Scope) -> bool:
        client = scope.get("client")
        peer = _parsed(client[0]) if client else None
        if peer is None or peer.is_loopback or scope["scheme"] in {"https", "wss"}:
            return False
        return not any(peer in network for network in self._trusted)


def _parsed(text: str) -> IP | None:
    """An address, with or without a port; None if it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
