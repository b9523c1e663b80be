"""`coe sealer`: seal the audit log."""

from __future__ import annotations

import asyncio

from coe.cli.grammar import example, verb
from coe.cli.settings_option import config_option, settings_from


@verb()
@config_option
@example("coe sealer", "COE_PROBE_PORT=9702 coe sealer --config /etc/coe.env")
def command(config: str | None) -> None:
    """Seal the audit log, or stand by while another process seals, until SIGTERM or Ctrl-C.

    One that stands by takes over at once when the other ends in order, and within seconds when it
    dies. Both need the same checkpoint file.
    """
    from coe.processes.sealer import run_sealer  # noqa: PLC0415  # slow to import

    asyncio.run(run_sealer(settings_from(config, process=True)))
