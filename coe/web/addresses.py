"""The check of the path and the query of a request: no text in it can have the character NUL."""

from __future__ import annotations

from typing import Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

NUL: Final = "\x00"
MESSAGE: Final = "The address has the character NUL, which cannot be stored"


class StorableAddresses:
    """Middleware that refuses requests whose path or query has NUL, before any door reads it."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request, or refuse it."""
        if scope["type"] in {"http", "websocket"}:
            part = "/path" if NUL in scope["path"] else "/query"
            if part == "/path" or b"%00" in scope.get("query_string", b""):
                problem = {"code": "INPUT_TEXT", "message": MESSAGE, "path": part}
                extensions = {"code": "INVALID", "problems": [problem]}
                error = {"message": f"{MESSAGE}.", "extensions": extensions}
                await JSONResponse({"errors": [error]}, status_code=400)(scope, receive, send)
                return
        await self._app(scope, receive, send)
