"""What `helm test` runs tells a way in that passes WebSockets from one that does not."""

from __future__ import annotations

import asyncio
import runpy

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tests.factories.servers import listening
from tests.helm.chart import CHART

REACHED = runpy.run_path(str(CHART / "files" / "reached.py"))


async def _gateway(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol="prefect")
    await websocket.receive_text()
    await websocket.close(1008, "unauthenticated")


HEALTH = Route("/healthz", lambda _: PlainTextResponse("ok"))
SOCKET = WebSocketRoute(REACHED["PATH"], _gateway)


async def _ran(*routes: Route | WebSocketRoute) -> int:
    async with listening(Starlette(routes=list(routes))) as address:
        found: int = await asyncio.to_thread(REACHED["main"], address, address)
        return found


async def test_an_api_and_a_gateway_that_answer_are_reached() -> None:
    assert await _ran(HEALTH, SOCKET) == 0


async def test_what_passes_no_websockets_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    async def without_upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer as what hands a request on without its `Upgrade`: there is no such page."""
        request = await reader.readuntil(b"\r\n\r\n")
        status = b"200 OK" if b"GET /healthz" in request else b"404 Not Found"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(without_upgrade, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        assert await asyncio.to_thread(REACHED["main"], address, address) == 1
    assert "does what is before the gateway pass WebSockets?" in capsys.readouterr().out


async def test_a_missing_api_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert await _ran(SOCKET) == 1
    assert "status 404" in capsys.readouterr().out


@pytest.mark.parametrize(("address", "problem"), [("http://api", False), ("https://api", True)])
def test_only_within_the_cluster_may_a_pod_be_no_proxy(address: str, problem: bool) -> None:  # noqa: FBT001  # a case
    assert bool(REACHED["refusal"](address, 403)) is problem
