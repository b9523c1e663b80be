"""The gateway's WebSockets: a worker's connection, its events, and the events of its pool.

Prefect authenticates a WebSocket by its first message, `{"type": "auth", "token": …}`. A worker
sends the token of its team; the gateway sends Prefect's auth string to the server instead.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
import websockets
from fastapi import WebSocket, WebSocketDisconnect
from sqlalchemy.exc import SQLAlchemyError
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from coe.audit.events import Tag
from coe.engines.prefect_http import basic
from coe.errors import CoeError, Forbidden, Unauthenticated, Unavailable
from coe.gateway.authentication import AuthenticatedWorker, WorkerAuthentication, token_of
from coe.gateway.body_redaction import is_frame, is_known_event, redact_event
from coe.gateway.rules import AllowedCall, match_call
from coe.telemetry import metrics
from coe.tls import websocket_context
from coe.work import RequestInfo

SUBPROTOCOL: Final = "prefect"
AUTH_SECONDS: Final = 10.0
MAX_MESSAGE: Final = 1_048_576
RECHECK_SECONDS: Final = 30.0
"""How long a connection may stay open after its token is revoked."""
UNSUPPORTED_DATA: Final = 1003
POLICY_VIOLATION: Final = 1008
TRY_AGAIN_LATER: Final = 1013

MessageFilter = Callable[[str], Awaitable[str | None]]
"""Returns the text to pass on in place of a message, or None to drop it."""


class NotTextError(Exception):
    """A message is not text; all messages of Prefect are."""


async def serve_socket(
    authentication: WorkerAuthentication, websocket: WebSocket, team: str, path: str
) -> None:
    """Serve one WebSocket until either side closes it."""
    request_info = RequestInfo(address=websocket.client.host if websocket.client else None)
    await websocket.accept(subprotocol=SUBPROTOCOL)
    try:
        bearer = await _token(websocket)
        worker = await authentication.authenticate(team, bearer, request_info)
        call = match_call("WEBSOCKET", path)
        if call is None:
            why = "not an allowed call"
            raise await authentication.refusal(worker, "WEBSOCKET", path, why)
        await authentication.authorize(worker, call)
        await _connect(
            authentication,
            worker,
            call,
            websocket,
            lambda: authentication.authenticate(team, bearer, request_info, connected=True),
        )
    except (WebSocketDisconnect, ConnectionClosed):
        return
    except NotTextError:
        await _close(websocket, UNSUPPORTED_DATA, "text_expected")
    except Unavailable:
        await _close(websocket, TRY_AGAIN_LATER, "transient_server_error")
    except CoeError as error:
        refused = (
            "authorization_failed" if isinstance(error, Forbidden) else "authentication_failed"
        )
        await _close(websocket, POLICY_VIOLATION, refused)


async def _token(websocket: WebSocket) -> str:
    """The token of the first message.

    Raises:
        Unauthenticated: The first message has none, or does not arrive in time.
    """
    try:
        async with asyncio.timeout(AUTH_SECONDS):
            message = orjson.loads(await _text(websocket))
        return token_of(str(message["token"])) if message["type"] == "auth" else ""
    except (TimeoutError, orjson.JSONDecodeError, KeyError, TypeError):
        raise Unauthenticated from None


async def _text(websocket: WebSocket) -> str:
    """The next message.

    Raises:
        NotTextError: It is bytes.
    """
    try:
        return await websocket.receive_text()
    except KeyError:
        raise NotTextError from None


async def _connect(
    authentication: WorkerAuthentication,
    worker: AuthenticatedWorker,
    call: AllowedCall,
    websocket: WebSocket,
    authenticate_again: Callable[[], Awaitable[AuthenticatedWorker]],
) -> None:
    url = authentication.http.api_url.replace("http", "ws", 1) + call.path
    try:
        async with websockets.connect(
            url,
            subprotocols=[websockets.Subprotocol(SUBPROTOCOL)],
            additional_headers={"Authorization": basic(authentication.http.auth)},
            max_size=MAX_MESSAGE,
            proxy=None,
            ssl=websocket_context(url, authentication.http.ca_file),
        ) as server:
            await _authenticate(server, authentication.http.auth)
            with metrics.GATEWAY_SOCKETS.labels(call.rule.path).track_inprogress():
                await websocket.send_text('{"type":"auth_success"}')
                if call.path.endswith("/workers/connect"):
                    await _record_connection(authentication, worker)
                filters = _filters(authentication, worker, call)
                await _relay(websocket, server, filters, authenticate_again)
    except (OSError, WebSocketException) as error:
        if isinstance(error, ConnectionClosed):
            raise
        raise Unavailable("the Prefect server does not respond") from None


async def _authenticate(server: ClientConnection, auth: str) -> None:
    await server.send(orjson.dumps({"type": "auth", "token": auth}).decode())
    reply = orjson.loads(await server.recv())
    if reply.get("type") != "auth_success":
        raise Unavailable("the Prefect server does not accept our auth string")


async def _record_connection(
    authentication: WorkerAuthentication, worker: AuthenticatedWorker
) -> None:
    async with authentication.platform.work(worker.actor, worker.request_info) as work:
        await work.record(
            Tag.ENGINES_WORKER_CONNECT,
            resource=f"team:{worker.team}",
            team=worker.team,
        )


def _filters(
    authentication: WorkerAuthentication, worker: AuthenticatedWorker, call: AllowedCall
) -> tuple[MessageFilter, MessageFilter]:
    """The filters for messages of the worker and for messages of the server."""
    messages = _Messages(authentication, worker, call)
    match call.path:
        case "/events/in":
            return messages.event_from_worker, messages.unchanged
        case "/events/out":
            return messages.unchanged, messages.event_from_server
        case _:
            return messages.frame_from_worker, messages.unchanged


@dataclass(frozen=True, slots=True)
class _Messages:
    """What is passed on of the messages of one connection."""

    authentication: WorkerAuthentication
    worker: AuthenticatedWorker
    call: AllowedCall

    async def unchanged(self, text: str) -> str:
        """The message itself."""
        return text

    async def frame_from_worker(self, text: str) -> str:
        """A frame of a worker's connection, which names the worker."""
        if not is_frame(_object(text) or {}):
            raise await self._refusal("FRAME", "the worker's name has not the form of a name")
        return text

    async def event_from_worker(self, text: str) -> str | None:
        """An event about the team's own runs, without free text; None for one of another name."""
        event = _object(text)
        if event is not None and isinstance(event.get("event"), str) and not is_known_event(event):
            return None
        redacted = redact_event(event) if event is not None else None
        if redacted is None or not await self.worker.ownership.owns_resources(redacted):
            raise await self._refusal("EVENT", "not the team's own")
        return orjson.dumps(redacted).decode()

    async def event_from_server(self, text: str) -> str | None:
        """An event about the team's own runs."""
        message = _object(text) or {}
        if message.get("type") != "event":
            return text
        owns = await self.worker.ownership.owns_resources(message.get("event") or {})
        return text if owns else None

    async def _refusal(self, method: str, why: str) -> Forbidden:
        return await self.authentication.refusal(self.worker, method, self.call.path, why)


