"""Count and time HTTP requests by the route that answered them."""

from __future__ import annotations

import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coe.telemetry import metrics
from coe.telemetry.labels import OTHER

_FAILED: Final = 500
_ROUTE: Final = "route"


class MeasuredRequests:
    """Middleware: a request counts under its route, as the code writes it, and its status.

    What no route answered counts as `other`, so that nobody can make names of metrics by asking.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request, and count it once its answer began."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, spent = time.monotonic(), _FAILED, 0.0

        async def note(message: Message) -> None:
            nonlocal status, spent
            if message["type"] == "http.response.start":
                status, spent = message["status"], time.monotonic() - began
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            route = getattr(scope.get(_ROUTE), "path", OTHER)
            metrics.HTTP.labels(route, str(status)).inc()
            metrics.HTTP_SECONDS.labels(route).observe(spent or time.monotonic() - began)
