"""The security headers of every response."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coe.tls import LOOPBACK
from coe.web.hosts import host_name

STRICT_TRANSPORT: Final = "max-age=31536000"
"""Browsers ask over TLS alone for a year (RFC 6797)."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content Security Policy: no other origin, nothing inline, no frames."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def explorer_policy(nonce: str) -> str:
    """The policy of the explorer: its sheet embeds fonts and images, its dialogs add styles."""
    return (
        POLICY.replace("style-src 'self'", f"style-src 'self' 'nonce-{nonce}'")
        .replace("font-src 'self'", "font-src 'self' data:")
        .replace("img-src 'self'", "img-src 'self' data:")
    )


class SecurityHeaders:
    """Middleware that adds the headers which a response does not set itself."""

    def __init__(self, app: ASGIApp, public_url: str | None = None) -> None:
        """Wrap the application, which people reach under this address."""
        public = urlsplit(public_url or "")
        self._app = app
        self._public = public.hostname if public.scheme == "https" else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, and add the headers to its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if self._is_over_tls(scope):
                    headers.setdefault("Strict-Transport-Security", STRICT_TRANSPORT)
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _is_over_tls(self, scope: Scope) -> bool:
        """Whether a browser asks a host over TLS, here or to a proxy.

        Not this machine's own names: the header holds for all ports of a name, so it would break
        what else one runs there.
        """
        host = host_name(Headers(scope=scope).get("host", ""))
        if host is None or host in LOOPBACK or _is_address(host):
            return False
        return scope["scheme"] == "https" or host == self._public


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
