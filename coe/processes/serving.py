"""How a process serves HTTP: uvicorn, which ends in order.

At the first signal the process is ready no more, and goes on answering while those before it notice
(`COE_DRAIN_DELAY_SECONDS`). Then it takes no more connections, and ends when what is in flight has
been answered, after `COE_DRAIN_SECONDS` at the latest. A second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from coe.errors import CoeError
from coe.processes.ending import on_first_signal
from coe.processes.http_process import HttpProcess
from coe.settings import Settings
from coe.web.http_protocol import BoundedHttp


class EndingServer(uvicorn.Server):
    """A server that lets its process prepare its end."""

    def __init__(self, config: uvicorn.Config, process: HttpProcess) -> None:
        super().__init__(config)
        self._process = process
        self._ending: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Begin the end at the first signal; uvicorn itself would end by the signal, and not 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        with on_first_signal(self._begin):
            yield

    def _begin(self) -> None:
        self._ending = asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        try:
            await self._process.drain()
        finally:
            self.should_exit = True


def settle_memory() -> None:
    """Leave what lasts as long as the process to itself: no collection walks the schema again.

    Without it one request in a hundred waits a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def serve(app: FastAPI, settings: Settings) -> None:
    """Serve the application at the address of the settings until SIGTERM or Ctrl-C.

    Raises:
        KeysRefused: The keys are those of another installation, as the database says by now.
    """
    settle_memory()
    process: HttpProcess = app.state.process
    context = process.certificate.context if process.certificate else None
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # the application believes only trusted proxies (COE_TRUSTED_PROXIES)
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
        http=BoundedHttp,
        loop="auto",  # uvloop, where there is one
        ssl_context_factory=(lambda *_: context) if context else None,
    )
    server = EndingServer(config, process)
    server.run()
    if process.refused is not None:
        raise process.refused


def require_protection(settings: Settings) -> None:
    """Refuse to listen where others would send their credentials in clear.

    Raises:
        CoeError: Neither TLS nor a trusted proxy is set.
    """
    if settings.listens_in_clear:
        raise CoeError(
            f"COE_HOST={settings.host}: other machines would send their credentials in clear. Set "
            "COE_TLS_CERT_FILE and COE_TLS_KEY_FILE; or, where a proxy before the API ends TLS, "
            "name the proxy in COE_TRUSTED_PROXIES",
            code="INVALID",
        )
