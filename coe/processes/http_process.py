"""What every process that serves HTTP has: probes, keys compared, middleware, an orderly end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Protocol
from urllib.parse import urlsplit

from fastapi import FastAPI

from coe.crypto.server_certificate import ServerCertificate
from coe.errors import Unavailable
from coe.installation.keys import KeysRefused, compare_keys
from coe.installation.measures import measure_process
from coe.installation.status import Check, Health
from coe.processes.background import Background
from coe.processes.probes import Look, Probes
from coe.processes.readiness import database_checks, keys_check
from coe.settings import LOOPBACK, Settings
from coe.web import unavailable
from coe.web.addresses import StorableAddresses
from coe.web.client_address import ForwardedAddress, OnlyByProxy
from coe.web.headers import SecurityHeaders
from coe.web.hosts import OPEN_PATHS, KnownHosts
from coe.web.last_answers import LastAnswers
from coe.web.measuring import MeasuredRequests
from coe.web.waiting import OnlyOnceServing
from coe.work import Platform

CERTIFICATE_SECONDS: Final = 5.0
RESTART_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Parts(Protocol):
    """What a role has beside what every such process has."""

    def start(self) -> None:
        """Start what only reads."""

    def start_writing(self) -> None:
        """Start what writes: the keys are compared."""

    async def drain(self) -> None:
        """Send away those who would stay connected."""

    async def stop(self) -> None:
        """Close the parts; the background loops have ended."""


class HttpProcess:
    """One process that serves HTTP.

    `serves` is whether its keys are those of the database; without that, nothing but probes is
    answered. `refused` is why it ends by itself.
    """

    def __init__(self, role: str, platform: Platform, look: Look, *, serves: bool) -> None:
        settings = platform.settings
        self.platform = platform
        self.certificate = ServerCertificate.of(settings.tls_cert_file, settings.tls_key_file)
        self.background = Background()
        self.probes = Probes(role, self._checks)
        self.serves = serves
        self.refused: KeysRefused | None = None
        self._look = look
        self._parts: Parts | None = None

    def application(self, title: str, parts: Parts) -> FastAPI:
        """Create the application, without routes; its lifespan starts and stops the parts."""
        settings = self.platform.settings
        self._parts = parts
        app = FastAPI(
            title=title,
            lifespan=self._lifespan,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
        )
        app.state.process = self
        for unusable in unavailable.ERRORS:
            app.add_exception_handler(unusable, unavailable.answer_unavailable)
        app.add_middleware(LastAnswers, draining=lambda: self.probes.draining)
        app.add_middleware(OnlyOnceServing, serves=lambda: self.serves)
        app.add_middleware(StorableAddresses)
        open_paths = OPEN_PATHS if settings.probe_port is None else frozenset[str]()
        app.add_middleware(KnownHosts, hosts=known_hosts(settings), open_paths=open_paths)
        app.add_middleware(SecurityHeaders, public_url=settings.public_url)
        app.add_middleware(ForwardedAddress, trusted=settings.proxy_networks)
        app.add_middleware(OnlyByProxy, trusted=settings.proxy_networks, open_paths=open_paths)
        app.add_middleware(MeasuredRequests)
        return app

    async def drain(self) -> None:
        """Prepare the end: be ready no more, and wait until others have noticed."""
        self.probes.draining = True
        _log.info("%s: ends when what is in flight is answered", self.probes.role)
        await asyncio.sleep(self.platform.settings.drain_delay_seconds)
        if self._parts is not None:
            await self._parts.drain()

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        assert self._parts is not None  # noqa: S101  # `application` made this
        parts = self._parts
        async with self.probes.serving(self.platform.settings):
            if self.certificate is not None:
                self.background.run("certificate", self._watch_certificate)
            self.background.run(
                "metrics", partial(measure_process, self.platform, self.certificate)
            )
            parts.start()
            if self.serves:
                parts.start_writing()
            else:
                self.background.run("keys", lambda: self._compare_keys(parts))
            self.probes.started = True
            _log.info("%s: up", self.probes.role)
            try:
                yield
            finally:
                self.probes.draining = True
                await self.background.stop()
                await parts.stop()
                await self.platform.close()
                _log.info("%s: stopped", self.probes.role)

    async def _compare_keys(self, parts: Parts) -> None:
        """Serve once the database answers and has nothing of other keys; else stop the process."""
        while not self.serves:
            try:
                await compare_keys(self.platform.settings)
            except Unavailable as error:
                _log.warning("nothing is served yet: %s", error.message)
                await asyncio.sleep(RESTART_SECONDS)
            except KeysRefused as error:
                _log.critical("%s: stops: %s", self.probes.role, error.message)
                self.refused = error
                signal.raise_signal(signal.SIGTERM)
                break
            else:
                self.serves = True
                parts.start_writing()
        await asyncio.Event().wait()

    async def _watch_certificate(self) -> None:
        """Serve another certificate when its files are replaced."""
        while self.certificate is not None:
            self.certificate.look()
            await asyncio.sleep(CERTIFICATE_SECONDS)

    async def _checks(self) -> list[Check]:
        found = [keys_check(compared=self.serves), *await database_checks(self.platform)]
        problem = self.certificate.problem if self.certificate else None
        if problem is not None:
            found.append(Check("tls", Health.WARNING, problem, "docs/how-to/tls.md"))
        return [*found, *await self._look()]


def known_hosts(settings: Settings) -> frozenset[str]:
    """The host names that are answered: loopback, the own address, those of the settings."""
    public = urlsplit(settings.public_url).hostname if settings.public_url else None
    names = {*LOOPBACK, settings.host, *settings.allowed_hosts, *([public] if public else [])}
    return frozenset(names)
