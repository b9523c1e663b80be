"""The refusal of requests while the API may not serve yet: its keys are not compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from coe.errors import Unavailable
from coe.web.hosts import OPEN_PATHS

MESSAGE: Final = "The database has not answered since the start of the API; try again later."


class OnlyOnceServing:
    """Middleware that refuses all requests but probes until the API may serve."""

    def __init__(self, app: ASGIApp, serves: Callable[[], bool]) -> None:
        """Wrap the application; `serves` is whether it may serve now."""
        self._app = app
        self._serves = serves

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request, or refuse it."""
        asked = scope["type"] in {"http", "websocket"} and scope["path"] not in OPEN_PATHS
        if asked and not self._serves():
            error = {"message": MESSAGE, "extensions": {"code": Unavailable.code}}
            refusal = JSONResponse(
                {"errors": [error]}, status_code=Unavailable.status, headers={"Retry-After": "5"}
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)
