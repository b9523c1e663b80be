"""A service that flows of the tests call over HTTP: it counts by idempotency key, and may hold."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from tests.factories.ports import free_port
from tests.factories.prefect import until


@dataclass
class Service:
    """What was called, and what is to be held back or refused.

    Attributes:
        calls: Calls by the last segment of the path.
        keys: Calls by path and idempotency key.
        held: Paths whose answers wait until `release`.
        failing: Paths that answer 503.
    """

    port: int = field(default_factory=free_port)
    calls: Counter[str] = field(default_factory=Counter)
    keys: Counter[tuple[str, str]] = field(default_factory=Counter)
    held: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def resolve(self) -> str:
        """As `COE_RESOLVE`: the definition's host is this service."""
        return json.dumps({"erp.example.com": self.url})

    def release(self) -> None:
        self.held.clear()
        self.released.set()

    async def called(self, name: str, times: int = 1) -> None:
        """Wait until it was called so often."""

        async def often() -> bool:
            return self.calls[name] >= times

        await until(often, seconds=40)

    async def respond(self, request: Request, name: str) -> JSONResponse:
        self.calls[name] += 1
        self.keys[name, request.headers.get("idempotency-key", "")] += 1
        if name in self.held:
            await self.released.wait()
        if name in self.failing:
            return JSONResponse({"detail": "Wilhelmina Zwicknagel"}, status_code=503)
        return JSONResponse({"name": name})


@asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    """The service, listening on loopback."""
    service = Service()
    app = FastAPI()
    app.add_api_route("/{name}", service.respond, methods=["GET", "POST"])
    config = uvicorn.Config(app, port=service.port, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: asyncio.sleep(0, server.started))
    try:
        yield service
    finally:
        service.release()
        server.should_exit = True
        await task
