"""`coe up`: serve the API."""

from __future__ import annotations

import click

from coe.cli.settings_option import config_option, settings_from


@click.command()
@config_option
def command(config: str | None) -> None:
    """Serve the API at COE_HOST and COE_PORT until SIGTERM or Ctrl-C."""
    import uvicorn  # noqa: PLC0415  # slow to import

    from coe.app import create_app  # noqa: PLC0415  # the same

    settings = settings_from(config)
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # a client could write any address into the log
        server_header=False,
        timeout_graceful_shutdown=5,
    )
