"""The gateway to Prefect for teams' workers: it passes allowed calls to the team's pool only.

Prefect has one auth string, and whoever holds it is an administrator; a worker gives it to the code
that it runs. So a worker gets our address, `/gateway/{team}/api`, as its Prefect API, and the token
of its team as the auth string. A call that `coe.gateway.rules` does not allow, or that names a
resource outside the team's pool, is refused with 403 and recorded.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import orjson
from fastapi import APIRouter, Request, Response, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse

from coe.engines.prefect_engine import PrefectEngine
from coe.engines.prefect_http import API_VERSION, TIMEOUT, PrefectHTTP, basic
from coe.errors import CoeError, Forbidden, Unavailable
from coe.gateway.authentication import AuthenticatedWorker, WorkerAuthentication, bearer_of
from coe.gateway.body_redaction import redact_body
from coe.gateway.open_sockets import GOING_AWAY, OpenSockets
from coe.gateway.rules import ASKS_FOR_RUNS, AllowedCall, match_call
from coe.gateway.sockets import serve_socket
from coe.json_types import NotJson, read_json
from coe.telemetry import metrics
from coe.telemetry.labels import OTHER
from coe.tls import client_context
from coe.web import bodies
from coe.work import Platform, RequestInfo

MAX_PROXIED_BYTES: Final = 1_048_576
PROXIED_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

_REQUEST_HEADERS: Final = ("accept", "content-type", "prefect-csrf-client", "prefect-csrf-token")
_RESPONSE_HEADERS: Final = ("content-type", "retry-after")


class Gateway:
    """The gateway of one API process."""

    def __init__(self, platform: Platform, http: PrefectHTTP) -> None:
        central_pool = platform.settings.central_pool
        self._http = http
        self._authentication = WorkerAuthentication(
            platform, http, PrefectEngine(http, central_pool=central_pool)
        )
        self._upstream = httpx.AsyncClient(
            base_url=http.api_url,
            headers={"Authorization": basic(http.auth)},
            timeout=TIMEOUT,
            trust_env=False,
            verify=client_context(http.ca_file),
        )
        self._sockets = OpenSockets()

    @classmethod
    def open(cls, platform: Platform) -> Gateway | None:
        """Open the gateway to the Prefect server of the settings; None if they name none."""
        settings = platform.settings
        return cls(platform, PrefectHTTP.open(settings)) if settings.prefect_url else None

    async def drain(self) -> None:
        """Have the workers connect to another process: close their WebSockets, and take no more."""
        await self._sockets.drain()

    async def healthy(self) -> bool:
        """Whether the Prefect server answers."""
        return await self._http.healthy()

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
            methods=list(PROXIED_METHODS),
            include_in_schema=False,
        )
        router.add_api_websocket_route("/{path:path}", self.serve)
        return router

    async def serve(self, websocket: WebSocket, team: str, path: str) -> None:
        """Serve one WebSocket."""
        if self._sockets.draining:
            await websocket.close(GOING_AWAY)
            return
        async with self._sockets.opened(websocket):
            await serve_socket(self._authentication, websocket, team, f"/{path}")

    async def respond(self, request: Request, team: str, path: str) -> Response:
        """Pass a call on, or refuse it."""
        call = match_call(request.method, f"/{path}")
        response = await self._answer(request, team, path, call)
        kind = f"{call.rule.method} {call.rule.path}" if call else OTHER
        metrics.GATEWAY_CALLS.labels(kind, str(response.status_code)).inc()
        return response

    async def _answer(
        self, request: Request, team: str, path: str, call: AllowedCall | None
    ) -> Response:
        request_info = RequestInfo(address=request.client.host if request.client else None)
        try:
            bearer = bearer_of(request.headers.get("authorization", ""))
            worker = await self._authentication.authenticate(team, bearer, request_info)
            if call is None:
                why = "not an allowed call"
                raise await self._authentication.refusal(worker, request.method, f"/{path}", why)
            began = time.monotonic()
            body = await _json(request)
            if time.monotonic() - began >= bodies.FRESH_SECONDS:
                worker = await self._authentication.authenticate(team, bearer, request_info)
            return await self._pass_on(request, worker, call, body)
        except CoeError as error:
            body = {"detail": error.message, "code": error.code}
            slow = isinstance(error, bodies.BodyTooSlow)  # the rest of it may still come
            headers = {"Connection": "close"} if slow else None
            return JSONResponse(body, status_code=error.status, headers=headers)

    async def _pass_on(
        self, request: Request, worker: AuthenticatedWorker, call: AllowedCall, body: Any
    ) -> Response:
        await self._authentication.authorize(worker, call, body)
        if call.rule is ASKS_FOR_RUNS:
            await self._authentication.note_presence(worker)
        if body is not None:
            body = redact_body(call, body, pool=worker.pool)
            if body is None:
                method, why = call.rule.method, "a worker may not send this"
                raise await self._authentication.refusal(worker, method, call.path, why)
        headers = {
            name: request.headers[name] for name in _REQUEST_HEADERS if name in request.headers
        }
        outgoing = self._upstream.build_request(
            call.rule.method,
            call.path,
            params={name: request.query_params.get(name, "") for name in call.rule.query},
            content=None if body is None else orjson.dumps(body),
            headers=headers | {"X-PREFECT-API-VERSION": API_VERSION},
        )
        try:
            response = await self._upstream.send(outgoing, stream=True)
        except httpx.TransportError:
            raise Unavailable("the Prefect server does not respond") from None
        if response.status_code == httpx.codes.NOT_FOUND:
            self._authentication.forget_pool(worker)
        return StreamingResponse(
            _stream(response),
            status_code=response.status_code,
            headers={
                name: response.headers[name]
                for name in _RESPONSE_HEADERS
                if name in response.headers
            },
        )


async def _json(request: Request) -> Any:
    """The JSON body; None for an empty one.

    Raises:
        TooCostly: The body is larger than `MAX_PROXIED_BYTES`, or takes too long
            (`bodies.read_bounded`).
        Forbidden: The body is not JSON.
    """
    content = await bodies.read_bounded(request, MAX_PROXIED_BYTES)
    if not content:
        return None
    try:
        return read_json(content)
    except NotJson as error:
        raise Forbidden(f"the body cannot be read: {error}") from None


async def _stream(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_bytes():
            yield chunk
    finally:
        await response.aclose()
