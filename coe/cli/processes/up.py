"""`coe up`: serve the API."""

from __future__ import annotations

import asyncio

from coe.cli.grammar import example, verb
from coe.cli.settings_option import config_option, settings_from


@verb()
@config_option
@example("coe up", "coe up --config /etc/coe.env", "COE_LOOPS=false COE_GATEWAY=false coe up")
def command(config: str | None) -> None:
    """Serve the API at COE_HOST and COE_PORT until SIGTERM or Ctrl-C.

    Alone it does all that is no worker's. With COE_LOOPS=false, `coe loops` and `coe sealer` do
    their part elsewhere; with COE_GATEWAY=false, `coe gateway` does. With COE_TLS_CERT_FILE and
    COE_TLS_KEY_FILE it serves TLS, and a replaced certificate without a restart.
    """
    from coe.app import create_app  # noqa: PLC0415  # slow to import
    from coe.installation.keys import require_keys  # noqa: PLC0415  # the same
    from coe.processes.serving import require_protection, serve  # noqa: PLC0415  # the same

    settings = settings_from(config, process=True)
    require_protection(settings)
    compared = asyncio.run(require_keys(settings))
    serve(create_app(settings, keys_compared=compared), settings)
