"""An application that listens on this machine, in this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

from tests.factories.ports import free_port


class _Server(uvicorn.Server):
    """A server that leaves the signals of the process to the tests."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def listening(
    app: ASGIApp, *, is_started: bool = False, http: type[asyncio.Protocol] | None = None
) -> AsyncIterator[str]:
    """The address of the application; `is_started` if somebody else starts and stops it.

    `http` is the protocol that reads requests, by default uvicorn's own.
    """
    config = uvicorn.Config(
        app,
        port=free_port(),
        http=http or "auto",
        log_config=None,
        access_log=False,
        lifespan="off" if is_started else "on",
        timeout_graceful_shutdown=5,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{config.port}"
    finally:
        server.should_exit = True
        await serving
