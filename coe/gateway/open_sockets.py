"""The WebSockets that a gateway serves, so that it can close them when its process ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

GOING_AWAY: Final = 1001
"""The worker connects again, and so to another process (RFC 6455, 7.4.1)."""
CLOSE_SECONDS: Final = 2.0


class OpenSockets:
    """The WebSockets of one process; it takes no more once it is `draining`."""

    def __init__(self) -> None:
        self._open: set[WebSocket] = set()
        self.draining = False

    @asynccontextmanager
    async def opened(self, websocket: WebSocket) -> AsyncIterator[None]:
        """Know the WebSocket within the context."""
        self._open.add(websocket)
        try:
            yield
        finally:
            self._open.discard(websocket)

    async def drain(self) -> None:
        """Close all, as one that goes away."""
        self.draining = True
        closing = [
            asyncio.create_task(_go_away(each))
            for each in self._open
            if each.application_state is WebSocketState.CONNECTED
        ]
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_SECONDS)


async def _go_away(websocket: WebSocket) -> None:
    with contextlib.suppress(RuntimeError, WebSocketDisconnect, OSError):
        await websocket.close(GOING_AWAY, "going_away")
