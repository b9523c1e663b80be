"""`coe up`: serve the API."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

from coe.cli.grammar import example, verb
from coe.cli.settings_option import config_option, settings_from
from coe.errors import CoeError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from coe.crypto.server_certificate import ServerCertificate
    from coe.settings import Settings


@verb()
@config_option
@example("coe up", "coe up --config /etc/coe.env")
def command(config: str | None) -> None:
    """Serve the API at COE_HOST and COE_PORT until SIGTERM or Ctrl-C.

    With COE_TLS_CERT_FILE and COE_TLS_KEY_FILE it serves TLS, and a replaced certificate without a
    restart.
    """
    from coe.app import create_app  # noqa: PLC0415  # slow to import
    from coe.installation.keys import require_keys  # noqa: PLC0415  # the same

    settings = settings_from(config, process=True)
    if settings.listens_in_clear:
        raise CoeError(
            f"COE_HOST={settings.host}: other machines would send their credentials in clear. Set "
            "COE_TLS_CERT_FILE and COE_TLS_KEY_FILE; or, where a proxy before the API ends TLS, "
            "name the proxy in COE_TRUSTED_PROXIES",
            code="INVALID",
        )
    compared = asyncio.run(require_keys(settings))
    serve(create_app(settings, keys_compared=compared), settings)


def settle_memory() -> None:
    """Leave what lasts as long as the process to itself: no collection walks the schema again.

    Without it one request in a hundred waits a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def serve(app: FastAPI, settings: Settings) -> None:
    """Serve the application at the address of the settings until SIGTERM or Ctrl-C."""
    import uvicorn  # noqa: PLC0415  # slow to import

    from coe.web.http_protocol import BoundedHttp  # noqa: PLC0415  # the same

    settle_memory()
    certificate: ServerCertificate | None = app.state.services.certificate
    context = certificate.context if certificate else None
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # the application believes only trusted proxies (COE_TRUSTED_PROXIES)
        server_header=False,
        timeout_graceful_shutdown=5,
        http=BoundedHttp,
        loop="auto",  # uvloop, where there is one
        ssl_context_factory=(lambda *_: context) if context else None,
    )
