"""A worker's way to the platform: it listens on this machine alone, and adds the access token.

An access token is good for some minutes, and a worker lives for weeks. What runs in it holds on to
the token that it was started with: Prefect's clients and WebSockets, the team's own code, processes
that this starts. So they all get the address of this forwarder and a secret of this process, in
place of the platform's address and a token; each request goes on with the token of that moment.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hmac
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
import uvicorn
import websockets
from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse, StreamingResponse
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from coe.errors import CoeError, Unauthenticated, Unavailable
from coe.identity.worker_identity import AccessTokens
from coe.json_types import NotJson, read_json
from coe.tls import websocket_context, why_unreached

AUTH_SECONDS: Final = 10.0
MAX_BODY: Final = 16 * 1024 * 1024
MAX_MESSAGE: Final = 4 * 1024 * 1024
METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
NOT_REACHED: Final = 504
"""The status when the platform cannot be reached: Prefect repeats after 502 and 503, not here."""
POLICY_VIOLATION: Final = 1008
TRY_AGAIN_LATER: Final = 1013
_HOP_BY_HOP: Final = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_UNSENDABLE: Final = frozenset({1005, 1006, 1015})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Where the forwarder listens, and the secret that it asks for in place of a token."""

    url: str
    secret: str


class _Server(uvicorn.Server):
    """A server that leaves the signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@asynccontextmanager
async def forwarding(
    http: httpx.AsyncClient, tokens: AccessTokens, ca_file: Path | None = None
) -> AsyncIterator[Forwarded]:
    """Forward requests to the platform while the block runs.

    Args:
        http: A client whose base URL is the platform's address.
        tokens: Those of the worker.
        ca_file: Authorities (PEM) that WebSockets trust beside the public ones, as `http` does.
    """
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()  # from now on connections wait, until the server takes them
    secret = secrets.token_urlsafe(32)
    forwarder = _Forwarder(http, tokens, secret, ca_file)
    config = uvicorn.Config(
        forwarder.app(), log_config=None, access_log=False, ws_max_size=MAX_MESSAGE, lifespan="off"
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield Forwarded(f"http://127.0.0.1:{listening.getsockname()[1]}", secret)
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        listening.close()


class _Forwarder:
    """Forwards what has the secret of this process."""

    def __init__(
        self, http: httpx.AsyncClient, tokens: AccessTokens, secret: str, ca_file: Path | None
    ) -> None:
        self._http = http
        self._socket_url = str(http.base_url).rstrip("/").replace("http", "ws", 1)
        self._tls = websocket_context(self._socket_url, ca_file, environment=True)
        self._tokens = tokens
        self._secret = secret
        self._refused = ""

    def app(self) -> FastAPI:
        """The application with one route for all paths."""
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        app.add_api_route("/{path:path}", self.forward, methods=list(METHODS))
        app.add_api_websocket_route("/{path:path}", self.serve)
        return app

    async def forward(self, request: Request) -> Response:
        """Forward one request; with a new token once more, if the platform refuses the token."""
        try:
            self._check(_secret_of(request.headers.get("authorization", "")))
            body = await _body(request)
            token = await self._token()
            response = await self._send(request, body, token)
            if response.status_code == httpx.codes.UNAUTHORIZED:
                await response.aclose()
                self._tokens.forget(token)
                response = await self._send(request, body, await self._token())
        except CoeError as error:
            status = NOT_REACHED if isinstance(error, Unavailable) else error.status
            return JSONResponse({"detail": error.message, "code": error.code}, status)
        headers = {
            name: value for name, value in response.headers.items() if name not in _HOP_BY_HOP
        }
        return StreamingResponse(_stream(response), response.status_code, headers)

    async def serve(self, websocket: WebSocket) -> None:
        """Forward one WebSocket of Prefect, whose first message has the secret."""
        await websocket.accept(
            subprotocol=next(iter(websocket.scope.get("subprotocols", [])), None)
        )
        try:
            self._check(await _secret_of_message(websocket))
            token = await self._token()
            async with self._connected(websocket, token) as server:
                await server.send(orjson.dumps({"type": "auth", "token": token}).decode())
                await _relay(websocket, server)
        except (WebSocketDisconnect, ConnectionClosed):
            return
        except Unauthenticated:
            await _close(websocket, POLICY_VIOLATION, "authentication_failed")
        except (CoeError, OSError, WebSocketException):
            await _close(websocket, TRY_AGAIN_LATER, "transient_server_error")

    async def _token(self) -> str:
        """The token of now; a refusal is logged once."""
        try:
            token = await self._tokens.current()
        except Unauthenticated as refused:
            if refused.message != self._refused:
                _log.error("the platform refuses this worker: %s", refused.message)
                self._refused = refused.message
            raise
        self._refused = ""
        return token

    async def _send(self, request: Request, body: bytes, token: str) -> httpx.Response:
        headers = [
            (name, value) for name, value in request.headers.items() if name not in _HOP_BY_HOP
        ]
        outgoing = self._http.build_request(
            request.method,
            httpx.URL(str(self._http.base_url).rstrip("/") + _target(request.scope)),
            content=body,
            headers=[*headers, ("authorization", f"Bearer {token}")],
        )
        try:
            return await self._http.send(outgoing, stream=True)
        except httpx.TransportError as error:
            message = f"the platform cannot be reached ({why_unreached(error)})"
            raise Unavailable(message) from None

    def _connected(self, websocket: WebSocket, token: str) -> websockets.connect:
        offered = [websockets.Subprotocol(each) for each in websocket.scope.get("subprotocols", [])]
        return websockets.connect(
            self._socket_url + _target(websocket.scope),
            ssl=self._tls,
            subprotocols=offered or None,
            additional_headers={"Authorization": f"Bearer {token}"},
            max_size=MAX_MESSAGE,
            proxy=True if self._http.trust_env else None,
        )

    def _check(self, given: str) -> None:
        """Refuse who has not the secret of this process.

        Raises:
            Unauthenticated: It is another one.
        """
        if not hmac.compare_digest(given.encode(), self._secret.encode()):
            raise Unauthenticated("this is the forwarder of a worker, and not its own process asks")


def _target(scope: object) -> str:
    """The path of a request as it was sent, with its query."""
    found = dict(scope)  # type: ignore[call-overload]
    path = found.get("raw_path") or str(found["path"]).encode()
    query = found.get("query_string", b"")
    return (path + (b"?" + query if query else b"")).decode("ascii")


def _secret_of(header: str) -> str:
    """The secret in an Authorization header: a bearer token, or the password of Basic."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            value = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return ""
        return value.partition(":")[2]
    return value.strip() if scheme.lower() == "bearer" else ""


