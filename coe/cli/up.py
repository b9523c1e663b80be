"""`coe up`: serve the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coe.cli.grammar import example, verb
from coe.cli.settings_option import config_option, settings_from

if TYPE_CHECKING:
    from fastapi import FastAPI

    from coe.settings import Settings


@verb()
@config_option
@example("coe up", "coe up --config /etc/coe.env")
def command(config: str | None) -> None:
    """Serve the API at COE_HOST and COE_PORT until SIGTERM or Ctrl-C."""
    from coe.app import create_app  # noqa: PLC0415  # slow to import

    settings = settings_from(config)
    serve(create_app(settings), settings)


def serve(app: FastAPI, settings: Settings) -> None:
    """Serve the application at the address of the settings until SIGTERM or Ctrl-C."""
    import uvicorn  # noqa: PLC0415  # slow to import

    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # the application believes only trusted proxies (COE_TRUSTED_PROXIES)
        server_header=False,
        timeout_graceful_shutdown=5,
    )
