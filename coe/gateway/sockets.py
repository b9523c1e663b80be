"""The gateway's WebSockets: the worker's channel, its events, and events of its own pool.

Prefect authenticates a WebSocket by its first message, `{"type": "auth", "token": …}`; the token is
the team's, and the server gets its own auth string in its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
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
from coe.gateway.auth import Door, Doors, token_of
from coe.gateway.bodies import quiet_event
from coe.gateway.rules import Call, find
from coe.work import RequestInfo

SUBPROTOCOL: Final = "prefect"
AUTH_SECONDS: Final = 10.0
MAX_MESSAGE: Final = 1_048_576
RECHECK_SECONDS: Final = 30.0
"""How long an open connection outlives its token, at most."""
UNSUPPORTED_DATA: Final = 1003
POLICY_VIOLATION: Final = 1008
TRY_AGAIN: Final = 1013

Check = Callable[[str], Awaitable[str | None]]
"""What becomes of a message: the text to pass on, or None to drop it."""

log = logging.getLogger(__name__)


class NoTextError(Exception):
    """A message is not text, as every one of Prefect's is."""


async def serve_socket(doors: Doors, websocket: WebSocket, team: str, path: str) -> None:
    """Serve one WebSocket until either side closes it."""
    about = RequestInfo(address=websocket.client.host if websocket.client else None)
    await websocket.accept(subprotocol=SUBPROTOCOL)
    try:
        bearer = await _token(websocket)
        door = await doors.enter(team, bearer, about)
        call = find("WEBSOCKET", path)
        if call is None:
            raise await doors.refusal(door, "WEBSOCKET", path, "not on the list")
        await doors.admit(door, call)
        await _connect(doors, door, call, websocket, lambda: doors.enter(team, bearer, about))
    except (WebSocketDisconnect, ConnectionClosed):
        return
    except NoTextError:
        await _close(websocket, UNSUPPORTED_DATA, "text_expected")
    except Unavailable:
        await _close(websocket, TRY_AGAIN, "transient_server_error")
    except CoeError as error:
        refused = (
            "authorization_failed" if isinstance(error, Forbidden) else "authentication_failed"
        )
        await _close(websocket, POLICY_VIOLATION, refused)


async def _token(websocket: WebSocket) -> str:
    """The token of the first message.

    Raises:
        Unauthenticated: The first message is another one, or does not come.
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
        NoTextError: It is bytes.
    """
    try:
        return await websocket.receive_text()
    except KeyError:
        raise NoTextError from None


async def _connect(
    doors: Doors,
    door: Door,
    call: Call,
    websocket: WebSocket,
    enter_again: Callable[[], Awaitable[Door]],
) -> None:
    url = doors.http.api_url.replace("http", "ws", 1) + call.path
    try:
        async with websockets.connect(
            url,
            subprotocols=[websockets.Subprotocol(SUBPROTOCOL)],
            additional_headers={"Authorization": basic(doors.http.auth)},
            max_size=MAX_MESSAGE,
            proxy=None,
        ) as server:
            await _authenticate(server, doors.http.auth)
            await websocket.send_text('{"type":"auth_success"}')
            if call.path.endswith("/workers/connect"):
                await _record_connection(doors, door)
            await _pump(websocket, server, _checks(doors, door, call), enter_again)
    except (OSError, WebSocketException) as error:
        if isinstance(error, ConnectionClosed):
            raise
        raise Unavailable("the Prefect server does not answer") from None


async def _authenticate(server: ClientConnection, auth: str) -> None:
    await server.send(orjson.dumps({"type": "auth", "token": auth}).decode())
    answer = orjson.loads(await server.recv())
    if answer.get("type") != "auth_success":
        raise Unavailable("the Prefect server does not take our auth string")


async def _record_connection(doors: Doors, door: Door) -> None:
    async with doors.platform.work(door.actor, door.about) as work:
        await work.record(
            Tag.ENGINES_WORKER_CONNECT,
            resource=f"team:{door.team}",
            team=door.team,
        )


def _checks(doors: Doors, door: Door, call: Call) -> tuple[Check, Check]:
    """What is done to messages of the worker, and to messages of the server."""

    async def as_it_is(text: str) -> str:
        return text

    async def own_event_in(text: str) -> str:
        event = _object(text)
        quieted = quiet_event(event) if event is not None else None
        if quieted is None or not await door.owner.owns_resources(quieted):
            raise await doors.refusal(door, "EVENT", call.path, "not the team's own")
        return orjson.dumps(quieted).decode()

    async def own_event_out(text: str) -> str | None:
        message = _object(text) or {}
        if message.get("type") != "event":
            return text
        return text if await door.owner.owns_resources(message.get("event") or {}) else None

    if call.path == "/events/in":
        return own_event_in, as_it_is
    if call.path == "/events/out":
        return as_it_is, own_event_out
    return as_it_is, as_it_is


async def _pump(
    websocket: WebSocket,
    server: ClientConnection,
    checks: tuple[Check, Check],
    enter_again: Callable[[], Awaitable[Door]],
) -> None:
    """Pass messages both ways until one side ends; an error of a check ends both.

    Who would not be let in any more, for the token was revoked or the policy changed, is let go.
    """
    to_server, to_worker = checks

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

    tasks = [asyncio.create_task(each) for each in (up(), down(), _recheck(enter_again))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _recheck(enter_again: Callable[[], Awaitable[Door]]) -> None:
    """Ask now and then whether who came in would still be let in; without a database, later."""
    while True:
        await asyncio.sleep(RECHECK_SECONDS)
        with contextlib.suppress(SQLAlchemyError, OSError):
            await enter_again()


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    """Close the worker's side, if it is still open; codes of no close frame become 1011."""
    sendable = code if code not in {1005, 1006, 1015} else 1011
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await websocket.close(sendable, reason)
