"""`coe gateway`: the gateway of teams' workers in a process of its own; several at once."""

from __future__ import annotations

import logging

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from coe import logs
from coe.execution.engine import EngineHealth
from coe.gateway.router import Gateway
from coe.installation.status import Check
from coe.processes.http_process import HttpProcess
from coe.processes.loops import require_engine
from coe.processes.readiness import engine_check
from coe.settings import Settings
from coe.work import Platform

_log = logging.getLogger(__name__)


class _Parts:
    """The gateway, as the part of a process."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def start(self) -> None:
        """Nothing runs in the background."""

    def start_writing(self) -> None:
        """Nothing runs in the background."""

    async def drain(self) -> None:
        """Have the workers connect to another process."""
        await self._gateway.drain()

    async def stop(self) -> None:
        """Close the connections to the server."""
        await self._gateway.close()


def create_gateway_app(settings: Settings, *, keys_compared: bool = True) -> FastAPI:
    """Create the application with the gateway and its probes alone.

    Args:
        settings: The settings of the installation.
        keys_compared: As in `coe.app.create_app`.

    Raises:
        CoeError: `COE_PREFECT_URL` is not set.
        CertificateRefused: The certificate or its key cannot be served.
    """
    logs.configure(settings.log_level)
    for note in settings.unprotected("database_url", "database_direct_url", "prefect_url"):
        _log.warning("%s", note)
    require_engine(settings)
    platform = Platform.open(settings, name="coe-gateway")
    gateway = Gateway.open(platform)
    assert gateway is not None  # noqa: S101  # the settings name a server

    async def look() -> list[Check]:
        ready = await gateway.healthy()
        detail = "Prefect answers" if ready else "Prefect does not answer; workers wait"
        return [engine_check(EngineHealth("prefect", ready=ready, detail=detail), needed=False)]

    process = HttpProcess("gateway", platform, look, serves=keys_compared)
    app = process.application("Gateway of teams' workers", _Parts(gateway))
    app.include_router(gateway.router())

    @app.get("/healthz")
    async def alive() -> Response:
        return JSONResponse({"status": "alive"})

    @app.get("/readyz")
    async def ready() -> Response:
        return await process.probes.ready()

    return app
