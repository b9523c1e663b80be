"""The last answers of a process that is to end: they close their connections."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class LastAnswers:
    """Middleware that has clients connect anew, elsewhere, while the process is about to end."""

    def __init__(self, app: ASGIApp, draining: Callable[[], bool]) -> None:
        """Wrap the application; `draining` is whether the process is about to end."""
        self._app = app
        self._draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request, and close its connection if the process is about to end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start" and self._draining():
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, receive, send_last)