async def _secret_of_message(websocket: WebSocket) -> str:
    try:
        async with asyncio.timeout(AUTH_SECONDS):
            message: Any = read_json((await websocket.receive_text()).encode())
        auth = str(message["token"]) if message["type"] == "auth" else ""
    except (TimeoutError, NotJson, KeyError, TypeError):
        raise Unauthenticated from None
    return auth.partition(":")[2] or auth


async def _body(request: Request) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY:
            raise CoeError(f"a request has at most {MAX_BODY} bytes", code="TOO_COSTLY")
    return bytes(content)


async def _stream(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_raw():
            yield chunk
    finally:
        await response.aclose()


async def _relay(websocket: WebSocket, server: ClientConnection) -> None:
    """Relay messages in both directions until one side closes, and close the other as it did."""

    async def up() -> None:
        while True:
            await server.send(await websocket.receive_text())

    async def down() -> None:
        async for message in server:
            text = message if isinstance(message, str) else message.decode()
            await websocket.send_text(text)
        await _close(websocket, server.close_code or 1000, server.close_reason or "")

    tasks = [asyncio.create_task(up()), asyncio.create_task(down())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        try:
            task.result()
        except ConnectionClosed:
            code, reason = server.close_code or 1000, server.close_reason or ""
            await _close(websocket, code, reason)


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    sendable = code if code not in _UNSENDABLE else 1011
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await websocket.close(sendable, reason)
