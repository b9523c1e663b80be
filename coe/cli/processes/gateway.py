"""`coe gateway`: serve the gateway of teams' workers."""

from __future__ import annotations

import asyncio

from coe.cli.grammar import example, verb
from coe.cli.settings_option import config_option, settings_from


@verb()
@config_option
@example("coe gateway", "COE_PORT=8701 coe gateway --config /etc/coe.env")
def command(config: str | None) -> None:
    """Serve the gateway of teams' workers at COE_HOST and COE_PORT until SIGTERM or Ctrl-C.

    It has the paths under /gateway alone: what is before it sends these here, and all others to
    `coe up`. Several may run at once.
    """
    from coe.installation.keys import require_keys  # noqa: PLC0415  # slow to import
    from coe.processes.gateway import create_gateway_app  # noqa: PLC0415  # the same
    from coe.processes.serving import require_protection, serve  # noqa: PLC0415  # the same

    settings = settings_from(config, process=True)
    require_protection(settings)
    compared = asyncio.run(require_keys(settings))
    serve(create_gateway_app(settings, keys_compared=compared), settings)
