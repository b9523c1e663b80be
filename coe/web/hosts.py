"""The check of the `Host` header, against DNS rebinding by other pages."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""Probes use the address of the process, unless they have a port of their own; no data is here."""


class KnownHosts:
    """Middleware that refuses requests with an unknown `Host`."""

    def __init__(
        self, app: ASGIApp, hosts: Collection[str], open_paths: Collection[str] = OPEN_PATHS
    ) -> None:
        """Wrap the application; `hosts` are names or addresses without a port."""
        self._app = app
        self._open = frozenset(open_paths)
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request, or refuse it."""
        checked = scope["type"] in {"http", "websocket"} and scope["path"] not in self._open
        if checked and not self._knows(Headers(scope=scope).getlist("host")):
            refusal = PlainTextResponse("This host is not served here.", status_code=421)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, given: list[str]) -> bool:
        """Whether the request names one host, and a known one; of two, others may read another."""
        return len(given) == 1 and host_name(given[0]) in self._hosts


def host_name(host: str) -> str | None:
    """The name or address in a `Host` header, without the port; None if it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
