"""The gateway to Prefect for teams' workers: their own token, a closed list, their own pool.

Prefect has one auth string, and whoever holds it is administrator; a worker hands it to the code
that it runs. So workers get our address, `/gateway/{team}/api`, as their Prefect API, and the
team's own token as its auth string. What `coe.gateway.rules` does not list, and what is not
of the team's pool, is refused with 403 and recorded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import orjson
from fastapi import APIRouter, Request, Response, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse

from coe.engines.prefect_api import PrefectEngine
from coe.engines.prefect_http import API_VERSION, TIMEOUT, PrefectHTTP, basic
from coe.errors import CoeError, Forbidden, TooCostly, Unavailable
from coe.gateway.auth import Door, Doors, bearer_of
from coe.gateway.bodies import without_messages
from coe.gateway.rules import Call, find
from coe.gateway.sockets import serve_socket
from coe.work import Platform, RequestInfo

MAX_BODY: Final = 1_048_576
"""Of a request, in bytes."""
METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

_PASSED: Final = ("accept", "content-type", "prefect-csrf-client", "prefect-csrf-token")
_RETURNED: Final = ("content-type", "retry-after")


class Gateway:
    """The gateway of one API process."""

    def __init__(self, platform: Platform, http: PrefectHTTP) -> None:
        """Take the platform, and the Prefect server with its own auth string."""
        central_pool = platform.settings.central_pool
        self._http = http
        self._doors = Doors(platform, http, PrefectEngine(http, central_pool=central_pool))
        self._upstream = httpx.AsyncClient(
            base_url=http.api_url,
            headers={"Authorization": basic(http.auth)},
            timeout=TIMEOUT,
            trust_env=False,
        )

    @classmethod
    def open(cls, platform: Platform) -> Gateway | None:
        """The gateway to the Prefect server of the settings, None if they name none."""
        settings = platform.settings
        if settings.prefect_url is None:
            return None
        auth = settings.prefect_auth.get_secret_value() if settings.prefect_auth else ""
        return cls(platform, PrefectHTTP(settings.prefect_url, auth))

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._upstream.aclose()
        await self._http.close()

    def router(self) -> APIRouter:
        """The routes below `/gateway`."""
        router = APIRouter(prefix="/gateway/{team}/api")
        router.add_api_route(
            "/{path:path}",
            self.respond,
            methods=list(METHODS),
            include_in_schema=False,
        )
        router.add_api_websocket_route("/{path:path}", self.serve)
        return router

    async def serve(self, websocket: WebSocket, team: str, path: str) -> None:
        """Serve one WebSocket."""
        await serve_socket(self._doors, websocket, team, f"/{path}")

    async def respond(self, request: Request, team: str, path: str) -> Response:
        """Pass a call on, or refuse it."""
        about = RequestInfo(address=request.client.host if request.client else None)
        try:
            bearer = bearer_of(request.headers.get("authorization", ""))
            door = await self._doors.enter(team, bearer, about)
            call = find(request.method, f"/{path}")
            if call is None:
                raise await self._doors.refusal(door, request.method, f"/{path}", "not on the list")
            return await self._pass(request, door, call)
        except CoeError as error:
            body = {"detail": error.message, "code": error.code}
            return JSONResponse(body, status_code=error.status)

    async def _pass(self, request: Request, door: Door, call: Call) -> Response:
        body = await _json(request)
        await self._doors.admit(door, call, body)
        if body is not None:
            body = without_messages(call, body)
            if body is None:
                method, why = call.rule.method, "not a worker's to say"
                raise await self._doors.refusal(door, method, call.path, why)
        headers = {name: request.headers[name] for name in _PASSED if name in request.headers}
        outgoing = self._upstream.build_request(
            call.rule.method,
            call.path,
            params={name: request.query_params.get(name, "") for name in call.rule.query},
            content=None if body is None else orjson.dumps(body),
            headers=headers | {"X-PREFECT-API-VERSION": API_VERSION},
        )
        try:
            answer = await self._upstream.send(outgoing, stream=True)
        except httpx.TransportError:
            raise Unavailable("the Prefect server does not answer") from None
        if answer.status_code == httpx.codes.NOT_FOUND:
            self._doors.forget_pool(door)
        return StreamingResponse(
            _stream(answer),
            status_code=answer.status_code,
            headers={name: answer.headers[name] for name in _RETURNED if name in answer.headers},
        )


async def _json(request: Request) -> Any:
    """The JSON body, None if there is none.

    Raises:
        TooCostly: It is larger than `MAX_BODY`.
        Forbidden: It is not JSON.
    """
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY:
            raise TooCostly(f"a request has at most {MAX_BODY} bytes")
    if not content:
        return None
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        raise Forbidden("the body is not JSON") from None


async def _stream(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_bytes():
            yield chunk
    finally:
        await answer.aclose()