async def _relay(
    websocket: WebSocket,
    server: ClientConnection,
    filters: tuple[MessageFilter, MessageFilter],
    authenticate_again: Callable[[], Awaitable[AuthenticatedWorker]],
) -> None:
    """Relay messages in both directions until one side closes; an error of a filter closes both.

    The connection also ends when the worker may no longer connect, because its token was revoked or
    the policy has changed.
    """
    to_server, to_worker = filters

    async def up() -> None:
        while True:
            text = await to_server(await _text(websocket))
            if text is not None:
                await server.send(text)

    async def down() -> None:
        async for message in server:
            text = await to_worker(message if isinstance(message, str) else message.decode())
            if text is not None:
                await websocket.send_text(text)
        await _close(websocket, server.close_code or 1000, server.close_reason or "")

    tasks = [asyncio.create_task(each) for each in (up(), down(), _recheck(authenticate_again))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _recheck(authenticate_again: Callable[[], Awaitable[AuthenticatedWorker]]) -> None:
    """Authenticate again at intervals; skip a time when the database is not available."""
    while True:
        await asyncio.sleep(RECHECK_SECONDS)
        with contextlib.suppress(SQLAlchemyError, OSError):
            await authenticate_again()


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    """Close the worker's side, if it is still open; codes that cannot be sent become 1011."""
    sendable = code if code not in {1005, 1006, 1015} else 1011
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await websocket.close(sendable, reason)
