"""Somebody without a credential asks again and again at every door, also at one that is new."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from fastapi.routing import APIWebSocketRoute
from sqlalchemy import select
from starlette.routing import BaseRoute, Mount, Route

from coe.audit.models import AuditEvent
from coe.demo.api import create_demo_app
from coe.rate_limits import Limited
from coe.settings import Settings
from tests.factories.api import Api

OPEN = {
    "GET /": "a page, the same for everybody",
    "GET /.well-known/oauth-authorization-server": "metadata of the settings",
    "GET /docs": "files",
    "GET /docs/": "files",
    "GET /graphiql": "a page, the same for everybody",
    "GET /healthz": "a probe, without the database",
    "GET /readyz": "a probe, which reads a few rows",
    "GET /static/": "files",
    "HEAD /docs": "files",
    "OPTIONS /events": "a handshake, without the database",
}
"""Doors that ask nobody who they are and are not limited: what they answer."""
ALIKE = ("GET /schemas/",)
"""Below these are files too."""
GUESSED = {"authorization": f"Bearer coe_{'x' * 43}", "cookie": f"loopback-coe={UUID(int=7)}.x"}


def doors(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Each method and path of the application."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from doors(inner.routes)
        elif isinstance(route, APIWebSocketRoute):
            yield "WEBSOCKET", route.path
        elif isinstance(route, Mount):
            yield "GET", route.path + "/"
        else:
            assert isinstance(route, Route), f"a door that this test does not know: {route}"
            yield from ((method, route.path) for method in sorted(route.methods or ()))


async def ask(api: Api, method: str, path: str, address: str) -> None:
    """Knock once, with a guessed token and a guessed session."""
    if method == "WEBSOCKET":
        await open_socket(api.app, path, address)
        return
    async with api.client(address=address) as client:
        await client.request(method, path, headers=GUESSED)


async def open_socket(app: FastAPI, path: str, address: str) -> None:
    """Open a WebSocket, and send a guessed token as its first message."""
    guess = '{"type": "auth", "token": "coe_x"}'
    said = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": guess}]

    async def receive() -> dict[str, Any]:
        return said.pop(0) if said else {"type": "websocket.disconnect", "code": 1000}

    async def send(_: Any) -> None:
        pass

    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "ws",
        "headers": [(b"host", b"127.0.0.1:8700")],
        "client": (address, 50000),
        "server": ("127.0.0.1", 8700),
        "subprotocols": ["prefect"],
        "state": {},
    }
    await app(scope, receive, send)


async def test_guessing_at_any_door(settings: Settings) -> None:
    rates = {Limited.REFUSED_CREDENTIAL: "1/day", Limited.SIGN_IN: "1/day"}
    changed = {"loops": False, "prefect_url": "http://127.0.0.1:9/api", "rate_limits": rates}
    app = create_demo_app(settings.model_copy(update=changed))
    async with app.router.lifespan_context(app):
        api = Api(app)
        asked = {
            f"192.0.{number // 250 + 2}.{number % 250}": (method, path)
            for number, (method, path) in enumerate(doors(app.routes))
        }
        for address, (method, path) in asked.items():
            for _ in range(2):
                await ask(api, method, re.sub(r"\{.*?\}", "x", path), address)
        wanted = select(AuditEvent.address).where(AuditEvent.action == "access:request:limit")
        async with api.services.platform.database.session() as session:
            limited = set(await session.scalars(wanted))
    unlimited = {
        f"{method} {path}" for address, (method, path) in asked.items() if address not in limited
    }
    assert {door for door in unlimited if not door.startswith(ALIKE)} == set(OPEN), (
        "count what a new door lets anybody do (Platform.limit), or say here why it costs little"
    )
    assert len(limited) > 40
